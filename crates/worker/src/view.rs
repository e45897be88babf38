//! What a worker sees of a task: its stream and its buffers, in pages that belong to the parent.
//!
//! Owned by whoever holds the views. A segment is mapped copy-on-write: writing to a view is seen
//! by this worker alone, and the parent never sees it. When the last view of a segment dies its
//! pages are unmapped, and then the parent is told that it may fill the segment again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loky_sys::memory::Mapping;
use loky_wire::{Extent, Payload};

/// Segments of the parent whose last view has died here and of which it has not been told.
#[derive(Default)]
pub(crate) struct FreedSegments(Mutex<Vec<u32>>);

impl FreedSegments {
    pub(crate) fn push(&self, segment: u32) {
        self.lock().push(segment);
    }

    pub(crate) fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.lock())
    }

    /// A list of numbers is whole at every step, so a thread that died with it does no harm.
    fn lock(&self) -> MutexGuard<'_, Vec<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a segment is free when it is dropped.
pub(crate) struct FreedNotice {
    segment: u32,
    freed: Arc<FreedSegments>,
}

impl FreedNotice {
    pub(crate) fn new(segment: u32, freed: Arc<FreedSegments>) -> Self {
        Self { segment, freed }
    }
}

impl Drop for FreedNotice {
    fn drop(&mut self) {
        self.freed.push(self.segment);
    }
}

/// A mapped segment. The order of the fields is the order of their ends: the pages go before the
/// notice is given.
pub(crate) struct MappedSegment {
    mapping: Mapping,
    _notice: FreedNotice,
}

impl MappedSegment {
    pub(crate) fn new(mapping: Mapping, notice: FreedNotice) -> Self {
        Self {
            mapping,
            _notice: notice,
        }
    }
}

/// A range of bytes of a task, writable and private to this worker. A clone is the same bytes.
#[derive(Clone)]
pub struct View {
    segment: Arc<MappedSegment>,
    start: usize,
    len: usize,
}

impl View {
    /// The view of `extent`, or `None` where that lies outside of the segment.
    pub(crate) fn new(segment: &Arc<MappedSegment>, extent: Extent) -> Option<Self> {
        let start = usize::try_from(extent.offset).ok()?;
        let len = usize::try_from(extent.len).ok()?;
        let end = start.checked_add(len)?;
        (end <= segment.mapping.len()).then(|| Self {
            segment: Arc::clone(segment),
            start,
            len,
        })
    }

    /// Where the bytes begin. They stay mapped and writable while any clone of this view lives;
    /// whoever writes must know that nobody reads them through [`Self::as_bytes`] meanwhile.
    pub fn as_ptr(&self) -> *mut u8 {
        self.segment.mapping.as_ptr().wrapping_add(self.start)
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.start.saturating_add(self.len);
        self.segment
            .mapping
            .as_slice()
            .get(self.start..end)
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("View")
            .field("start", &self.start)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The encoded call of a task. A clone is the same bytes.
#[derive(Clone, Debug)]
pub struct TaskStream(Place);

#[derive(Clone, Debug)]
enum Place {
    /// It came with the frame.
    Inline(Arc<Payload>),
    /// It lies in a segment.
    InSegment(View),
    /// It was put together from pieces.
    Joined(Arc<Vec<u8>>),
}

impl TaskStream {
    pub(crate) fn inline(payload: Payload) -> Self {
        Self(Place::Inline(Arc::new(payload)))
    }

    pub(crate) fn in_segment(view: View) -> Self {
        Self(Place::InSegment(view))
    }

    pub(crate) fn joined(bytes: Vec<u8>) -> Self {
        Self(Place::Joined(Arc::new(bytes)))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Place::Inline(payload) => payload.inline(),
            Place::InSegment(view) => view.as_bytes(),
            Place::Joined(bytes) => bytes,
        }
    }

    /// The view that the bytes are, where they lie in a segment.
    pub fn as_view(&self) -> Option<&View> {
        match &self.0 {
            Place::Inline(_) | Place::Joined(_) => None,
            Place::InSegment(view) => Some(view),
        }
    }
}
