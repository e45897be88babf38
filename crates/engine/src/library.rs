//! Large byte strings that tasks have in common: which are known, who needs them, where they lie.
//!
//! Decides and counts; it compares nothing and touches no segment. Whoever finds two contents the
//! same has compared all their bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use loky_wire::Extent;

use crate::content::{Print, Source};

/// From this size on, bytes are looked for among those that are known.
pub(crate) const LARGE_MIN: usize = 64 * 1024;

/// How many byte strings of the same print are compared with a new one.
const SAME_PRINT_MAX: usize = 2;

/// How many streams are remembered to be compared with a new one.
const STREAMS_MAX: usize = 8;

/// A byte string that is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct BlobId(u64);

/// What a byte string was part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sort {
    /// An encoded call, or most of one: the next may differ in a few bytes.
    Stream,
    /// An object of the front that cannot change while it is held.
    Object,
    /// A buffer, copied.
    Copy,
}

/// A byte string.
struct Blob {
    print: Print,
    sort: Sort,
    /// The parts of tasks that it is, and those who compare or copy it.
    uses: usize,
    /// Its bytes, until they have been copied.
    source: Option<Source>,
    /// An object of the front of these bytes, by whose address they can be recognised.
    object: Option<Source>,
    home: Option<Home>,
}

/// Where a byte string lies, once it has been copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Home {
    pub(crate) segment: u32,
    pub(crate) extent: Extent,
}

/// What is free when nobody needs a byte string any more.
#[derive(Default)]
pub(crate) struct Released {
    /// For the front to drop.
    pub(crate) sources: Vec<Source>,
    /// The segment that it needed.
    pub(crate) segment: Option<u32>,
}

/// All byte strings that are known. One that nobody needs is remembered for as long as its segment
/// has not been filled anew.
#[derive(Default)]
pub(crate) struct Library {
    blobs: HashMap<BlobId, Blob>,
    by_print: HashMap<Print, Vec<BlobId>>,
    by_address: HashMap<(usize, usize), BlobId>,
    by_segment: HashMap<u32, Vec<BlobId>>,
    streams: VecDeque<BlobId>,
    last_id: u64,
}

impl Library {
    /// A byte string that is known from now on, needed once.
    pub(crate) fn add(&mut self, print: Print, sort: Sort, source: Source) -> BlobId {
        let id = self.insert(print, sort);
        if sort == Sort::Object {
            self.adopt(id, Arc::clone(&source));
        }
        if let Some(blob) = self.blobs.get_mut(&id) {
            blob.source = Some(source);
        }
        id
    }

    /// An object has been found to be this byte string: it is known by its address from now on, while
    /// the byte string is needed. Given back where another is known already.
    pub(crate) fn adopt(&mut self, id: BlobId, object: Source) -> Option<Source> {
        match self.blobs.get_mut(&id) {
            Some(blob) if blob.object.is_none() => {
                self.by_address.insert(address_of(&object), id);
                blob.object = Some(object);
                None
            }
            Some(_) | None => Some(object),
        }
    }

    /// A byte string that has been copied into a segment already, needed once.
    pub(crate) fn add_settled(&mut self, print: Print, home: Home) -> BlobId {
        let id = self.insert(print, Sort::Copy);
        drop(self.settle(id, home));
        id
    }

    fn insert(&mut self, print: Print, sort: Sort) -> BlobId {
        self.last_id += 1;
        let id = BlobId(self.last_id);
        self.blobs.insert(
            id,
            Blob {
                print,
                sort,
                uses: 1,
                source: None,
                object: None,
                home: None,
            },
        );
        self.by_print.entry(print).or_default().push(id);
        if sort == Sort::Stream {
            self.streams.push_front(id);
            self.streams.truncate(STREAMS_MAX);
        }
        id
    }

    /// A byte string has been copied. Its source is given back.
    pub(crate) fn settle(&mut self, id: BlobId, home: Home) -> Option<Source> {
        let blob = self.blobs.get_mut(&id)?;
        debug_assert!(blob.home.is_none(), "copied twice");
        blob.home = Some(home);
        self.by_segment.entry(home.segment).or_default().push(id);
        blob.source.take()
    }

    /// It is needed once more. `true` where it was not needed by anybody before, so that its segment
    /// must be taken again.
    pub(crate) fn hold(&mut self, id: BlobId) -> bool {
        let Some(blob) = self.blobs.get_mut(&id) else {
            debug_assert!(false, "{id:?} is held and unknown");
            return false;
        };
        blob.uses += 1;
        if blob.sort == Sort::Stream {
            self.refresh(id);
        }
        self.blobs.get(&id).is_some_and(|blob| blob.uses == 1)
    }

    /// It is needed once less.
    pub(crate) fn release(&mut self, id: BlobId) -> Released {
        let Some(blob) = self.blobs.get_mut(&id) else {
            debug_assert!(false, "{id:?} is released and unknown");
            return Released::default();
        };
        blob.uses = blob.uses.saturating_sub(1);
        if blob.uses > 0 {
            return Released::default();
        }
        let (source, object, home) = (blob.source.take(), blob.object.take(), blob.home);
        if let Some(object) = &object {
            let address = address_of(object);
            if self.by_address.get(&address) == Some(&id) {
                self.by_address.remove(&address);
            }
        }
        if home.is_none() {
            self.forget(id);
        }
        Released {
            sources: source.into_iter().chain(object).collect(),
            segment: home.map(|home| home.segment),
        }
    }

    /// The segment has been given up or is filled anew: nothing of it may be recognised.
    pub(crate) fn forget_segment(&mut self, segment: u32) {
        for id in self.by_segment.remove(&segment).unwrap_or_default() {
            debug_assert!(
                self.blobs.get(&id).is_none_or(|blob| blob.uses == 0),
                "{id:?} is needed and its segment is gone"
            );
            self.forget(id);
        }
    }

    /// Keeps only what lies in these segments, or in none yet.
    pub(crate) fn forget_segments_but(&mut self, is_there: impl Fn(u32) -> bool) {
        let gone: Vec<u32> = self
            .by_segment
            .keys()
            .copied()
            .filter(|segment| !is_there(*segment))
            .collect();
        for segment in gone {
            self.forget_segment(segment);
        }
    }

    fn forget(&mut self, id: BlobId) {
        let Some(blob) = self.blobs.remove(&id) else {
            return;
        };
        if let Some(alike) = self.by_print.get_mut(&blob.print) {
            alike.retain(|other| *other != id);
            if alike.is_empty() {
                self.by_print.remove(&blob.print);
            }
        }
        self.streams.retain(|other| *other != id);
    }

    /// Puts a stream in front of those that are compared first.
    fn refresh(&mut self, id: BlobId) {
        if self.streams.front() != Some(&id)
            && let Some(at) = self.streams.iter().position(|other| *other == id)
        {
            self.streams.remove(at);
            self.streams.push_front(id);
        }
    }

    /// The byte string that this very object is. It cannot have changed: it is held.
    pub(crate) fn of_object(&self, source: &Source) -> Option<BlobId> {
        self.by_address.get(&address_of(source)).copied()
    }

    /// Byte strings that may be the one of this print, the newest first.
    pub(crate) fn of_print(&self, print: Print) -> Vec<BlobId> {
        let alike = self.by_print.get(&print).map(Vec::as_slice);
        let newest = alike.unwrap_or_default().iter().rev();
        newest.take(SAME_PRINT_MAX).copied().collect()
    }

    /// Streams with which a new one may have much in common, the likeliest first.
    pub(crate) fn streams(&self) -> Vec<BlobId> {
        self.streams.iter().copied().collect()
    }

    /// Where it lies, once it has been copied.
    pub(crate) fn home(&self, id: BlobId) -> Option<Home> {
        self.blobs.get(&id)?.home
    }

    /// Its bytes in the memory of this process, where they still are.
    pub(crate) fn source(&self, id: BlobId) -> Option<&Source> {
        self.blobs.get(&id)?.source.as_ref()
    }

    /// How many are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.blobs.len()
    }
}

fn address_of(source: &Source) -> (usize, usize) {
    let bytes = source.bytes();
    (bytes.as_ptr() as usize, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(byte: u8) -> Source {
        Arc::new(vec![byte; 100])
    }

    fn home(segment: u32) -> Home {
        let extent = Extent {
            offset: 0,
            len: 100,
        };
        Home { segment, extent }
    }

    fn print(byte: u8) -> Print {
        Print::of(&[byte; 100])
    }

    #[test]
    fn what_was_never_copied_is_forgotten_with_the_last_need() {
        let mut library = Library::default();
        let id = library.add(print(1), Sort::Stream, bytes(1));
        assert_eq!(library.of_print(print(1)), [id]);
        assert!(!library.hold(id));
        assert!(library.release(id).sources.is_empty());
        let released = library.release(id);
        assert_eq!(released.sources[0].bytes(), [1; 100]);
        assert_eq!(released.segment, None);
        assert_eq!(library.len(), 0);
        assert!(library.of_print(print(1)).is_empty() && library.streams().is_empty());
    }

    #[test]
    fn what_lies_in_a_segment_is_remembered_until_that_is_filled_anew() {
        let mut library = Library::default();
        let id = library.add(print(1), Sort::Copy, bytes(1));
        assert!(library.settle(id, home(7)).is_some(), "the source is free");
        assert_eq!(library.release(id).segment, Some(7));
        assert_eq!(library.of_print(print(1)), [id]);
        assert!(library.hold(id), "the segment must be taken again");
        assert_eq!(library.release(id).segment, Some(7));
        library.forget_segments_but(|segment| segment == 7);
        assert_eq!(library.len(), 1);
        library.forget_segment(7);
        assert_eq!(library.len(), 0);
        assert!(library.of_print(print(1)).is_empty());
    }

    #[test]
    fn an_object_is_known_by_its_address_while_it_is_held_and_no_longer() {
        let mut library = Library::default();
        let object = bytes(1);
        let id = library.add(print(1), Sort::Object, Arc::clone(&object));
        assert!(library.settle(id, home(7)).is_some());
        assert_eq!(library.of_object(&object), Some(id));
        assert_eq!(library.of_object(&bytes(1)), None);
        assert_eq!(library.release(id).sources.len(), 1);
        assert_eq!(library.of_object(&object), None);
        assert_eq!(library.of_print(print(1)), [id]);
        library.hold(id);
        let other = bytes(1);
        assert!(library.adopt(id, Arc::clone(&other)).is_none());
        assert_eq!(library.of_object(&other), Some(id));
        assert!(library.adopt(id, object).is_some(), "one is enough");
    }

    #[test]
    fn the_newest_of_one_print_are_tried_and_not_all() {
        let mut library = Library::default();
        let ids: Vec<BlobId> = (0..5)
            .map(|_| library.add_settled(print(1), home(1)))
            .collect();
        assert_eq!(library.of_print(print(1)), [ids[4], ids[3]]);
    }

    #[test]
    fn few_streams_are_tried_and_the_one_last_used_first() {
        let mut library = Library::default();
        let ids: Vec<BlobId> = (0..20)
            .map(|_| library.add(print(1), Sort::Stream, bytes(1)))
            .collect();
        assert_eq!(library.streams().len(), STREAMS_MAX);
        assert_eq!(library.streams()[0], ids[19]);
        library.hold(ids[14]);
        assert_eq!(library.streams()[0], ids[14]);
        library.hold(ids[0]);
        assert_eq!(library.streams()[0], ids[14], "it had fallen off");
    }
}
