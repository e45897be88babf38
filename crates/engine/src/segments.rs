//! Segments of the parent: the large bytes of tasks, copied once into recycled shared pages.
//!
//! A segment is held by its task until the task is over, so that it can be sent again, and lent to
//! a worker until the worker says that its last view is gone. Free of both, it is filled anew.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use loky_core::event::Event;
use loky_core::ids::{TaskId, WorkerId};
use loky_shm::{Holder, SegmentPool, size_for};
use loky_sys::errno;
use loky_sys::memory::{self, Mapping};
use loky_wire::limits::INLINE_MAX;
use loky_wire::{Extent, Layout, PayloadRef, SegmentRef, Stream, WireError};

use crate::front::{Buffer, Delivery};
use crate::state::{Received, State, TaskEntry};

/// Copies up to this size are made by whoever holds the lock: a hand-over to the loop costs more.
const COPY_AT_ONCE_MAX: u64 = 1 << 20;

/// A memory file and its pages here.
pub(crate) struct Store {
    file: Arc<OwnedFd>,
    pages: Arc<Mapping>,
}

/// Where the large bytes of a task lie.
pub(crate) struct Placed {
    pub(crate) segment: u32,
    pub(crate) size: u64,
    pub(crate) file: Arc<OwnedFd>,
    pub(crate) buffers: Vec<Extent>,
    /// The stream, where it is large itself.
    pub(crate) stream: Option<Extent>,
}

/// How long a segment may be free before its pages are given back.
const IDLE_MAX_NS: u64 = 2_000_000_000;

/// The holder of a segment that is its own task; workers are numbered from 1.
const TASK: Holder = Holder(0);

/// All segments of a pool.
pub(crate) struct TaskSegments {
    pool: SegmentPool<Store>,
}

/// A copy to be made without the lock.
pub(crate) struct CopyJob {
    task: TaskId,
    stream: Vec<u8>,
    buffers: Vec<Box<dyn Buffer>>,
    pages: Arc<Mapping>,
    placed: Placed,
}

impl CopyJob {
    /// Makes the copy.
    pub(crate) fn run(self) -> CopyJob {
        if let Some(extent) = self.placed.stream {
            write(&self.pages, extent, &self.stream);
        }
        for (buffer, extent) in self.buffers.iter().zip(&self.placed.buffers) {
            write(&self.pages, *extent, buffer.bytes());
        }
        self
    }
}

/// The extents were computed from these very lengths, and the segment was made for them.
fn write(pages: &Mapping, extent: Extent, bytes: &[u8]) {
    let written =
        usize::try_from(extent.offset).is_ok_and(|offset| pages.write_at(offset, bytes).is_ok());
    debug_assert!(written, "an extent lies outside of its segment");
}

impl TaskEntry {
    /// A task as it was submitted.
    pub(crate) fn new(payload: crate::front::TaskPayload) -> Self {
        Self {
            stream: payload.stream,
            buffers: payload.buffers,
            placed: None,
            placement: None,
            copying: false,
            received: None,
            report: None,
            watched: None,
        }
    }

    /// Whether anything of it is too large for a frame.
    pub(crate) fn needs_segment(&self) -> bool {
        self.placed.is_none() && (!self.buffers.is_empty() || self.stream.len() > INLINE_MAX)
    }

    fn layout(&self) -> Result<Layout, WireError> {
        Layout::of(
            self.stream.len(),
            self.buffers.iter().map(|buffer| buffer.bytes().len()),
        )
    }
}

impl TaskSegments {
    pub(crate) fn new(budget_bytes: u64) -> Self {
        Self {
            pool: SegmentPool::new(budget_bytes, IDLE_MAX_NS),
        }
    }

    /// A segment for `len` bytes, recycled where one is free, held by its task.
    fn acquire(&mut self, len: u64) -> io::Result<(u32, u64, Arc<OwnedFd>, Arc<Mapping>)> {
        let found = self.pool.take(len).map(|taken| {
            (
                taken.id,
                taken.size,
                Arc::clone(&taken.storage.file),
                Arc::clone(&taken.storage.pages),
            )
        });
        let (id, size, file, pages) = match found {
            Some(found) => found,
            None => self.make(len)?,
        };
        self.pool
            .lend(id, TASK)
            .map_err(|_| io::Error::from_raw_os_error(errno::EINVAL))?;
        Ok((id, size, file, pages))
    }

    fn make(&mut self, len: u64) -> io::Result<(u32, u64, Arc<OwnedFd>, Arc<Mapping>)> {
        let too_large = || io::Error::from_raw_os_error(errno::ENOMEM);
        let size = size_for(len).ok_or_else(too_large)?;
        drop(self.pool.make_room(size));
        let file = Arc::new(memory::memfd(c"loky-segment", size)?);
        let pages = Arc::new(Mapping::shared(
            &*file,
            usize::try_from(size).map_err(|_| too_large())?,
        )?);
        let store = Store {
            file: Arc::clone(&file),
            pages: Arc::clone(&pages),
        };
        Ok((self.pool.insert(store, size), size, file, pages))
    }

    /// A worker may map it from now on.
    pub(crate) fn lend(&mut self, segment: u32, worker: WorkerId) {
        let lent = self.pool.lend(segment, Holder(worker.0));
        debug_assert!(lent.is_ok(), "{lent:?}");
    }

    /// Its task is over.
    pub(crate) fn let_go(&mut self, segment: u32) {
        let freed = self.pool.freed(segment, TASK);
        debug_assert!(freed.is_ok(), "{freed:?}");
    }

    /// A worker has no view of it any more.
    pub(crate) fn give_back(&mut self, segment: u32, worker: WorkerId) {
        let freed = self.pool.freed(segment, Holder(worker.0));
        debug_assert!(freed.is_ok(), "{freed:?}");
    }

    /// Bytes that tasks and workers hold.
    pub(crate) fn bytes_in_use(&self) -> u64 {
        self.pool
            .bytes_held()
            .saturating_sub(self.pool.bytes_free())
    }

    /// Whether there is anything to trim.
    pub(crate) fn has_free(&self) -> bool {
        self.pool.bytes_free() > 0
    }

    /// Drops segments that have been free for long.
    pub(crate) fn trim(&mut self, now_ns: u64) {
        drop(self.pool.trim(now_ns));
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.pool.budget());
    }
}

/// The payload of a task as its frame describes it, and the descriptors beside it.
pub(crate) fn describe<'a>(
    placed: Option<&Placed>,
    stream: &'a [u8],
) -> (PayloadRef<'a>, Vec<Arc<OwnedFd>>) {
    match placed {
        None => (PayloadRef::inline(stream), Vec::new()),
        Some(placed) => {
            let stream = placed
                .stream
                .map_or(Stream::Inline(stream), Stream::InSegment);
            let segment = Some(SegmentRef {
                id: placed.segment,
                size: placed.size,
            });
            let payload = PayloadRef {
                segment,
                buffers: placed.buffers.clone(),
                stream,
            };
            (payload, vec![Arc::clone(&placed.file)])
        }
    }
}

impl State {
    /// Copies a task's large bytes now, or leaves them to the loop.
    pub(crate) fn copy_or_queue(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get(&task) else {
            return;
        };
        let len = entry.layout().map_or(0, |layout| layout.segment_len);
        if len <= COPY_AT_ONCE_MAX && self.copies.is_empty() && self.within_budget(len) {
            if let Some(job) = self.start_copy(task) {
                self.end_copy(job.run());
            }
        } else {
            self.copies.push_back(task);
            self.stir = true;
        }
    }

    /// Further bytes are within the budget, or no task is in flight whose end could give any back.
    fn within_budget(&self, len: u64) -> bool {
        let in_use = self.segments.bytes_in_use();
        in_use == 0
            || in_use.saturating_add(len) <= self.segments.pool.budget()
            || !self
                .tasks
                .values()
                .any(|entry| entry.placed.is_some() && entry.placement.is_some())
    }

    /// Whether the next copy can begin.
    pub(crate) fn can_begin_copy(&self) -> bool {
        self.copies
            .front()
            .is_some_and(|task| match self.tasks.get(task) {
                None => true,
                Some(entry) => {
                    entry
                        .layout()
                        .is_ok_and(|layout| self.within_budget(layout.segment_len))
                        || entry.layout().is_err()
                }
            })
    }

    /// The next copy, where there is one and the budget allows it.
    pub(crate) fn begin_copy(&mut self) -> Option<CopyJob> {
        while self.can_begin_copy() {
            let task = self.copies.pop_front()?;
            if let Some(job) = self.start_copy(task) {
                return Some(job);
            }
        }
        None
    }

    fn start_copy(&mut self, task: TaskId) -> Option<CopyJob> {
        let entry = self.tasks.get_mut(&task)?;
        if entry.placement.is_none() || entry.copying || !entry.needs_segment() {
            return None;
        }
        let Ok(layout) = entry.layout() else {
            self.undeliverable(task, errno::EINVAL);
            return None;
        };
        match self.segments.acquire(layout.segment_len) {
            Ok((segment, size, file, pages)) => {
                entry.copying = true;
                self.counts.copied_bytes += layout.segment_len;
                let Layout {
                    buffers,
                    stream,
                    segment_len: _,
                } = layout;
                Some(CopyJob {
                    task,
                    stream: std::mem::take(&mut entry.stream),
                    buffers: std::mem::take(&mut entry.buffers),
                    pages,
                    placed: Placed {
                        segment,
                        size,
                        file,
                        buffers,
                        stream,
                    },
                })
            }
            Err(error) => {
                self.undeliverable(task, error.raw_os_error().unwrap_or(0));
                None
            }
        }
    }

    /// Takes over a copy that has been made, and sends the task where it belongs by now.
    pub(crate) fn end_copy(&mut self, done: CopyJob) {
        if !done.buffers.is_empty() {
            self.front.deliver(Delivery::Discarded(done.buffers));
        }
        let Some(entry) = self.tasks.get_mut(&done.task) else {
            self.segments.let_go(done.placed.segment);
            return;
        };
        entry.copying = false;
        if done.placed.stream.is_none() {
            entry.stream = done.stream;
        }
        entry.placed = Some(done.placed);
        if entry.placement.is_some() {
            self.send(done.task);
        }
    }

    /// A task that cannot be handed over for lack of a resource ends with that.
    pub(crate) fn undeliverable(&mut self, task: TaskId, errno: i32) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        if let Some(placement) = entry.placement.take() {
            entry.received = Some(Received::Undeliverable(errno));
            self.feed_later(Event::TaskFinished {
                worker: placement.worker,
                task,
                attempt: placement.attempt,
                run_ns: 0,
                retry_wanted: false,
            });
        }
    }
}
