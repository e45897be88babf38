//! Frames that a well-behaved process could send, by chance.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use loky_wire::{
    DONE_RAISED, DoneBody, ExitedBody, Extent, Header, Kind, Layout, LeaveReason, Part, PayloadRef,
    Piece, Role, SPAWN_EXEC, SegmentRef, SpawnBody, TaskBody, encode, encode_body,
    limits::{LEDGER_SLOTS, SPAWN_FDS},
};

use super::Chance;

/// The kinds that travel this way.
pub fn kinds_of(role: Role) -> Vec<Kind> {
    Kind::ALL
        .into_iter()
        .filter(|kind| role.admits(*kind))
        .collect()
}

/// Appends one frame that may travel this way.
pub fn append_frame(chance: &mut Chance, role: Role, out: &mut Vec<u8>) {
    let kinds = kinds_of(role);
    let kind = kinds[chance.below(kinds.len())];
    append_frame_of(chance, kind, out);
}

/// Appends one frame of this kind.
pub fn append_frame_of(chance: &mut Chance, kind: Kind, out: &mut Vec<u8>) {
    let pid = chance.count(1 << 22);
    let worker = chance.next() | 1;
    match kind {
        Kind::Task | Kind::Done | Kind::InitializerFailed => append_payload(chance, kind, out),
        Kind::Spawn => append_spawn(chance, out),
        Kind::SegmentFreed => encode(&Header::bare(kind, chance.count(99)), &[], out).unwrap(),
        Kind::Leave | Kind::Bell | Kind::Stop => encode(&Header::bare(kind, 0), &[], out).unwrap(),
        Kind::Ready | Kind::Hello => encode(&Header::bare(kind, pid), &[], out).unwrap(),
        Kind::Leaving => {
            let reason = if chance.yes() {
                LeaveReason::Asked
            } else {
                LeaveReason::MemoryGrowth
            };
            encode(&Header::bare(kind, reason.code()), &[], out).unwrap();
        }
        Kind::Revoked => {
            let header = Header::for_task(kind, worker, chance.count(9), slot(chance));
            encode(&header, &[], out).unwrap();
        }
        Kind::Kill => {
            encode(
                &Header::for_worker(kind, worker, chance.count(64)),
                &[],
                out,
            )
            .unwrap();
        }
        Kind::Preload | Kind::Forget => {
            let len = chance.below(60);
            encode(&Header::bare(kind, 0), &[&chance.bytes(len)], out).unwrap();
        }
        Kind::Spawned => encode(&Header::for_worker(kind, worker, pid), &[], out).unwrap(),
        Kind::SpawnFailed => {
            encode(
                &Header::for_worker(kind, worker, chance.count(133)),
                &[],
                out,
            )
            .unwrap();
        }
        Kind::Exited => append_exited(chance, worker, out),
        Kind::Unfit => encode(&Header::bare(kind, 0), &[b"two threads"], out).unwrap(),
        Kind::Signalled => {
            encode(&Header::for_worker(kind, worker, 2), &[], out).unwrap();
        }
    }
}

fn append_exited(chance: &mut Chance, worker: u64, out: &mut Vec<u8>) {
    let body = ExitedBody {
        max_rss_bytes: chance.next(),
        user_ns: chance.next(),
        system_ns: chance.next(),
        killed_on_request: chance.yes(),
        passed_limit: chance.yes(),
    };
    let header = Header::for_worker(Kind::Exited, worker, chance.count(9));
    encode_body(&header, &body, out).unwrap();
}

fn slot(chance: &mut Chance) -> u16 {
    u16::try_from(chance.below(usize::from(LEDGER_SLOTS))).unwrap()
}

fn append_spawn(chance: &mut Chance, out: &mut Vec<u8>) {
    let extras = u16::try_from(chance.below(4)).unwrap();
    let rest_len = chance.below(20);
    let rest = chance.bytes(rest_len);
    let body = SpawnBody {
        setup_len: chance.count(1 << 20),
        targets: (0..extras).map(|extra| 3 + i32::from(extra)).collect(),
        rest: &rest,
    };
    let flags = if chance.yes() { SPAWN_EXEC } else { 0 };
    let header = Header::for_worker(Kind::Spawn, chance.next() | 1, chance.count(8))
        .with_flags(flags)
        .with_fds(SPAWN_FDS + extras);
    encode_body(&header, &body, out).unwrap();
}

fn append_payload(chance: &mut Chance, kind: Kind, out: &mut Vec<u8>) {
    let stream_len = chance.below(60);
    let stream = chance.bytes(stream_len);
    let payload = if kind == Kind::Task && chance.yes() {
        in_pieces(chance, &stream)
    } else {
        payload(chance, &stream)
    };
    let fds = if chance.yes() {
        u16::try_from(payload.segments.len()).unwrap()
    } else {
        0
    };
    let (task, attempt) = (chance.next() | 1, chance.count(3));
    let header = Header::for_task(kind, task, attempt, slot(chance)).with_fds(fds);
    match kind {
        Kind::Task => {
            let generation = chance.count(u32::MAX);
            encode_body(
                &header,
                &TaskBody {
                    generation,
                    payload,
                },
                out,
            )
            .unwrap();
        }
        Kind::Done => {
            let flags = if chance.yes() { DONE_RAISED } else { 0 };
            let body = DoneBody {
                run_ns: chance.next(),
                payload,
            };
            encode_body(&header.with_flags(flags), &body, out).unwrap();
        }
        _ => encode_body(&Header::bare(kind, 0).with_fds(fds), &payload, out).unwrap(),
    }
}

/// A payload over this stream, with or without a segment.
pub fn payload<'a>(chance: &mut Chance, stream: &'a [u8]) -> PayloadRef<'a> {
    let buffers = chance.below(4);
    let lens: Vec<usize> = (0..buffers).map(|_| chance.below(1 << 20)).collect();
    let mut layout = Layout::of(stream.len(), lens).unwrap();
    if chance.yes() {
        let offset = layout.segment_len;
        let len = u64::from(chance.count(1 << 20));
        layout.stream = Some(Extent { offset, len });
        layout.segment_len = offset + len;
    }
    let needed = layout.segment_len > 0;
    let size = layout.segment_len;
    let id = chance.count(u32::MAX);
    layout.into_payload(needed.then_some(SegmentRef { id, size }), stream)
}

/// A payload whose stream is joined from the frame and several segments.
fn in_pieces<'a>(chance: &mut Chance, stream: &'a [u8]) -> PayloadRef<'a> {
    let count = chance.count(5);
    let mut payload = PayloadRef::inline(stream);
    let mut rest = stream.len() as u64;
    for segment in 0..count {
        let (offset, len) = (
            u64::from(chance.count(1 << 20)),
            u64::from(chance.count(1 << 20)),
        );
        let extent = Extent { offset, len };
        payload.pieces.push(Piece::Placed(Part { segment, extent }));
        let end = (offset + len).next_multiple_of(64);
        let behind = Extent { offset: end, len };
        payload.buffers.push(Part {
            segment,
            extent: behind,
        });
        let (id, size) = (chance.count(99), end + len);
        payload.segments.push(SegmentRef { id, size });
        let inline = if segment + 1 == count {
            rest
        } else {
            u64::from(chance.count(u32::MAX)) % (rest + 1)
        };
        if inline > 0 {
            payload.pieces.push(Piece::Inline(inline));
            rest -= inline;
        }
    }
    payload
}
