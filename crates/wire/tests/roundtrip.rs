//! Whatever a sender may say arrives as it was said, however the stream is cut.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/laws.rs"]
mod laws;

use loky_wire::{
    Body, DONE_RAISED, DoneBody, ExitedBody, Extent, Frame, Header, Kind, Layout, LeaveReason,
    Part, PayloadRef, Piece, Role, SPAWN_EXEC, SegmentRef, SpawnBody, TaskBody, encode,
    encode_body,
    limits::{BUFFER_ALIGN, LEDGER_SLOTS, SPAWN_FDS, TARGET_MIN},
};
use proptest::{collection::vec, prelude::*};

/// A payload whose stream is owned, so that a strategy can make it.
#[derive(Clone, Debug)]
struct Parts {
    segment: Option<SegmentRef>,
    buffers: Vec<Extent>,
    in_segment: Option<Extent>,
    inline: Vec<u8>,
}

impl Parts {
    fn payload(&self) -> PayloadRef<'_> {
        let part = |extent| Part { segment: 0, extent };
        let in_segment = self.in_segment.map(part).map(Piece::Placed);
        PayloadRef {
            segments: self.segment.into_iter().collect(),
            buffers: self.buffers.iter().copied().map(part).collect(),
            pieces: in_segment.into_iter().collect(),
            inline: &self.inline,
        }
    }
}

/// Payloads as `Layout` never makes them too: with gaps, and with the stream first.
fn parts() -> impl Strategy<Value = Parts> {
    let gaps_and_lens = vec((0_u64..9, 0_u64..1 << 30), 0..6);
    let stream_place = prop_oneof![Just(None), Just(Some(true)), Just(Some(false))];
    let stream_len = 1_u64..1 << 40;
    (
        gaps_and_lens,
        stream_place,
        stream_len,
        any::<u32>(),
        vec(any::<u8>(), 0..200),
        1_u64..99,
    )
        .prop_map(
            |(gaps_and_lens, stream_place, stream_len, id, inline, slack)| {
                let mut end = 0_u64;
                let mut in_segment = None;
                if stream_place == Some(true) {
                    in_segment = Some(Extent {
                        offset: end,
                        len: stream_len,
                    });
                    end += stream_len;
                }
                let mut buffers = Vec::new();
                for (gap, len) in gaps_and_lens {
                    let offset = end.next_multiple_of(BUFFER_ALIGN) + gap * BUFFER_ALIGN;
                    buffers.push(Extent { offset, len });
                    end = offset + len;
                }
                if stream_place == Some(false) {
                    in_segment = Some(Extent {
                        offset: end + slack,
                        len: stream_len,
                    });
                    end += slack + stream_len;
                }
                let needed = in_segment.is_some() || !buffers.is_empty();
                let segment = needed.then_some(SegmentRef {
                    id,
                    size: end + slack,
                });
                let inline = if in_segment.is_some() {
                    Vec::new()
                } else {
                    inline
                };
                Parts {
                    segment,
                    buffers,
                    in_segment,
                    inline,
                }
            },
        )
}

prop_compose! {
    fn task_header(kind: Kind)(
        task in 1..=u64::MAX,
        attempt in 1..=u32::MAX,
        slot in 0..LEDGER_SLOTS,
    ) -> Header {
        Header::for_task(kind, task, attempt, slot)
    }
}

fn framed(header: &Header, body: &impl Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_body(header, body, &mut bytes).unwrap();
    bytes
}

fn only_frame(role: Role, bytes: &[u8]) -> Frame {
    let (frames, error) = laws::check_stream(role, bytes);
    assert_eq!(error, None);
    let [frame] = <[Frame; 1]>::try_from(frames).unwrap();
    frame
}

/// Frames without a typed body, for each direction.
fn plain_frame(role: Role) -> BoxedStrategy<Vec<u8>> {
    let worker = 1..=u64::MAX;
    let pid = 1..=i32::MAX.cast_unsigned();
    let bare = |kind| move |aux| (Header::bare(kind, aux), Vec::new());
    let about = |kind| move |(worker, aux)| (Header::for_worker(kind, worker, aux), Vec::new());
    let bytes = |kind| move |body| (Header::bare(kind, 0), body);
    let frames = match role {
        Role::ParentToWorker => prop_oneof![
            any::<u32>().prop_map(bare(Kind::SegmentFreed)),
            Just(0).prop_map(bare(Kind::Leave)),
            Just(0).prop_map(bare(Kind::Bell)),
        ]
        .boxed(),
        Role::WorkerToParent => prop_oneof![
            any::<u32>().prop_map(bare(Kind::SegmentFreed)),
            pid.prop_map(bare(Kind::Ready)),
            Just(0).prop_map(bare(Kind::Bell)),
            Just(LeaveReason::Asked.code()).prop_map(bare(Kind::Leaving)),
            task_header(Kind::Revoked).prop_map(|header| (header, Vec::new())),
        ]
        .boxed(),
        Role::ParentToZygote => prop_oneof![
            (worker, 1..=64_u32).prop_map(about(Kind::Kill)),
            Just(0).prop_map(bare(Kind::Stop)),
            vec(any::<u8>(), 0..300).prop_map(bytes(Kind::Preload)),
        ]
        .boxed(),
        Role::ZygoteToParent => prop_oneof![
            pid.clone().prop_map(bare(Kind::Hello)),
            (worker.clone(), pid.clone()).prop_map(about(Kind::Spawned)),
            (worker.clone(), pid).prop_map(about(Kind::SpawnFailed)),
            (worker, 1..=64_u32).prop_map(about(Kind::Signalled)),
            vec(any::<u8>(), 0..300).prop_map(bytes(Kind::Unfit)),
        ]
        .boxed(),
    };
    frames
        .prop_map(|(header, body)| {
            let mut bytes = Vec::new();
            encode(&header, &[&body], &mut bytes).unwrap();
            bytes
        })
        .boxed()
}

fn role() -> impl Strategy<Value = Role> {
    proptest::sample::select(&Role::ALL)
}

proptest! {
    #[test]
    fn a_task_arrives_as_it_was_sent(
        header in task_header(Kind::Task), generation: u32, parts in parts(), carried: bool,
    ) {
        let header = header.with_fds(u16::from(carried && parts.segment.is_some()));
        let body = TaskBody { generation, payload: parts.payload() };
        let frame = only_frame(Role::ParentToWorker, &framed(&header, &body));
        prop_assert_eq!(frame.header, Header { len: frame.header.len, ..header });
        prop_assert_eq!(frame.task_body().unwrap(), body);
    }

    #[test]
    fn a_result_arrives_as_it_was_sent_borrowed_or_owned(
        header in task_header(Kind::Done), run_ns: u64, parts in parts(), raised: bool,
    ) {
        let header = header.with_flags(if raised { DONE_RAISED } else { 0 });
        let body = DoneBody { run_ns, payload: parts.payload() };
        let frame = only_frame(Role::WorkerToParent, &framed(&header, &body));
        prop_assert_eq!(frame.header, Header { len: frame.header.len, ..header });
        prop_assert_eq!(&frame.done_body().unwrap(), &body);
        let owned = frame.into_payload().unwrap();
        prop_assert_eq!(owned.segments(), &body.payload.segments);
        prop_assert_eq!(owned.buffers(), &body.payload.buffers);
        prop_assert_eq!(owned.pieces(), &body.payload.pieces);
        prop_assert_eq!(owned.inline(), body.payload.inline);
    }

    #[test]
    fn a_spawn_arrives_as_it_was_sent(
        worker in 1..=u64::MAX, index: u32, exec: bool, setup_len: u32,
        targets in proptest::collection::hash_set(TARGET_MIN..=i32::MAX, 0..20),
        rest in vec(any::<u8>(), 0..100),
    ) {
        let targets: Vec<i32> = targets.into_iter().collect();
        let header = Header::for_worker(Kind::Spawn, worker, index)
            .with_flags(if exec { SPAWN_EXEC } else { 0 })
            .with_fds(SPAWN_FDS + u16::try_from(targets.len()).unwrap());
        let body = SpawnBody { setup_len, targets, rest: &rest };
        let frame = only_frame(Role::ParentToZygote, &framed(&header, &body));
        prop_assert_eq!(frame.header, Header { len: frame.header.len, ..header });
        prop_assert_eq!(frame.spawn_body().unwrap(), body);
    }

    #[test]
    fn an_exit_arrives_as_it_was_sent(
        worker in 1..=u64::MAX, status: u32, max_rss_bytes: u64, user_ns: u64, system_ns: u64,
        killed_on_request: bool, passed_limit: bool,
    ) {
        let header = Header::for_worker(Kind::Exited, worker, status);
        let body = ExitedBody { max_rss_bytes, user_ns, system_ns, killed_on_request, passed_limit };
        let frame = only_frame(Role::ZygoteToParent, &framed(&header, &body));
        prop_assert_eq!(frame.header, Header { len: frame.header.len, ..header });
        prop_assert_eq!(frame.exited_body().unwrap(), body);
    }

    #[test]
    fn cutting_a_stream_in_two_anywhere_gives_the_same_frames(
        (role, frames) in role().prop_flat_map(|role| (Just(role), vec(plain_frame(role), 1..5))),
    ) {
        let stream = frames.concat();
        let whole = laws::check_stream(role, &stream);
        prop_assert_eq!(whole.0.len(), frames.len());
        prop_assert_eq!(whole.1, None);
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            prop_assert_eq!(&laws::verdict_of(role, [first, second]), &whole);
        }
        prop_assert_eq!(&laws::verdict_of(role, stream.chunks(1)), &whole);
    }

    #[test]
    fn a_layout_is_a_payload_that_arrives(
        stream_len in 0..200_000_usize, lens in vec(0..5_000_000_usize, 0..8), id: u32,
    ) {
        let layout = Layout::of(stream_len, lens.iter().copied()).unwrap();
        let stream = vec![1; stream_len];
        let size = layout.segment_len;
        let payload = layout.into_payload((size > 0).then_some(SegmentRef { id, size }), &stream);
        prop_assert!(payload.buffers.iter().map(|buffer| buffer.extent.len).eq(lens.iter().map(|&len| len as u64)));
        let frame = only_frame(
            Role::WorkerToParent,
            &framed(&Header::bare(Kind::InitializerFailed, 0), &payload),
        );
        let owned = frame.into_payload().unwrap();
        prop_assert_eq!(owned.pieces(), &payload.pieces);
        prop_assert_eq!(owned.inline(), payload.inline);
    }
}
