//! What a task has in common with those before it, found out when it is submitted, by the caller.
//!
//! Looks only at what cannot change: the stream, and buffers that the front calls constant. The
//! others are compared when they are copied.

use std::sync::Arc;

use loky_wire::Extent;
use loky_wire::limits::INLINE_MAX;

use crate::content::{Content, Print, RUNS_MAX, Run, Source};
use crate::front::{Buffer, TaskPayload};
use crate::library::{BlobId, LARGE_MIN, Sort};
use crate::parts::{BLOBS_MAX, StreamPiece, TaskBuffer};
use crate::segments::TaskSegments;
use crate::state::TaskEntry;

/// The byte strings that one stream is made of at the most: runs, and what is between them.
pub(crate) const STREAM_BLOBS_MAX: usize = 2 * RUNS_MAX + 1;

/// Bytes between two runs travel in the frame up to this many.
const BETWEEN_MAX: usize = INLINE_MAX / (RUNS_MAX + 1);

/// A task that has not been accepted yet.
pub(crate) struct Draft {
    stream: DraftStream,
    buffers: Vec<DraftBuffer>,
}

enum DraftStream {
    Small(Vec<u8>),
    Large {
        bytes: Arc<Vec<u8>>,
        print: Print,
        candidates: Vec<(BlobId, Content)>,
        found: Option<Common>,
    },
}

enum DraftBuffer {
    Held(Box<dyn Buffer>),
    Constant {
        source: Source,
        print: Print,
        candidates: Vec<(BlobId, Content)>,
        found: Option<BlobId>,
    },
}

/// What a stream has in common with a byte string.
struct Common {
    blob: BlobId,
    runs: Vec<Run>,
}

/// Whether there is anything to recognise in it.
fn is_large(payload: &TaskPayload) -> bool {
    payload.stream.len() > INLINE_MAX || payload.buffers.iter().any(is_large_constant)
}

#[expect(clippy::borrowed_box, reason = "the form that the iterator gives")]
fn is_large_constant(buffer: &Box<dyn Buffer>) -> bool {
    buffer.is_constant() && buffer.bytes().len() >= LARGE_MIN
}

impl Draft {
    /// A task in which nothing can be recognised at once; gives the payload back where there is.
    pub(crate) fn small(payload: TaskPayload) -> Result<Self, TaskPayload> {
        if is_large(&payload) {
            return Err(payload);
        }
        Ok(Self {
            stream: DraftStream::Small(payload.stream),
            buffers: payload.buffers.into_iter().map(DraftBuffer::Held).collect(),
        })
    }

    /// A task whose large parts are to be looked for.
    pub(crate) fn large(payload: TaskPayload) -> Self {
        let stream = if payload.stream.len() > INLINE_MAX {
            DraftStream::Large {
                print: Print::of(&payload.stream),
                bytes: Arc::new(payload.stream),
                candidates: Vec::new(),
                found: None,
            }
        } else {
            DraftStream::Small(payload.stream)
        };
        let mut blobs_left = BLOBS_MAX - STREAM_BLOBS_MAX;
        let buffers = payload.buffers.into_iter().map(|buffer| {
            if blobs_left == 0 || !is_large_constant(&buffer) {
                return DraftBuffer::Held(buffer);
            }
            blobs_left -= 1;
            let source: Source = Arc::from(buffer);
            DraftBuffer::Constant {
                print: Print::of(source.bytes()),
                source,
                candidates: Vec::new(),
                found: None,
            }
        });
        let buffers = buffers.collect();
        Self { stream, buffers }
    }

    /// Collects what its parts may be, under the lock. All of it is held until the draft is settled.
    pub(crate) fn look_up(&mut self, segments: &mut TaskSegments) {
        if let DraftStream::Large {
            bytes,
            print,
            candidates,
            ..
        } = &mut self.stream
        {
            *candidates = segments.candidates(*print);
            candidates.extend(segments.similar(bytes));
        }
        for buffer in &mut self.buffers {
            let DraftBuffer::Constant {
                source,
                print,
                candidates,
                found,
            } = buffer
            else {
                continue;
            };
            *found = segments.library.of_object(source);
            match *found {
                Some(blob) => segments.hold(blob),
                None => *candidates = segments.candidates(*print),
            }
        }
    }

    /// Compares every byte with what it may be, without the lock.
    pub(crate) fn compare(&mut self) {
        if let DraftStream::Large {
            bytes,
            candidates,
            found,
            ..
        } = &mut self.stream
        {
            *found = candidates
                .iter()
                .find_map(|(blob, content)| common(*blob, content, bytes));
        }
        for buffer in &mut self.buffers {
            if let DraftBuffer::Constant {
                source,
                candidates,
                found,
                ..
            } = buffer
                && found.is_none()
            {
                *found = is_any_of(candidates, source.bytes());
            }
        }
    }

    /// The task, its large parts known from now on.
    pub(crate) fn settle(self, segments: &mut TaskSegments) -> TaskEntry {
        let (stream, pieces) = match self.stream {
            DraftStream::Small(bytes) => (bytes, Vec::new()),
            DraftStream::Large {
                bytes,
                print,
                candidates,
                found,
            } => {
                let settled = match found {
                    Some(common) => joined(&bytes, &common, segments),
                    None => (Vec::new(), vec![new_stream(bytes, print, segments)]),
                };
                release(candidates, segments);
                settled
            }
        };
        let mut buffers = Vec::with_capacity(self.buffers.len());
        for buffer in self.buffers {
            buffers.push(match buffer {
                DraftBuffer::Held(buffer) => TaskBuffer::Held(buffer),
                DraftBuffer::Constant {
                    source,
                    print,
                    candidates,
                    found,
                } => {
                    let by_address = candidates.is_empty();
                    let blob = settled_object(source, print, found, by_address, segments);
                    release(candidates, segments);
                    TaskBuffer::Known(blob)
                }
            });
        }
        TaskEntry::new(stream, pieces, buffers)
    }
}

/// The byte string that these bytes are.
pub(crate) fn is_any_of(candidates: &[(BlobId, Content)], bytes: &[u8]) -> Option<BlobId> {
    let same = candidates.iter().find(|(_, content)| content.is(bytes));
    same.map(|(blob, _)| *blob)
}

/// Candidates that were looked at need not be held for that any more.
pub(crate) fn release(candidates: Vec<(BlobId, Content)>, segments: &mut TaskSegments) {
    for (blob, _) in candidates {
        segments.release(blob);
    }
}

/// What a stream has in common with a byte string, where that is half of it or more.
fn common(blob: BlobId, content: &Content, bytes: &[u8]) -> Option<Common> {
    let runs = content.common_runs(bytes);
    let len: usize = runs.iter().map(|run| run.len).sum();
    (len >= LARGE_MIN && len >= bytes.len() / 2).then_some(Common { blob, runs })
}

fn new_stream(bytes: Arc<Vec<u8>>, print: Print, segments: &mut TaskSegments) -> StreamPiece {
    let range = whole(&bytes);
    let blob = segments.add(print, Sort::Stream, bytes);
    StreamPiece::Known { blob, range }
}

fn whole(bytes: &[u8]) -> Extent {
    Extent {
        offset: 0,
        len: bytes.len() as u64,
    }
}

/// A stream as runs that are known, and what is between them.
fn joined(
    bytes: &[u8],
    common: &Common,
    segments: &mut TaskSegments,
) -> (Vec<u8>, Vec<StreamPiece>) {
    let (mut inline, mut pieces) = (Vec::new(), Vec::new());
    let mut at = 0;
    for run in &common.runs {
        let between = bytes.get(at..run.new_at).unwrap_or_default();
        add_between(between, &mut inline, &mut pieces, segments);
        segments.hold(common.blob);
        pieces.push(StreamPiece::Known {
            blob: common.blob,
            range: Extent {
                offset: run.known_at as u64,
                len: run.len as u64,
            },
        });
        segments.traffic.bytes_recognised += run.len as u64;
        at = run.new_at + run.len;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    add_between(rest, &mut inline, &mut pieces, segments);
    (inline, pieces)
}

fn add_between(
    bytes: &[u8],
    inline: &mut Vec<u8>,
    pieces: &mut Vec<StreamPiece>,
    segments: &mut TaskSegments,
) {
    if bytes.is_empty() {
        return;
    }
    if bytes.len() <= BETWEEN_MAX {
        inline.extend_from_slice(bytes);
        pieces.push(StreamPiece::Inline(bytes.len()));
        return;
    }
    let print = Print::of(bytes);
    let blob = segments.add(print, Sort::Copy, Arc::new(bytes.to_vec()));
    let range = whole(bytes);
    pieces.push(StreamPiece::Known { blob, range });
}

/// The byte string that an object is, held for its task.
fn settled_object(
    source: Source,
    print: Print,
    found: Option<BlobId>,
    by_address: bool,
    segments: &mut TaskSegments,
) -> BlobId {
    let len = source.bytes().len() as u64;
    let is_held = found.is_some() && by_address;
    // Somebody else may have brought the same object meanwhile.
    if let Some(blob) = found.or_else(|| segments.library.of_object(&source)) {
        if !is_held {
            segments.hold(blob);
        }
        segments.traffic.bytes_recognised += len;
        // The next task that brings the same object need not compare it.
        if let Some(source) = segments.library.adopt(blob, source) {
            segments.discarded.push(Box::new(source));
        }
        return blob;
    }
    segments.add(print, Sort::Object, source)
}
