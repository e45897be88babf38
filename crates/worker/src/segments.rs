//! Segments for results: this worker's own memory files, filled by it and mapped by the parent.
//!
//! Owned by the worker. A segment is filled by writing to the file, not through a mapping: a lack of
//! memory is then an error of a call instead of a SIGBUS, fresh pages cost no page faults, and no
//! address space is held. Only the parent says when one may be filled again.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use loky_shm::{Holder, SegmentPool, ShmError, size_for};
use loky_sys::{clock, errno, memory};
use loky_wire::limits::{BODY_MAX, INLINE_MAX};
use loky_wire::{Extent, Layout, PayloadRef, SegmentRef};

use crate::error::WorkerError;

/// Free segments are kept up to this many bytes, counted with those that the parent still holds.
const BUDGET_BYTES: u64 = 256 << 20;

/// A free segment is given up when nobody has needed it for this long.
const IDLE_NS_MAX: u64 = 10_000_000_000;

/// So many segments are kept in mind, and open, at the most. A parent that keeps thousands of results
/// must not fill this process's table of descriptors: what is beyond is given away for good.
const SEGMENTS_MAX: usize = 64;

/// A stream without buffers that is no longer than this travels in the frame when no segment can be
/// had: the fixed parts of a body take less than the difference.
const STREAM_WITHOUT_SEGMENT_MAX: usize = BODY_MAX - 1024;

/// An encoded value or exception, on its way to the parent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// It is an exception.
    pub raised: bool,
    /// It is one after which the task is to be tried again.
    pub retry_wanted: bool,
    /// The encoded bytes.
    pub stream: &'a [u8],
    /// The buffers that they refer to, in order.
    pub buffers: &'a [&'a [u8]],
}

/// An answer whose large parts are where the parent will look for them.
pub(crate) struct Packed<'a> {
    pub(crate) payload: PayloadRef<'a>,
    /// The taken segment, to be settled by [`ResultSegments::sent`] or [`ResultSegments::unsent`].
    pub(crate) segment: Option<SegmentRef>,
}

pub(crate) struct ResultSegments {
    pool: SegmentPool<File>,
    /// Segments that were given away for good and have not been said to be free.
    given_away: HashSet<u32>,
}

impl Outgoing<'_> {
    /// Whether any part of it is too large for a frame.
    pub(crate) fn is_large(&self) -> bool {
        !self.buffers.is_empty() || self.stream.len() > INLINE_MAX
    }
}

impl ResultSegments {
    pub(crate) fn new() -> Self {
        Self {
            pool: SegmentPool::new(BUDGET_BYTES, IDLE_NS_MAX),
            given_away: HashSet::new(),
        }
    }

    /// Puts the large parts of an answer into a segment.
    pub(crate) fn pack<'a>(&mut self, outgoing: &Outgoing<'a>) -> Result<Packed<'a>, WorkerError> {
        let lens = outgoing.buffers.iter().map(|buffer| buffer.len());
        let layout = Layout::of(outgoing.stream.len(), lens).map_err(WorkerError::Unsendable)?;
        if layout.segment_len == 0 {
            return Ok(Packed {
                payload: layout.into_payload(None, outgoing.stream),
                segment: None,
            });
        }
        match self.filled(&layout, outgoing) {
            Ok(segment) => Ok(Packed {
                payload: layout.into_payload(Some(segment), outgoing.stream),
                segment: Some(segment),
            }),
            Err(_)
                if outgoing.buffers.is_empty()
                    && outgoing.stream.len() <= STREAM_WITHOUT_SEGMENT_MAX =>
            {
                Ok(Packed {
                    payload: PayloadRef::inline(outgoing.stream),
                    segment: None,
                })
            }
            Err(source) => Err(WorkerError::Segment {
                needed_bytes: layout.segment_len,
                source,
            }),
        }
    }

    fn filled(&mut self, layout: &Layout, outgoing: &Outgoing<'_>) -> io::Result<SegmentRef> {
        let segment = self.acquire(layout.segment_len)?;
        match self.fill(segment.id, layout, outgoing) {
            Ok(()) => Ok(segment),
            Err(error) => {
                // Its pages are what is lacking, so they go back to the system.
                drop(self.pool.discard(segment.id));
                Err(error)
            }
        }
    }

    fn acquire(&mut self, len: u64) -> io::Result<SegmentRef> {
        if let Some(taken) = self.pool.take(len) {
            return Ok(SegmentRef {
                id: taken.id,
                size: taken.size,
            });
        }
        let size = size_for(len).ok_or_else(|| io::Error::from_raw_os_error(errno::ENOMEM))?;
        drop(self.pool.make_room(size));
        let file = File::from(memory::memfd(c"loky-result", size)?);
        Ok(SegmentRef {
            id: self.pool.insert(file, size),
            size,
        })
    }

    fn fill(&self, id: u32, layout: &Layout, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let file = self
            .pool
            .storage(id)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let stream: Option<(&Extent, &[u8])> = layout
            .stream
            .as_ref()
            .map(|extent| (extent, outgoing.stream));
        let buffers = layout.buffers.iter().zip(outgoing.buffers.iter().copied());
        for (extent, bytes) in buffers.chain(stream) {
            file.write_all_at(bytes, extent.offset)?;
        }
        Ok(())
    }

    /// The descriptor of a segment, for the frame that names it.
    pub(crate) fn descriptor(&self, id: u32) -> Option<BorrowedFd<'_>> {
        self.pool.storage(id).map(AsFd::as_fd)
    }

    /// A taken segment is the parent's from now on.
    pub(crate) fn sent(&mut self, id: u32) -> Result<(), ShmError> {
        if self.pool.len() > SEGMENTS_MAX || self.pool.bytes_held() > BUDGET_BYTES {
            // Without this descriptor its pages end with the parent's last view.
            drop(self.pool.discard(id)?);
            self.given_away.insert(id);
            return Ok(());
        }
        self.pool.lend(id, Holder::ONLY)
    }

    /// A taken segment did not leave.
    pub(crate) fn unsent(&mut self, id: u32) -> Result<(), ShmError> {
        self.pool.give_back(id)
    }

    /// The parent's last view of a segment has died.
    pub(crate) fn freed(&mut self, id: u32) -> Result<(), ShmError> {
        if self.given_away.remove(&id) {
            return Ok(());
        }
        self.pool.freed(id, Holder::ONLY).map(|_| ())
    }

    /// How long the worker may wait before [`Self::trim`] is due; `None` where nothing is free.
    pub(crate) fn trim_interval_ns(&self) -> Option<u64> {
        (self.pool.bytes_free() > 0).then_some(IDLE_NS_MAX)
    }

    /// Gives up what has not been needed for long, or is more than the budget.
    pub(crate) fn trim(&mut self) {
        drop(self.pool.trim(clock::monotonic_ns()));
    }
}
