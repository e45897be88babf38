//! What a worker answered: a stream and buffers, in the pages that the worker wrote.

use std::sync::{Arc, Mutex, PoisonError};

use loky_core::ids::WorkerId;
use loky_sys::memory::Mapping;
use loky_wire::Extent;

/// Segments of workers whose last view has died here, to be told to their owners.
#[derive(Default)]
pub(crate) struct FreedSegments(Mutex<Vec<(WorkerId, u32)>>);

impl FreedSegments {
    /// Takes the segments of one worker.
    pub(crate) fn take_of(&self, worker: WorkerId) -> Vec<u32> {
        let mut freed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_worker = Vec::new();
        freed.retain(|(owner, segment)| {
            let mine = *owner == worker;
            if mine {
                of_worker.push(*segment);
            }
            !mine
        });
        of_worker
    }

    fn push(&self, worker: WorkerId, segment: u32) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((worker, segment));
    }
}

/// A segment of a worker, mapped here. The pages go back to the worker with the last view.
pub(crate) struct AnswerSegment {
    mapping: Mapping,
    worker: WorkerId,
    segment: u32,
    freed: Arc<FreedSegments>,
}

impl AnswerSegment {
    pub(crate) fn new(
        mapping: Mapping,
        worker: WorkerId,
        segment: u32,
        freed: Arc<FreedSegments>,
    ) -> Self {
        Self {
            mapping,
            worker,
            segment,
            freed,
        }
    }
}

impl Drop for AnswerSegment {
    fn drop(&mut self) {
        self.freed.push(self.worker, self.segment);
    }
}

/// A range of bytes of an answer, writable and private to this process.
#[derive(Clone)]
pub struct AnswerView {
    segment: Arc<AnswerSegment>,
    start: usize,
    len: usize,
}

impl AnswerView {
    /// A view of `extent`, or `None` where that lies outside of the segment.
    pub(crate) fn new(segment: &Arc<AnswerSegment>, extent: Extent) -> Option<Self> {
        let start = usize::try_from(extent.offset).ok()?;
        let len = usize::try_from(extent.len).ok()?;
        (start.checked_add(len)? <= segment.mapping.len()).then(|| Self {
            segment: Arc::clone(segment),
            start,
            len,
        })
    }

    /// Where the bytes begin. They are mapped, and writable without being seen by anybody else,
    /// while any clone of this view lives.
    pub fn as_ptr(&self) -> *mut u8 {
        self.segment.mapping.as_ptr().wrapping_add(self.start)
    }

    /// The bytes. Whoever writes through [`Self::as_ptr`] must know that nobody reads them here
    /// meanwhile.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.start.saturating_add(self.len);
        self.segment
            .mapping
            .as_slice()
            .get(self.start..end)
            .unwrap_or_default()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The encoded stream of an answer.
#[derive(Clone)]
pub enum AnswerStream {
    /// It came with the frame.
    Inline(Vec<u8>),
    /// It lies in the segment.
    InSegment(AnswerView),
}

/// A worker's answer, as the front decodes it.
#[derive(Clone)]
pub struct Answer {
    /// The encoded value or exception.
    pub stream: AnswerStream,
    /// The buffers that it refers to, in order.
    pub buffers: Vec<AnswerView>,
}

impl Answer {
    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        let stream = match &self.stream {
            AnswerStream::Inline(bytes) => bytes.len(),
            AnswerStream::InSegment(view) => view.len(),
        };
        let buffers = self.buffers.iter().map(AnswerView::len);
        buffers.fold(stream, usize::saturating_add)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An answer of plain bytes.
    pub fn inline(stream: Vec<u8>) -> Self {
        Self {
            stream: AnswerStream::Inline(stream),
            buffers: Vec::new(),
        }
    }
}
