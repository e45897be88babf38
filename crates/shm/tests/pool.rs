//! The books of the segment pool, by hand and against a plain model.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::HashMap, rc::Rc};

use loky_shm::{Holder, PAGE_LEN, SegmentPool, ShmError, size_for};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const HOUR: u64 = 3_600_000_000_000;

fn pool() -> SegmentPool<&'static str> {
    SegmentPool::new(16 * MIB, HOUR)
}

/// Inserts a segment and frees it.
fn insert_free<S>(pool: &mut SegmentPool<S>, storage: S, size: u64) -> u32 {
    let id = pool.insert(storage, size);
    pool.give_back(id).unwrap();
    id
}

#[test]
fn a_segment_is_not_taken_again_before_its_last_holder_has_freed_it() {
    let mut pool = pool();
    let id = pool.insert("a", MIB);
    assert!(pool.take(MIB).is_none(), "its writer has it");
    pool.lend(id, Holder(1)).unwrap();
    pool.lend(id, Holder(2)).unwrap();
    pool.lend(id, Holder(2)).unwrap();
    assert!(pool.take(MIB).is_none());
    assert_eq!(pool.freed(id, Holder(2)), Ok(false));
    assert_eq!(pool.freed(id, Holder(1)), Ok(false));
    assert!(pool.take(MIB).is_none());
    assert_eq!(pool.freed(id, Holder(2)), Ok(true));
    let taken = pool.take(MIB).unwrap();
    assert_eq!((taken.id, taken.size, *taken.storage), (id, MIB, "a"));
}

#[test]
fn the_smallest_that_fits_is_taken_and_of_one_size_the_last_freed() {
    let mut pool = pool();
    insert_free(&mut pool, "large", 2 * MIB);
    insert_free(&mut pool, "first", MIB);
    insert_free(&mut pool, "second", MIB);
    insert_free(&mut pool, "small", MIB / 2);
    let mut take = || pool.take(MIB - 5).map(|taken| *taken.storage);
    assert_eq!(
        [take(), take(), take(), take()],
        [Some("second"), Some("first"), Some("large"), None]
    );
}

#[test]
fn a_segment_far_too_large_is_kept_for_something_large() {
    let mut pool = pool();
    insert_free(&mut pool, "large", 4 * MIB);
    assert!(pool.take(MIB - PAGE_LEN * 64).is_none());
    assert!(pool.take(MIB).is_some());
}

#[test]
fn freeing_what_one_does_not_have_is_an_error_and_changes_nothing() {
    let mut pool = pool();
    let id = pool.insert("a", MIB);
    let not_lent = |holder| Err(ShmError::SegmentNotLent { id, holder });
    assert_eq!(
        pool.freed(id + 1, Holder(1)),
        Err(ShmError::SegmentUnknown { id: id + 1 })
    );
    assert_eq!(pool.freed(id, Holder(1)), not_lent(Holder(1)));
    pool.lend(id, Holder(1)).unwrap();
    assert_eq!(pool.freed(id, Holder(2)), not_lent(Holder(2)));
    assert_eq!(pool.freed(id, Holder(1)), Ok(true));
    assert_eq!(pool.freed(id, Holder(1)), not_lent(Holder(1)));
    assert_eq!((pool.bytes_held(), pool.bytes_free()), (MIB, MIB));
}

#[test]
fn only_a_taken_segment_is_lent_anew_given_back_or_discarded() {
    let mut pool = pool();
    let id = insert_free(&mut pool, "a", MIB);
    let not_taken = ShmError::SegmentNotTaken { id };
    assert_eq!(pool.lend(id, Holder(1)), Err(not_taken));
    assert_eq!(pool.give_back(id), Err(not_taken));
    assert_eq!(pool.discard(id), Err(not_taken));
    assert_eq!(pool.take(MIB).unwrap().id, id);
    pool.lend(id, Holder(1)).unwrap();
    assert_eq!(pool.give_back(id), Err(not_taken));
    assert_eq!(pool.discard(id), Err(not_taken));
    pool.freed(id, Holder(1)).unwrap();
    pool.take(MIB).unwrap();
    assert_eq!(pool.discard(id), Ok("a"));
    assert_eq!(pool.discard(id), Err(ShmError::SegmentUnknown { id }));
    assert_eq!((pool.bytes_held(), pool.is_empty()), (0, true));
}

#[test]
fn a_dead_holder_frees_all_that_it_alone_had() {
    let mut pool = pool();
    let ids = ["a", "b", "c"].map(|name| pool.insert(name, MIB));
    let [alone, shared, other] = ids;
    for (id, holder) in [(alone, 1), (alone, 1), (shared, 1), (shared, 2), (other, 2)] {
        pool.lend(id, Holder(holder)).unwrap();
    }
    assert_eq!(pool.holder_gone(Holder(1)), 1);
    assert_eq!(pool.take(MIB).unwrap().id, alone);
    let late = Err(ShmError::SegmentNotLent {
        id: shared,
        holder: Holder(1),
    });
    assert_eq!(pool.freed(shared, Holder(1)), late);
    assert_eq!(pool.freed(shared, Holder(2)), Ok(true));
}

#[test]
fn trim_drops_what_has_been_free_for_too_long() {
    let mut pool = SegmentPool::new(16 * MIB, 100);
    insert_free(&mut pool, "old", MIB);
    assert!(
        pool.trim(1000).is_empty(),
        "age starts when it is first found free"
    );
    insert_free(&mut pool, "young", MIB);
    let lent = pool.insert("lent", MIB);
    pool.lend(lent, Holder::ONLY).unwrap();
    assert!(pool.trim(1099).is_empty());
    assert_eq!(pool.trim(1100), ["old"]);
    assert_eq!(pool.trim(5000), ["young"]);
    assert_eq!(
        (pool.len(), pool.bytes_held(), pool.bytes_free()),
        (1, MIB, 0)
    );
}

#[test]
fn use_makes_a_segment_young_again() {
    let mut pool = SegmentPool::new(16 * MIB, 100);
    insert_free(&mut pool, "a", MIB);
    assert!(pool.trim(1000).is_empty());
    let id = pool.take(MIB).unwrap().id;
    pool.give_back(id).unwrap();
    assert!(pool.trim(1100).is_empty());
    assert_eq!(pool.trim(1200), ["a"]);
}

#[test]
fn room_is_made_from_free_segments_largest_first() {
    let mut pool = SegmentPool::new(4 * MIB, HOUR);
    for (name, size) in [("one", MIB), ("two", 2 * MIB), ("half", MIB / 2)] {
        insert_free(&mut pool, name, size);
    }
    assert!(pool.make_room(MIB / 2).is_empty(), "it fits");
    assert_eq!(pool.make_room(MIB), ["two"]);
    assert_eq!(pool.make_room(4 * MIB), ["one", "half"]);
    let id = pool.insert("huge", 9 * MIB);
    assert!(
        pool.trim(0).is_empty(),
        "what is in use stays, whatever the budget"
    );
    assert_eq!(pool.bytes_held(), 9 * MIB);
    pool.give_back(id).unwrap();
    assert_eq!(pool.trim(0), ["huge"]);
    pool.set_budget(7);
    assert_eq!(pool.budget(), 7);
}

#[test]
fn storage_is_dropped_exactly_once_and_with_the_pool_at_the_latest() {
    let mark = Rc::new(());
    let mut pool = SegmentPool::new(0, HOUR);
    let ids: Vec<u32> = (0..4).map(|_| pool.insert(mark.clone(), MIB)).collect();
    assert_eq!(Rc::strong_count(&mark), 5);
    pool.give_back(*ids.first().unwrap()).unwrap();
    drop(pool.trim(0));
    assert_eq!(Rc::strong_count(&mark), 4);
    assert!(pool.storage(*ids.last().unwrap()).is_some());
    drop(pool);
    assert_eq!(Rc::strong_count(&mark), 1);
}

#[test]
fn sizes_beyond_any_file_are_refused() {
    assert_eq!(size_for(u64::MAX), None);
    assert_eq!(size_for(i64::MAX.cast_unsigned()), None);
    assert!(size_for(1 << 62).is_some());
    assert!(pool().take(u64::MAX).is_none());
}

proptest! {
    #[test]
    fn a_size_is_whole_pages_and_little_is_unused(len in 0_u64..1 << 50) {
        let size = size_for(len).unwrap();
        prop_assert!(size >= len && size >= PAGE_LEN && size.is_multiple_of(PAGE_LEN));
        prop_assert!(size - len <= PAGE_LEN + size / 5, "{len} in {size}");
        prop_assert_eq!(size_for(size), Some(size), "a size is its own size");
        let larger = size_for(len + 1).unwrap();
        prop_assert!(larger >= size);
    }

    #[test]
    fn the_books_agree_with_a_plain_model(
        steps in proptest::collection::vec((0_u8..7, 0_u32..12, 0_u64..3, 1_u64..9), 1..200),
    ) {
        let mut model = Model::default();
        let mut pool = SegmentPool::new(20 * MIB, 3);
        for (now_ns, step) in (0..).zip(steps) {
            model.step(&mut pool, step, now_ns);
            let held: u64 = model.segments.values().map(|segment| segment.size).sum();
            let free = model.segments.values().filter(|segment| segment.is_free());
            prop_assert_eq!(pool.bytes_held(), held);
            prop_assert_eq!(pool.bytes_free(), free.map(|segment| segment.size).sum::<u64>());
            prop_assert_eq!(pool.len(), model.segments.len());
        }
    }
}

struct ModelSegment {
    size: u64,
    taken: bool,
    holders: Vec<u64>,
}

impl ModelSegment {
    fn is_free(&self) -> bool {
        !self.taken && self.holders.is_empty()
    }
}

/// What a pool must do, without any file of free segments: a map that is searched.
#[derive(Default)]
struct Model {
    segments: HashMap<u32, ModelSegment>,
}

impl Model {
    fn step(&mut self, pool: &mut SegmentPool<()>, step: (u8, u32, u64, u64), now_ns: u64) {
        let (action, id, holder, mebibytes) = step;
        let size = mebibytes * MIB;
        match action {
            0 => {
                let new = pool.insert((), size);
                let fresh = ModelSegment {
                    size,
                    taken: true,
                    holders: Vec::new(),
                };
                assert!(
                    self.segments.insert(new, fresh).is_none(),
                    "a number in use"
                );
            }
            1 => self.take(pool, size),
            2 => self.lend(pool, id, holder),
            3 => self.freed(pool, id, holder),
            4 => {
                pool.holder_gone(Holder(holder));
                for segment in self.segments.values_mut() {
                    segment.holders.retain(|&other| other != holder);
                }
            }
            5 => {
                let expected = self.segments.get(&id).is_some_and(|segment| segment.taken);
                assert_eq!(pool.give_back(id).is_ok(), expected);
                if let Some(segment) = self.segments.get_mut(&id) {
                    segment.taken = false;
                }
            }
            _ => {
                let dropped = pool.trim(now_ns).len();
                let before = self.segments.len();
                self.segments.retain(|&id, segment| {
                    let kept = pool.storage(id).is_some();
                    assert!(kept || segment.is_free(), "what is in use stays");
                    kept
                });
                assert_eq!(before - self.segments.len(), dropped);
            }
        }
    }

    fn take(&mut self, pool: &mut SegmentPool<()>, size: u64) {
        let fitting = |segment: &&ModelSegment| {
            segment.is_free() && (size..=4 * size).contains(&segment.size)
        };
        let best = self
            .segments
            .values()
            .filter(fitting)
            .map(|segment| segment.size)
            .min();
        let taken = pool.take(size).map(|taken| (taken.id, taken.size));
        assert_eq!(taken.map(|(_, size)| size), best);
        if let Some((id, _)) = taken {
            let segment = self.segments.get_mut(&id).unwrap();
            assert!(segment.is_free());
            segment.taken = true;
        }
    }

    fn lend(&mut self, pool: &mut SegmentPool<()>, id: u32, holder: u64) {
        let result = pool.lend(id, Holder(holder));
        match self.segments.get_mut(&id) {
            Some(segment) if !segment.is_free() => {
                assert_eq!(result, Ok(()));
                segment.taken = false;
                segment.holders.push(holder);
            }
            Some(_) => assert_eq!(result, Err(ShmError::SegmentNotTaken { id })),
            None => assert_eq!(result, Err(ShmError::SegmentUnknown { id })),
        }
    }

    fn freed(&mut self, pool: &mut SegmentPool<()>, id: u32, holder: u64) {
        let result = pool.freed(id, Holder(holder));
        let Some(segment) = self.segments.get_mut(&id) else {
            assert_eq!(result, Err(ShmError::SegmentUnknown { id }));
            return;
        };
        if let Some(at) = segment.holders.iter().position(|&other| other == holder) {
            segment.holders.remove(at);
            assert_eq!(result, Ok(segment.holders.is_empty()));
        } else {
            let holder = Holder(holder);
            assert_eq!(result, Err(ShmError::SegmentNotLent { id, holder }));
        }
    }
}

#[test]
fn a_free_segment_is_taken_back_as_it_is_and_a_lent_one_is_left() {
    let mut pool = SegmentPool::new(1 << 20, 5);
    let id = pool.insert("bytes", 4096);
    assert!(pool.retake(id).is_err(), "its taker has it");
    pool.lend(id, Holder(1)).unwrap();
    assert_eq!(pool.retake(id), Ok(false));
    assert_eq!(pool.freed(id, Holder(1)), Ok(true));
    assert_eq!(pool.bytes_free(), 4096);
    assert_eq!(pool.retake(id), Ok(true));
    assert_eq!(pool.bytes_free(), 0);
    assert!(pool.take(4096).is_none(), "it is nobody else's");
    pool.lend(id, Holder(2)).unwrap();
    assert!(pool.trim(100).is_empty());
    assert_eq!(pool.freed(id, Holder(2)), Ok(true));
    assert!(pool.retake(id + 1).is_err());
    assert_eq!(pool.storage(id), Some(&"bytes"));
}
