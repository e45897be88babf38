//! What a task is made of while it waits, and how its frame describes it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use loky_core::ids::TaskId;
use loky_wire::limits::SEGMENTS_MAX;
use loky_wire::{Extent, Part, PayloadRef, Piece, SegmentRef};

use crate::copies::held_of;
use crate::front::Buffer;
use crate::library::{BlobId, Home};
use crate::segments::TaskSegments;
use crate::state::{State, TaskEntry};
use crate::waiting::{Address, Followers};

/// The most byte strings that one task has in common with others: each may need a segment of its own
/// in the frame, beside the two that a task may fill.
pub(crate) const BLOBS_MAX: usize = SEGMENTS_MAX - 4;

/// A buffer of a task.
pub(crate) enum TaskBuffer {
    /// It has not been copied yet, and may change until then.
    Held(Box<dyn Buffer>),
    /// It is this byte string.
    Known(BlobId),
    /// It was copied for this task alone.
    Own(Home),
}

/// A piece of the stream of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamPiece {
    /// The next so many bytes of the entry's own.
    Inline(usize),
    /// A range of a byte string.
    Known { blob: BlobId, range: Extent },
}

/// The frame's description of a task whose large bytes have been copied.
pub(crate) struct Placed {
    pub(crate) segments: Vec<(SegmentRef, Arc<OwnedFd>)>,
    buffers: Vec<Part>,
    pieces: Vec<Piece>,
}

impl TaskEntry {
    /// Whether anything of it is too large for a frame.
    pub(crate) fn needs_segment(&self) -> bool {
        self.placed.is_none() && (!self.buffers.is_empty() || !self.pieces.is_empty())
    }

    /// The byte strings that it needs, each as often as it does.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = BlobId> {
        let of_stream = self.pieces.iter().filter_map(|piece| match piece {
            StreamPiece::Known { blob, .. } => Some(*blob),
            StreamPiece::Inline(_) => None,
        });
        of_stream.chain(blobs_of(&self.buffers))
    }
}

/// The byte strings among these buffers.
pub(crate) fn blobs_of(buffers: &[TaskBuffer]) -> impl Iterator<Item = BlobId> {
    buffers.iter().filter_map(|buffer| match buffer {
        TaskBuffer::Known(blob) => Some(*blob),
        TaskBuffer::Held(_) | TaskBuffer::Own(_) => None,
    })
}

/// The segments of a frame as they are named, and which of their ranges are taken.
struct Table<'a> {
    segments: &'a TaskSegments,
    named: Vec<(SegmentRef, Arc<OwnedFd>)>,
    ranges: Vec<(u32, Extent)>,
}

impl Table<'_> {
    /// Names the segment once more where this range is taken already: the receiver maps it twice, so
    /// that two buffers of the same bytes share no memory.
    fn part(&mut self, home: Home) -> Option<Part> {
        let overlaps = |taken: &Extent| {
            let (start, end) = (home.extent.offset, home.extent.end());
            taken.offset < end.unwrap_or(u64::MAX) && start < taken.end().unwrap_or(u64::MAX)
        };
        let segment = self.index_of(home.segment, |table, index| {
            let mut taken = table.ranges.iter().filter(|(at, _)| *at == index);
            !taken.any(|(_, taken)| overlaps(taken))
        })?;
        self.ranges.push((segment, home.extent));
        Some(Part {
            segment,
            extent: home.extent,
        })
    }

    /// A range that nobody else names: no need to look whether it is taken, for there may be
    /// thousands.
    fn own(&mut self, home: Home) -> Option<Part> {
        Some(Part {
            segment: self.index_of(home.segment, |_, _| true)?,
            extent: home.extent,
        })
    }

    /// Where a segment is named so that it fits; it is named once more where there is no such place.
    fn index_of(&mut self, segment: u32, fits: impl Fn(&Self, u32) -> bool) -> Option<u32> {
        let named = self.named.iter().zip(0_u32..);
        let mut places = named
            .filter(|((named, _), _)| named.id == segment)
            .map(|(_, index)| index);
        match places.find(|index| fits(self, *index)) {
            Some(index) => Some(index),
            None => self.name(segment),
        }
    }

    fn name(&mut self, segment: u32) -> Option<u32> {
        let store = self.segments.pool.storage(segment)?;
        let reference = SegmentRef {
            id: segment,
            size: store.size,
        };
        self.named.push((reference, Arc::clone(&store.file)));
        u32::try_from(self.named.len() - 1).ok()
    }
}

impl Placed {
    /// Describes a task all of whose large bytes have been copied.
    pub(crate) fn of(entry: &TaskEntry, segments: &TaskSegments) -> Option<Self> {
        let mut table = Table {
            segments,
            named: Vec::new(),
            ranges: Vec::new(),
        };
        let mut buffers = Vec::with_capacity(entry.buffers.len());
        for buffer in &entry.buffers {
            buffers.push(match buffer {
                TaskBuffer::Held(_) => return None,
                TaskBuffer::Known(blob) => table.part(segments.library.home(*blob)?)?,
                TaskBuffer::Own(home) => table.own(*home)?,
            });
        }
        let mut pieces = Vec::with_capacity(entry.pieces.len());
        for piece in &entry.pieces {
            pieces.push(match piece {
                StreamPiece::Inline(len) => Piece::Inline(*len as u64),
                StreamPiece::Known { blob, range } => {
                    let home = segments.library.home(*blob)?;
                    let offset = home.extent.offset.checked_add(range.offset)?;
                    let extent = Extent {
                        offset,
                        len: range.len,
                    };
                    Piece::Placed(table.part(Home { extent, ..home })?)
                }
            });
        }
        Some(Self {
            segments: table.named,
            buffers,
            pieces,
        })
    }

    /// The payload, and the descriptors beside it.
    pub(crate) fn payload<'a>(&self, inline: &'a [u8]) -> (PayloadRef<'a>, Vec<Arc<OwnedFd>>) {
        let payload = PayloadRef {
            segments: self.segments.iter().map(|(segment, _)| *segment).collect(),
            buffers: self.buffers.clone(),
            pieces: self.pieces.clone(),
            inline,
        };
        let files = self.segments.iter().map(|(_, file)| Arc::clone(file));
        (payload, files.collect())
    }
}

impl State {
    /// Tasks that wait with the memory that a byte string was found in need not look for themselves.
    pub(crate) fn have_follow(&mut self, followers: Followers, found: BlobId) {
        let mut discarded = Vec::new();
        for task in followers.tasks {
            let Some(entry) = self.tasks.get_mut(&task).filter(|entry| !entry.copying) else {
                continue;
            };
            let mut blobs_left = BLOBS_MAX.saturating_sub(entry.blobs().count());
            for buffer in &mut entry.buffers {
                let is_it = matches!(&*buffer, TaskBuffer::Held(held)
                    if Address::of(&**held) == Some(followers.address));
                if !is_it || blobs_left == 0 {
                    continue;
                }
                blobs_left -= 1;
                self.segments.hold(found);
                if let TaskBuffer::Held(held) = std::mem::replace(buffer, TaskBuffer::Known(found))
                {
                    self.segments.traffic.bytes_recognised += held.bytes().len() as u64;
                    discarded.push(held);
                }
            }
        }
        self.discard(discarded);
    }

    /// A task is over: it follows nobody.
    pub(crate) fn wait_no_more(&mut self, task: TaskId, buffers: &[TaskBuffer]) {
        if !self.waiting.is_empty() {
            for buffer in held_of(buffers) {
                self.waiting.remove(task, buffer);
            }
        }
    }
}
