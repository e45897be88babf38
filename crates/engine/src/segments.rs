//! Segments of the parent: the large bytes of tasks, copied once into recycled shared pages.
//!
//! A segment is held by every byte string in it that a task needs, and by a task for what is its own
//! alone, so that it can be sent again; and it is lent to each worker until that says that its last
//! view is gone. Free of all, it is filled anew; until then what lies in it can be recognised.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use loky_core::ids::WorkerId;
use loky_shm::{Holder, SegmentPool, size_for};
use loky_sys::errno;
use loky_sys::memory::{self, Mapping};
use loky_wire::Extent;

use crate::content::{Content, Print, Source};
use crate::front::Buffer;
use crate::library::{BlobId, Home, Library, Sort};

/// A memory file and its pages here.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) file: Arc<OwnedFd>,
    pub(crate) pages: Arc<Mapping>,
    pub(crate) size: u64,
}

/// A segment that is to be filled.
pub(crate) struct Acquired {
    pub(crate) segment: u32,
    pub(crate) pages: Arc<Mapping>,
}

/// How many bytes the tasks of a pool had that are large, and how many of them were moved.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Traffic {
    /// Bytes that were copied into segments.
    pub bytes_copied: u64,
    /// Bytes that were not, because they were found to be there already or on their way.
    pub bytes_recognised: u64,
}

/// How long a segment may be free before its pages are given back.
const IDLE_MAX_NS: u64 = 2_000_000_000;

/// The holder of a segment that is a task or a byte string; workers are numbered from 1.
const TASK: Holder = Holder(0);

/// All segments of a pool, and what is known to lie in them.
pub(crate) struct TaskSegments {
    pub(crate) pool: SegmentPool<Store>,
    pub(crate) library: Library,
    /// Byte strings that are being copied without the lock.
    pub(crate) copying: HashSet<BlobId>,
    /// Sources that nobody needs any more, for the front to drop.
    pub(crate) discarded: Vec<Box<dyn Buffer>>,
    pub(crate) traffic: Traffic,
}

impl TaskSegments {
    pub(crate) fn new(budget_bytes: u64) -> Self {
        Self {
            pool: SegmentPool::new(budget_bytes, IDLE_MAX_NS),
            library: Library::default(),
            copying: HashSet::new(),
            discarded: Vec::new(),
            traffic: Traffic::default(),
        }
    }

    /// A segment for `len` bytes, recycled where one is free, held once.
    pub(crate) fn acquire(&mut self, len: u64) -> io::Result<Acquired> {
        let found = self
            .pool
            .take(len)
            .map(|taken| (taken.id, Arc::clone(&taken.storage.pages)));
        let (segment, pages) = match found {
            Some(found) => {
                self.library.forget_segment(found.0);
                found
            }
            None => self.make(len)?,
        };
        self.pool
            .lend(segment, TASK)
            .map_err(|_| io::Error::from_raw_os_error(errno::EINVAL))?;
        Ok(Acquired { segment, pages })
    }

    fn make(&mut self, len: u64) -> io::Result<(u32, Arc<Mapping>)> {
        let too_large = || io::Error::from_raw_os_error(errno::ENOMEM);
        let size = size_for(len).ok_or_else(too_large)?;
        let dropped = self.pool.make_room(size);
        self.forget_dropped(&dropped);
        let file = Arc::new(memory::memfd(c"loky-segment", size)?);
        let len = usize::try_from(size).map_err(|_| too_large())?;
        let pages = Arc::new(Mapping::shared(&*file, len)?);
        let store = Store {
            file,
            pages: Arc::clone(&pages),
            size,
        };
        Ok((self.pool.insert(store, size), pages))
    }

    /// Nothing in segments that are gone may be recognised.
    fn forget_dropped(&mut self, dropped: &[Store]) {
        if !dropped.is_empty() {
            let pool = &self.pool;
            self.library
                .forget_segments_but(|segment| pool.storage(segment).is_some());
        }
    }

    /// A worker may map it from now on.
    pub(crate) fn lend(&mut self, segment: u32, worker: WorkerId) {
        let lent = self.pool.lend(segment, Holder(worker.0));
        debug_assert!(lent.is_ok(), "{lent:?}");
    }

    /// One of its tasks or byte strings needs it no more.
    pub(crate) fn let_go(&mut self, segment: u32) {
        let freed = self.pool.freed(segment, TASK);
        debug_assert!(freed.is_ok(), "{freed:?}");
    }

    /// A worker has no view of it any more.
    pub(crate) fn give_back(&mut self, segment: u32, worker: WorkerId) {
        let freed = self.pool.freed(segment, Holder(worker.0));
        debug_assert!(freed.is_ok(), "{freed:?}");
    }

    /// A byte string is needed once more.
    pub(crate) fn hold(&mut self, blob: BlobId) {
        if self.library.hold(blob)
            && let Some(home) = self.library.home(blob)
        {
            let retaken = self.pool.retake(home.segment);
            debug_assert!(retaken.is_ok(), "{retaken:?}");
            self.hold_segment(home.segment);
        }
    }

    fn hold_segment(&mut self, segment: u32) {
        let lent = self.pool.lend(segment, TASK);
        debug_assert!(lent.is_ok(), "{lent:?}");
    }

    /// A byte string is needed once less.
    pub(crate) fn release(&mut self, blob: BlobId) {
        let released = self.library.release(blob);
        if let Some(segment) = released.segment {
            self.let_go(segment);
        }
        for source in released.sources {
            self.discard(Some(source));
        }
    }

    /// A byte string has been copied here.
    pub(crate) fn settle(&mut self, blob: BlobId, segment: u32, extent: Extent) {
        self.hold_segment(segment);
        let source = self.library.settle(blob, Home { segment, extent });
        self.discard(source);
    }

    /// A buffer has been copied here, and can be recognised from now on. It is needed once.
    pub(crate) fn add_copy(&mut self, print: Print, segment: u32, extent: Extent) -> BlobId {
        self.hold_segment(segment);
        self.library.add_settled(print, Home { segment, extent })
    }

    /// A byte string that waits to be copied. It is needed once.
    pub(crate) fn add(&mut self, print: Print, sort: Sort, source: Source) -> BlobId {
        self.library.add(print, sort, source)
    }

    fn discard(&mut self, source: Option<Source>) {
        if let Some(source) = source {
            self.discarded.push(Box::new(source));
        }
    }

    /// The bytes of a byte string, which somebody must hold while they are looked at.
    pub(crate) fn content(&self, blob: BlobId) -> Option<Content> {
        match self.library.home(blob) {
            None => Some(Content::Here(Arc::clone(self.library.source(blob)?))),
            Some(home) => Some(Content::Pages {
                pages: Arc::clone(&self.pool.storage(home.segment)?.pages),
                at: usize::try_from(home.extent.offset).ok()?,
                len: usize::try_from(home.extent.len).ok()?,
            }),
        }
    }

    /// Byte strings of this print, each held for the comparison.
    pub(crate) fn candidates(&mut self, print: Print) -> Vec<(BlobId, Content)> {
        let mut candidates = Vec::new();
        for blob in self.library.of_print(print) {
            if let Some(content) = self.content(blob) {
                self.hold(blob);
                candidates.push((blob, content));
            }
        }
        candidates
    }

    /// A stream that has much in common with this one, held for the comparison.
    pub(crate) fn similar(&mut self, stream: &[u8]) -> Option<(BlobId, Content)> {
        let streams = self.library.streams().into_iter();
        let found = streams
            .filter_map(|blob| Some((blob, self.content(blob)?)))
            .find(|(_, content)| content.is_like(stream))?;
        self.hold(found.0);
        Some(found)
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
        let dropped = self.pool.trim(now_ns);
        self.forget_dropped(&dropped);
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        let traffic = self.traffic;
        *self = Self::new(self.pool.budget());
        self.traffic = traffic;
    }
}
