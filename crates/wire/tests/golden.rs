//! One kept frame of each kind, byte for byte. The files say what each byte is; a change of one is
//! a change of the protocol.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use loky_wire::{
    Body, DONE_RAISED, Decoder, DoneBody, ExitedBody, Extent, Frame, Header, Kind, LeaveReason,
    Part, PayloadRef, Piece, Role, SPAWN_EXEC, SegmentRef, SpawnBody, TaskBody, encode,
    encode_body,
};

/// The bytes of a file of hex numbers with comments.
fn bytes_of(text: &str) -> Vec<u8> {
    text.lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(str::split_whitespace)
        .map(|number| u8::from_str_radix(number, 16).unwrap())
        .collect()
}

fn received(role: Role, bytes: &[u8]) -> Frame {
    let mut decoder = Decoder::new(role);
    decoder.push(bytes);
    let frame = decoder.next().unwrap().expect("the file is a whole frame");
    assert_eq!(decoder.pending(), 0, "the file is one frame");
    frame
}

fn assert_bare(role: Role, text: &str, header: Header, body: &[u8]) {
    let bytes = bytes_of(text);
    let mut written = Vec::new();
    encode(&header, &[body], &mut written).unwrap();
    assert_eq!(written, bytes);
    let frame = received(role, &bytes);
    let len = u32::try_from(body.len()).unwrap();
    assert_eq!(
        frame,
        Frame {
            header: Header { len, ..header },
            body: body.to_vec()
        }
    );
}

fn assert_typed(role: Role, text: &str, header: Header, body: &impl Body) -> Frame {
    let bytes = bytes_of(text);
    let mut written = Vec::new();
    encode_body(&header, body, &mut written).unwrap();
    assert_eq!(written, bytes);
    let frame = received(role, &bytes);
    let len = u32::try_from(body.encoded_len()).unwrap();
    assert_eq!(frame.header, Header { len, ..header });
    frame
}

fn segment(id: u32, size: u64) -> SegmentRef {
    SegmentRef { id, size }
}

fn part(segment: u32, offset: u64, len: u64) -> Part {
    let extent = Extent { offset, len };
    Part { segment, extent }
}

#[test]
fn task_carries_generation_and_stream() {
    let header = Header::for_task(Kind::Task, 7, 2, 62);
    let body = TaskBody {
        generation: 258,
        payload: PayloadRef::inline(b"\x80\x05N."),
    };
    let frame = assert_typed(
        Role::ParentToWorker,
        include_str!("golden/task.hex"),
        header,
        &body,
    );
    assert_eq!(frame.task_body().unwrap(), body);
}

#[test]
fn task_with_a_segment_places_buffers_and_stream_in_it() {
    let header = Header::for_task(Kind::Task, 0x0102_0304_0506_0708, 1, 0).with_fds(1);
    let payload = PayloadRef {
        segments: vec![segment(9, 266_240)],
        buffers: vec![part(0, 0, 65_537), part(0, 65_600, 65_536)],
        pieces: vec![Piece::Placed(part(0, 131_200, 70_000))],
        inline: &[],
    };
    let body = TaskBody {
        generation: 1,
        payload,
    };
    let text = include_str!("golden/task_with_segment.hex");
    let frame = assert_typed(Role::ParentToWorker, text, header, &body);
    assert_eq!(frame.task_body().unwrap(), body);
    let owned = frame.into_payload().unwrap();
    assert_eq!(owned.segments(), body.payload.segments);
    assert_eq!(owned.buffers(), body.payload.buffers);
    assert_eq!(owned.pieces(), body.payload.pieces);
    assert_eq!(owned.inline(), body.payload.inline);
}

#[test]
fn task_in_pieces_joins_bytes_of_frame_and_segments() {
    let header = Header::for_task(Kind::Task, 7, 1, 3).with_fds(2);
    let body = TaskBody {
        generation: 1,
        payload: PayloadRef {
            segments: vec![segment(9, 131_072), segment(10, 4096)],
            buffers: vec![part(1, 64, 4032)],
            pieces: vec![
                Piece::Placed(part(0, 0, 10_000)),
                Piece::Inline(3),
                Piece::Placed(part(0, 10_005, 5000)),
            ],
            inline: b"abc",
        },
    };
    let text = include_str!("golden/task_in_pieces.hex");
    let frame = assert_typed(Role::ParentToWorker, text, header, &body);
    assert_eq!(frame.task_body().unwrap(), body);
    let owned = frame.into_payload().unwrap();
    assert_eq!(owned.pieces(), body.payload.pieces);
    assert_eq!(owned.inline(), b"abc");
}

#[test]
fn forget_is_a_name() {
    let text = include_str!("golden/forget.hex");
    let header = Header::bare(Kind::Forget, 0);
    assert_bare(Role::ParentToWorker, text, header, b"name");
}

#[test]
fn segment_freed_travels_both_ways() {
    let text = include_str!("golden/segment_freed.hex");
    for role in [Role::ParentToWorker, Role::WorkerToParent] {
        assert_bare(role, text, Header::bare(Kind::SegmentFreed, 9), &[]);
    }
}

#[test]
fn a_bell_is_a_header_that_travels_both_ways() {
    let text = include_str!("golden/bell.hex");
    for role in [Role::ParentToWorker, Role::WorkerToParent] {
        assert_bare(role, text, Header::bare(Kind::Bell, 0), &[]);
    }
}

#[test]
fn leave_is_a_header() {
    let text = include_str!("golden/leave.hex");
    assert_bare(
        Role::ParentToWorker,
        text,
        Header::bare(Kind::Leave, 0),
        &[],
    );
}

#[test]
fn ready_names_the_process() {
    let text = include_str!("golden/ready.hex");
    assert_bare(
        Role::WorkerToParent,
        text,
        Header::bare(Kind::Ready, 4711),
        &[],
    );
}

#[test]
fn done_carries_run_time_and_stream() {
    let header = Header::for_task(Kind::Done, 7, 2, 62);
    let body = DoneBody {
        run_ns: 1_500_000,
        payload: PayloadRef::inline(b"\x80\x05K*."),
    };
    let frame = assert_typed(
        Role::WorkerToParent,
        include_str!("golden/done.hex"),
        header,
        &body,
    );
    assert_eq!(frame.done_body().unwrap(), body);
    let owned = frame.into_payload().unwrap();
    assert_eq!(owned.inline(), b"\x80\x05K*.");
}

#[test]
fn done_with_an_exception_sets_the_flag() {
    let header = Header::for_task(Kind::Done, 8, 1, 3)
        .with_flags(DONE_RAISED)
        .with_fds(1);
    let payload = PayloadRef {
        segments: vec![segment(1, 40_960)],
        buffers: vec![part(0, 64, 40_000)],
        pieces: Vec::new(),
        inline: b"\x80\x05N.",
    };
    let body = DoneBody { run_ns: 0, payload };
    let text = include_str!("golden/done_raised.hex");
    let frame = assert_typed(Role::WorkerToParent, text, header, &body);
    assert_eq!(frame.done_body().unwrap(), body);
}

#[test]
fn initializer_failed_is_a_payload() {
    let body = PayloadRef::inline(b"\x80\x05N.");
    let header = Header::bare(Kind::InitializerFailed, 0);
    let text = include_str!("golden/initializer_failed.hex");
    let frame = assert_typed(Role::WorkerToParent, text, header, &body);
    assert_eq!(frame.into_payload().unwrap().inline(), body.inline);
}

#[test]
fn leaving_names_the_reason() {
    let header = Header::bare(Kind::Leaving, LeaveReason::MemoryGrowth.code());
    assert_bare(
        Role::WorkerToParent,
        include_str!("golden/leaving.hex"),
        header,
        &[],
    );
}

#[test]
fn revoked_names_task_attempt_and_slot() {
    let header = Header::for_task(Kind::Revoked, 7, 2, 62);
    assert_bare(
        Role::WorkerToParent,
        include_str!("golden/revoked.hex"),
        header,
        &[],
    );
}

#[test]
fn spawn_carries_targets_and_the_rest() {
    let header = Header::for_worker(Kind::Spawn, 3, 1)
        .with_flags(SPAWN_EXEC)
        .with_fds(6);
    let body = SpawnBody {
        setup_len: 1000,
        targets: vec![10, 5],
        rest: b"rest",
    };
    let frame = assert_typed(
        Role::ParentToZygote,
        include_str!("golden/spawn.hex"),
        header,
        &body,
    );
    assert_eq!(frame.spawn_body().unwrap(), body);
}

#[test]
fn kill_names_worker_and_signal() {
    let header = Header::for_worker(Kind::Kill, 3, 9);
    assert_bare(
        Role::ParentToZygote,
        include_str!("golden/kill.hex"),
        header,
        &[],
    );
}

#[test]
fn stop_is_a_header() {
    let text = include_str!("golden/stop.hex");
    assert_bare(Role::ParentToZygote, text, Header::bare(Kind::Stop, 0), &[]);
}

#[test]
fn preload_is_bytes() {
    let text = include_str!("golden/preload.hex");
    assert_bare(
        Role::ParentToZygote,
        text,
        Header::bare(Kind::Preload, 0),
        b"numpy",
    );
}

#[test]
fn hello_names_the_process() {
    let text = include_str!("golden/hello.hex");
    assert_bare(
        Role::ZygoteToParent,
        text,
        Header::bare(Kind::Hello, 4710),
        &[],
    );
}

#[test]
fn spawned_names_worker_and_process() {
    let header = Header::for_worker(Kind::Spawned, 3, 4711);
    assert_bare(
        Role::ZygoteToParent,
        include_str!("golden/spawned.hex"),
        header,
        &[],
    );
}

#[test]
fn spawn_failed_names_worker_and_error() {
    let header = Header::for_worker(Kind::SpawnFailed, 3, 11);
    assert_bare(
        Role::ZygoteToParent,
        include_str!("golden/spawn_failed.hex"),
        header,
        &[],
    );
}

#[test]
fn exited_carries_status_and_usage() {
    let header = Header::for_worker(Kind::Exited, 3, 139);
    let body = ExitedBody {
        max_rss_bytes: 50 << 20,
        user_ns: 1_000_000_000,
        system_ns: 20_000_000,
        killed_on_request: true,
        passed_limit: false,
    };
    let frame = assert_typed(
        Role::ZygoteToParent,
        include_str!("golden/exited.hex"),
        header,
        &body,
    );
    assert_eq!(frame.exited_body().unwrap(), body);
}

#[test]
fn unfit_carries_its_reason() {
    let header = Header::bare(Kind::Unfit, 0);
    let text = include_str!("golden/unfit.hex");
    assert_bare(Role::ZygoteToParent, text, header, "2 threads é".as_bytes());
    let frame = received(Role::ZygoteToParent, &bytes_of(text));
    assert_eq!(frame.unfit_reason().unwrap(), "2 threads é");
}

#[test]
fn signalled_carries_the_signal() {
    let header = Header::for_worker(Kind::Signalled, 3, 2);
    let text = include_str!("golden/signalled.hex");
    assert_bare(Role::ZygoteToParent, text, header, &[]);
}
