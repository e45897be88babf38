//! What a receiver refuses, and with which words. Each case is an honest frame with one lie.

use loky_wire::{
    Body, Decoder, Extent, Field, Frame, Header, Kind, Layout, Part, PayloadRef, Piece, Role,
    SegmentRef, SpawnBody, TaskBody, WireError, encode, encode_body,
    limits::{
        BODY_MAX, BUFFERED_MAX, BUFFERS_MAX, EXTRA_MAX, FDS_MAX, HEADER_LEN, LEDGER_SLOTS,
        PIECES_MAX, SEGMENT_FDS, SEGMENT_MAX, SEGMENTS_MAX, TARGET_MIN,
    },
};

fn next_of(role: Role, bytes: &[u8]) -> Result<Option<Frame>, WireError> {
    let mut decoder = Decoder::new(role);
    decoder.push(bytes);
    decoder.next()
}

fn bytes_of(header: &Header) -> Vec<u8> {
    header.to_bytes().to_vec()
}

fn invalid(kind: Kind, field: Field, value: u64) -> WireError {
    WireError::FieldInvalid { kind, field, value }
}

const TASK: Header = Header {
    len: 12,
    ..Header::for_task(Kind::Task, 1, 1, 0)
};

#[test]
fn every_kind_is_taken_in_its_directions_and_refused_in_the_others() {
    for code in 0..=u8::MAX {
        for role in Role::ALL {
            let mut bytes = bytes_of(&TASK);
            bytes[4] = code;
            let result = next_of(role, &bytes);
            match Kind::from_code(code) {
                None => assert_eq!(result, Err(WireError::KindUnknown { code })),
                Some(kind) if !role.admits(kind) => {
                    assert_eq!(result, Err(WireError::KindMisplaced { kind, role }));
                }
                Some(kind) => {
                    assert_eq!(kind.code(), code);
                    assert_ne!(result, Err(WireError::KindMisplaced { kind, role }));
                }
            }
        }
    }
    for kind in Kind::ALL {
        let ways = Role::ALL.iter().filter(|role| role.admits(kind)).count();
        let both = matches!(kind, Kind::SegmentFreed | Kind::Bell);
        assert_eq!(ways, if both { 2 } else { 1 });
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_as_soon_as_the_header_is_read() {
    for len in [u32::try_from(BODY_MAX).unwrap() + 1, u32::MAX] {
        let bytes = bytes_of(&Header { len, ..TASK });
        let expected = Err(WireError::BodyTooLong {
            len: u64::from(len),
        });
        assert_eq!(next_of(Role::ParentToWorker, &bytes), expected);
    }
    let bytes = bytes_of(&Header {
        len: u32::try_from(BODY_MAX).unwrap(),
        ..TASK
    });
    assert_eq!(next_of(Role::ParentToWorker, &bytes), Ok(None));
}

fn assert_field_refused(role: Role, header: Header, field: Field, value: u64) {
    let error = WireError::FieldInvalid {
        kind: header.kind,
        field,
        value,
    };
    assert_eq!(next_of(role, &bytes_of(&header)), Err(error));
}

#[test]
fn header_fields_that_no_frame_to_a_worker_has_are_refused() {
    let refused =
        |header, field, value| assert_field_refused(Role::ParentToWorker, header, field, value);
    refused(Header { len: 11, ..TASK }, Field::Len, 11);
    refused(TASK.with_flags(1), Field::Flags, 1);
    refused(TASK.with_fds(SEGMENT_FDS + 1), Field::Fds, 65);
    refused(Header { task: 0, ..TASK }, Field::Task, 0);
    refused(Header { attempt: 0, ..TASK }, Field::Attempt, 0);
    refused(
        Header {
            aux: LEDGER_SLOTS.into(),
            ..TASK
        },
        Field::Aux,
        LEDGER_SLOTS.into(),
    );
    let leave = Header::bare(Kind::Leave, 0);
    refused(Header { aux: 1, ..leave }, Field::Aux, 1);
    refused(Header { task: 1, ..leave }, Field::Task, 1);
    refused(Header { len: 1, ..leave }, Field::Len, 1);
}

#[test]
fn header_fields_that_no_frame_from_a_worker_has_are_refused() {
    let refused =
        |header, field, value| assert_field_refused(Role::WorkerToParent, header, field, value);
    let ready = Header::bare(Kind::Ready, 7);
    refused(Header { aux: 0, ..ready }, Field::Aux, 0);
    refused(
        Header {
            aux: 1 << 31,
            ..ready
        },
        Field::Aux,
        1 << 31,
    );
    refused(
        Header {
            attempt: 1,
            ..ready
        },
        Field::Attempt,
        1,
    );
    refused(Header::bare(Kind::Leaving, 3), Field::Aux, 3);
    let done = Header {
        len: 16,
        ..Header::for_task(Kind::Done, 1, 1, 0)
    };
    refused(done.with_flags(8), Field::Flags, 8);
    refused(Header { len: 15, ..done }, Field::Len, 15);
}

#[test]
fn header_fields_that_no_control_frame_has_are_refused() {
    let refused =
        |header, field, value| assert_field_refused(Role::ParentToZygote, header, field, value);
    let spawn = Header {
        len: 8,
        ..Header::for_worker(Kind::Spawn, 1, 0)
    };
    refused(spawn.with_fds(3), Field::Fds, 3);
    refused(spawn.with_fds(FDS_MAX + 1), Field::Fds, 254);
    refused(Header::for_worker(Kind::Kill, 1, 65), Field::Aux, 65);
    refused(Header::for_worker(Kind::Kill, 0, 9), Field::Task, 0);
    for len in [31, 33] {
        let exited = Header {
            len,
            ..Header::for_worker(Kind::Exited, 1, 0)
        };
        assert_field_refused(Role::ZygoteToParent, exited, Field::Len, len.into());
    }
}

#[test]
fn the_encoder_refuses_what_the_decoder_would_and_writes_nothing() {
    let mut out = b"before".to_vec();
    let long = vec![0; BODY_MAX + 1];
    let preload = Header::bare(Kind::Preload, 0);
    let too_long = WireError::BodyTooLong {
        len: long.len() as u64,
    };
    assert_eq!(encode(&preload, &[&long], &mut out), Err(too_long));
    let leave = Header::bare(Kind::Leave, 0);
    assert_eq!(
        encode(&leave, &[b"x"], &mut out),
        Err(invalid(Kind::Leave, Field::Len, 1))
    );
    let nobody = Header::for_task(Kind::Task, 0, 1, 0);
    let body = TaskBody {
        generation: 1,
        payload: PayloadRef::inline(&[]),
    };
    let no_task = Err(invalid(Kind::Task, Field::Task, 0));
    assert_eq!(encode_body(&nobody, &body, &mut out), no_task);
    let unplaced = PayloadRef {
        segments: vec![SegmentRef { id: 3, size: 1 }],
        ..body.payload
    };
    let header = Header::bare(Kind::InitializerFailed, 0);
    let unused = Err(WireError::SegmentUnused { id: 3 });
    assert_eq!(encode_body(&header, &unplaced, &mut out), unused);
    assert_eq!(out, b"before");
    assert_eq!(encode(&preload, &[&long[1..]], &mut out), Ok(()));
}

/// Refused by both ends alike: the bytes are what a sender without checks would write.
fn assert_payload_refused(payload: &PayloadRef<'_>, error: WireError) {
    assert_eq!(payload.check(), Err(error));
    let mut bytes = Vec::new();
    payload.write(&mut bytes);
    assert_eq!(PayloadRef::decode(&bytes), Err(error));
}

fn extent(offset: u64, len: u64) -> Extent {
    Extent { offset, len }
}

/// Where a stream is.
#[derive(Clone, Copy)]
enum Stream<'a> {
    Inline(&'a [u8]),
    InSegment(Extent),
}

fn part(segment: u32, extent: Extent) -> Part {
    Part { segment, extent }
}

fn in_segment<'a>(size: u64, buffers: &[Extent], stream: Stream<'a>) -> PayloadRef<'a> {
    let (pieces, inline) = match stream {
        Stream::Inline(bytes) => (Vec::new(), bytes),
        Stream::InSegment(extent) => (vec![Piece::Placed(part(0, extent))], [].as_slice()),
    };
    PayloadRef {
        segments: vec![SegmentRef { id: 1, size }],
        buffers: buffers.iter().map(|extent| part(0, *extent)).collect(),
        pieces,
        inline,
    }
}

#[test]
fn parts_outside_the_segment_are_refused() {
    let inline = Stream::Inline(b"s");
    let outside = |offset, len, size| WireError::ExtentOutside { offset, len, size };
    for (offset, len) in [(0, 101), (64, 37), (64, u64::MAX), (u64::MAX - 63, 64)] {
        let payload = in_segment(100, &[extent(offset, len)], inline);
        assert_payload_refused(&payload, outside(offset, len, 100));
        let payload = in_segment(100, &[], Stream::InSegment(extent(offset, len)));
        assert_payload_refused(&payload, outside(offset, len, 100));
    }
    assert_eq!(in_segment(100, &[extent(64, 36)], inline).check(), Ok(()));
    assert_eq!(in_segment(64, &[extent(64, 0)], inline).check(), Ok(()));
}

#[test]
fn parts_that_overlap_or_are_not_aligned_are_refused() {
    let inline = Stream::Inline(b"s");
    let overlaps = |offset| WireError::ExtentOverlaps { offset };
    let payload = in_segment(200, &[extent(0, 65), extent(64, 1)], inline);
    assert_payload_refused(&payload, overlaps(64));
    let payload = in_segment(200, &[extent(64, 10), extent(64, 10)], inline);
    assert_payload_refused(&payload, overlaps(64));
    let payload = in_segment(200, &[extent(64, 10)], Stream::InSegment(extent(73, 1)));
    assert_payload_refused(&payload, overlaps(73));
    let payload = in_segment(200, &[extent(64, 10)], Stream::InSegment(extent(0, 65)));
    assert_payload_refused(&payload, overlaps(64));
    let payload = in_segment(200, &[extent(32, 10)], inline);
    assert_payload_refused(&payload, WireError::ExtentMisaligned { offset: 32 });
    for stream in [extent(0, 64), extent(74, 1)] {
        let payload = in_segment(200, &[extent(64, 10)], Stream::InSegment(stream));
        assert_eq!(payload.check(), Ok(()));
    }
}

#[test]
fn segments_that_are_missing_unused_or_of_no_possible_size_are_refused() {
    let missing = |index| WireError::SegmentMissing { index };
    let payload = PayloadRef {
        buffers: vec![part(0, extent(0, 0))],
        ..PayloadRef::inline(&[])
    };
    assert_payload_refused(&payload, missing(0));
    let payload = PayloadRef {
        pieces: vec![Piece::Placed(part(0, extent(0, 1)))],
        ..PayloadRef::inline(&[])
    };
    assert_payload_refused(&payload, missing(0));
    let mut payload = in_segment(1, &[extent(0, 1)], Stream::Inline(b"s"));
    payload.buffers.push(part(1, extent(0, 0)));
    assert_payload_refused(&payload, missing(1));
    payload.segments.push(SegmentRef { id: 2, size: 1 });
    assert_eq!(payload.check(), Ok(()));
    for id in [3, 4] {
        payload.segments.push(SegmentRef { id, size: 1 });
    }
    payload.buffers.push(part(3, extent(0, 0)));
    assert_payload_refused(&payload, WireError::SegmentUnused { id: 3 });
    let payload = in_segment(1, &[], Stream::Inline(b"s"));
    assert_payload_refused(&payload, WireError::SegmentUnused { id: 1 });
    for size in [0, SEGMENT_MAX + 1, u64::MAX] {
        let payload = in_segment(size, &[extent(0, 0)], Stream::Inline(&[]));
        assert_payload_refused(&payload, WireError::SegmentSize { size });
    }
}

#[test]
fn pieces_that_do_not_make_a_stream_are_refused() {
    let placed = Piece::Placed(part(0, extent(0, 1)));
    let of = |pieces: &[Piece], inline| PayloadRef {
        pieces: pieces.to_vec(),
        ..in_segment(9, &[extent(0, 0)], Stream::Inline(inline))
    };
    let invalid = |index| WireError::PieceInvalid { index };
    let (one, two) = (Piece::Inline(1), Piece::Inline(2));
    assert_eq!(of(&[one, placed, two], b"abc").check(), Ok(()));
    assert_payload_refused(&of(&[one], b"a"), invalid(0));
    assert_payload_refused(&of(&[placed, one, two], b"abc"), invalid(2));
    assert_payload_refused(&of(&[placed, Piece::Inline(0)], b""), invalid(1));
    let empty = Piece::Placed(part(0, extent(0, 0)));
    assert_payload_refused(&of(&[empty, one], b"a"), invalid(0));
    for (held, pieces) in [(b"".as_slice(), [placed, one]), (b"abc", [placed, two])] {
        let inline = if held.is_empty() { 1 } else { 2 };
        let bytes = held.len() as u64;
        let error = WireError::PiecesDisagree { bytes, inline };
        assert_payload_refused(&of(&pieces, held), error);
    }
    let overlapping = of(&[placed, one, placed], b"a");
    assert_payload_refused(&overlapping, WireError::ExtentOverlaps { offset: 0 });
}

#[test]
fn more_segments_or_pieces_than_the_limit_are_refused_and_as_many_are_taken() {
    let mut payload = PayloadRef::inline(&[]);
    for index in 0..64 {
        payload.segments.push(SegmentRef { id: 1, size: 1 });
        payload
            .pieces
            .push(Piece::Placed(part(index, extent(0, 1))));
    }
    assert_eq!((SEGMENTS_MAX, PIECES_MAX), (64, 64));
    let mut bytes = Vec::new();
    payload.write(&mut bytes);
    assert_eq!(PayloadRef::decode(&bytes).as_ref(), Ok(&payload));
    let mut more = payload.clone();
    more.segments.push(SegmentRef { id: 1, size: 1 });
    assert_payload_refused(&more, WireError::SegmentsTooMany { count: 65 });
    payload.pieces.push(Piece::Placed(part(0, extent(1, 0))));
    assert_payload_refused(&payload, WireError::PiecesTooMany { count: 65 });
}

#[test]
fn descriptors_come_all_or_none() {
    let mut payload = in_segment(1, &[extent(0, 1)], Stream::Inline(b"s"));
    payload.segments.push(SegmentRef { id: 2, size: 1 });
    payload.buffers.push(part(1, extent(0, 1)));
    for fds in 0..4 {
        let header = Header::for_task(Kind::Task, 1, 1, 0).with_fds(fds);
        let body = TaskBody {
            generation: 1,
            payload: payload.clone(),
        };
        let mut bytes = Vec::new();
        encode_body(&header, &body, &mut bytes).unwrap();
        let mut decoder = Decoder::new(Role::ParentToWorker);
        decoder.push(&bytes);
        let frame = decoder.next().unwrap().unwrap();
        assert_eq!(frame.task_body().is_ok(), fds == 0 || fds == 2, "{fds}");
    }
}

#[test]
fn more_buffers_than_the_limit_are_refused_and_as_many_are_taken() {
    let mut buffers = vec![extent(0, 0); BUFFERS_MAX];
    let payload = in_segment(1, &buffers, Stream::InSegment(extent(0, 1)));
    let mut bytes = Vec::new();
    payload.write(&mut bytes);
    assert!(bytes.len() < BODY_MAX);
    assert_eq!(PayloadRef::decode(&bytes).as_ref(), Ok(&payload));
    buffers.push(extent(0, 0));
    let payload = in_segment(1, &buffers, Stream::InSegment(extent(0, 1)));
    let count = BUFFERS_MAX as u64 + 1;
    assert_payload_refused(&payload, WireError::BuffersTooMany { count });
    let lens = std::iter::repeat_n(0, BUFFERS_MAX + 1);
    assert_eq!(
        Layout::of(0, lens),
        Err(WireError::BuffersTooMany { count })
    );
    assert!(Layout::of(0, std::iter::repeat_n(0, BUFFERS_MAX)).is_ok());
}

#[test]
fn payload_bytes_that_are_short_left_over_or_reserved_are_refused() {
    let payload = in_segment(200, &[extent(0, 10)], Stream::InSegment(extent(64, 1)));
    let mut bytes = Vec::new();
    payload.write(&mut bytes);
    for len in 0..bytes.len() {
        let result = PayloadRef::decode(&bytes[..len]);
        assert!(
            matches!(result, Err(WireError::BodyShort { .. })),
            "{len}: {result:?}"
        );
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(
        PayloadRef::decode(&longer),
        Err(WireError::PiecesDisagree {
            bytes: 1,
            inline: 0
        })
    );
    let mut many = bytes.clone();
    many[0] = 65;
    assert_eq!(
        PayloadRef::decode(&many),
        Err(WireError::SegmentsTooMany { count: 65 })
    );
    for (at, reserved) in [(12, 9), (28, 7)] {
        let mut garbled = bytes.clone();
        garbled[at] = reserved;
        let value = u64::from(reserved);
        assert_eq!(
            PayloadRef::decode(&garbled),
            Err(WireError::ReservedUsed { value })
        );
    }
}

#[test]
fn spawn_targets_that_no_worker_can_have_are_refused() {
    let body = |targets: &[i32]| SpawnBody {
        setup_len: 0,
        targets: targets.to_vec(),
        rest: &[],
    };
    let cases = [
        (
            body(&[5, TARGET_MIN - 1]),
            WireError::TargetInvalid {
                target: TARGET_MIN - 1,
            },
        ),
        (body(&[-1]), WireError::TargetInvalid { target: -1 }),
        (body(&[5, 7, 5]), WireError::TargetRepeated { target: 5 }),
        (
            body(&(3..=3 + i32::from(EXTRA_MAX)).collect::<Vec<_>>()),
            WireError::ExtrasTooMany { count: 250 },
        ),
    ];
    for (body, error) in cases {
        assert_eq!(body.check(), Err(error));
        let mut bytes = Vec::new();
        body.write(&mut bytes);
        assert_eq!(SpawnBody::decode(&bytes), Err(error));
    }
}

#[test]
fn bodies_that_disagree_with_the_number_of_descriptors_are_refused() {
    let mut bytes = Vec::new();
    let task = Header::for_task(Kind::Task, 1, 1, 0).with_fds(1);
    let body = TaskBody {
        generation: 1,
        payload: PayloadRef::inline(b"s"),
    };
    encode_body(&task, &body, &mut bytes).unwrap();
    let frame = next_of(Role::ParentToWorker, &bytes).unwrap().unwrap();
    let error = WireError::DescriptorsDisagree {
        kind: Kind::Task,
        fds: 1,
        expected: 0,
    };
    assert_eq!(frame.task_body(), Err(error));
    assert_eq!(frame.into_payload(), Err(error));

    bytes.clear();
    let spawn = Header::for_worker(Kind::Spawn, 1, 0).with_fds(5);
    let body = SpawnBody {
        setup_len: 0,
        targets: vec![8, 9],
        rest: &[],
    };
    encode_body(&spawn, &body, &mut bytes).unwrap();
    let frame = next_of(Role::ParentToZygote, &bytes).unwrap().unwrap();
    let error = WireError::DescriptorsDisagree {
        kind: Kind::Spawn,
        fds: 5,
        expected: 6,
    };
    assert_eq!(frame.spawn_body(), Err(error));
}

#[test]
fn exited_flags_and_unfit_text_are_checked_when_asked_for() {
    let mut bytes = Vec::new();
    let mut body = [0; 32];
    body[24] = 4;
    encode(
        &Header::for_worker(Kind::Exited, 1, 0),
        &[&body],
        &mut bytes,
    )
    .unwrap();
    let frame = next_of(Role::ZygoteToParent, &bytes).unwrap().unwrap();
    assert_eq!(
        frame.exited_body(),
        Err(WireError::ReservedUsed { value: 4 })
    );

    bytes.clear();
    encode(&Header::bare(Kind::Unfit, 0), &[b"ok\xff"], &mut bytes).unwrap();
    let frame = next_of(Role::ZygoteToParent, &bytes).unwrap().unwrap();
    assert_eq!(
        frame.unfit_reason(),
        Err(WireError::TextInvalid { valid: 2 })
    );
    assert_eq!(
        frame.exited_body(),
        Err(WireError::KindUnexpected { kind: Kind::Unfit })
    );
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_truncated() {
    let mut bytes = Vec::new();
    encode(&Header::bare(Kind::Preload, 0), &[b"numpy"], &mut bytes).unwrap();
    for len in 1..bytes.len() {
        let mut decoder = Decoder::new(Role::ParentToZygote);
        decoder.push(&bytes[..len]);
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.end(), Err(WireError::Truncated { bytes: len }));
    }
}

#[test]
fn a_reader_that_takes_its_frames_is_never_flooded_and_one_that_does_not_is() {
    let mut frame = Vec::new();
    let body = vec![7; BODY_MAX];
    encode(&Header::bare(Kind::Preload, 0), &[&body], &mut frame).unwrap();
    let mut decoder = Decoder::new(Role::ParentToZygote);
    // The worst moment: all but one byte of the longest frame waits when the longest chunk comes.
    decoder.push(&frame[..HEADER_LEN + BODY_MAX - 1]);
    assert_eq!(decoder.next(), Ok(None));
    decoder.push(&[&frame[HEADER_LEN + BODY_MAX - 1..], &frame[..BODY_MAX - 1]].concat());
    assert_eq!(decoder.next().unwrap().unwrap().body, body);
    assert_eq!(decoder.next(), Ok(None));

    let mut decoder = Decoder::new(Role::ParentToZygote);
    let pieces = BUFFERED_MAX.div_ceil(frame.len()) + 1;
    for _ in 0..pieces {
        decoder.push(&frame);
    }
    let bytes = pieces * frame.len();
    assert_eq!(decoder.next(), Err(WireError::Flooded { bytes }));
    assert_eq!(decoder.pending(), 0, "what is refused is not kept");
}
