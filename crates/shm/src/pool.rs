//! Recycling of segments on the side that sends them. Owner: which segment may be written again.
//!
//! Never creates or maps one, and never decides how much may be held: it counts, the caller decides.
//! A segment is written again only after every holder has said that its last view is dead, because
//! a private mapping shows later writes on each page that its owner has not yet written itself.

use std::collections::{BTreeMap, HashMap};

use crate::error::ShmError;
use crate::segment::{Holder, Life, Segment, size_for};

/// A free segment more than this many times too large stays where it is: it would be missing when
/// something large comes.
const WASTE_MAX: u64 = 4;

/// A segment that the caller may write.
#[derive(Debug)]
pub struct Taken<'a, S> {
    /// Its number, for [`SegmentPool::lend`] and for the frame.
    pub id: u32,
    /// Its size in bytes, at least what was asked for.
    pub size: u64,
    /// What the caller inserted.
    pub storage: &'a mut S,
}

/// The segments of one sender over a storage `S`, which is dropped with its segment.
#[derive(Debug)]
pub struct SegmentPool<S> {
    segments: HashMap<u32, Segment<S>>,
    /// Free segments by size; of one size the last freed is the first taken, since its pages are
    /// the likeliest to be in a cache.
    free: BTreeMap<u64, Vec<u32>>,
    last_id: u32,
    bytes_held: u64,
    bytes_free: u64,
    budget: u64,
    idle_max_ns: u64,
}

impl<S> SegmentPool<S> {
    /// An empty pool that is meant to hold up to `budget` bytes, and to give up what has been free
    /// for `idle_max_ns`.
    pub fn new(budget: u64, idle_max_ns: u64) -> Self {
        Self {
            segments: HashMap::new(),
            free: BTreeMap::new(),
            last_id: 0,
            bytes_held: 0,
            bytes_free: 0,
            budget,
            idle_max_ns,
        }
    }

    /// The smallest free segment that holds `len` bytes, unless it would be wasted on them.
    pub fn take(&mut self, len: u64) -> Option<Taken<'_, S>> {
        let largest = size_for(len)?.saturating_mul(WASTE_MAX);
        let (&size, _) = self.free.range(len..=largest).next()?;
        let id = self.unfile_last(size)?;
        let segment = self.segments.get_mut(&id)?;
        segment.life = Life::Taken;
        Some(Taken {
            id,
            size,
            storage: &mut segment.storage,
        })
    }

    /// Takes back a free segment whose bytes are needed once more, as they are. `false` where it is
    /// lent, so that one more holder may have it without.
    pub fn retake(&mut self, id: u32) -> Result<bool, ShmError> {
        let segment = self
            .segments
            .get_mut(&id)
            .ok_or(ShmError::SegmentUnknown { id })?;
        let size = segment.size;
        match segment.life {
            Life::Lent(_) => return Ok(false),
            Life::Taken => {
                return Err(ShmError::SegmentNotLent {
                    id,
                    holder: Holder::ONLY,
                });
            }
            Life::Free { .. } => segment.life = Life::Taken,
        }
        self.unfile(size, id);
        Ok(true)
    }

    /// Adds a new segment, taken by the caller.
    pub fn insert(&mut self, storage: S, size: u64) -> u32 {
        // Numbers come round after four thousand million segments; those in use are stepped over.
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.segments.contains_key(&self.last_id) {
                break;
            }
        }
        self.segments.insert(
            self.last_id,
            Segment {
                storage,
                size,
                life: Life::Taken,
            },
        );
        self.bytes_held = self.bytes_held.saturating_add(size);
        self.last_id
    }

    /// Hands a taken segment to a holder, or a lent one to one more holder, which sees the same
    /// bytes.
    pub fn lend(&mut self, id: u32, holder: Holder) -> Result<(), ShmError> {
        let segment = self
            .segments
            .get_mut(&id)
            .ok_or(ShmError::SegmentUnknown { id })?;
        match &mut segment.life {
            Life::Taken => segment.life = Life::Lent(vec![holder]),
            Life::Lent(holders) => holders.push(holder),
            Life::Free { .. } => return Err(ShmError::SegmentNotTaken { id }),
        }
        Ok(())
    }

    /// A holder's last view has died. `true` if it was the last holder, so that the segment is free.
    pub fn freed(&mut self, id: u32, holder: Holder) -> Result<bool, ShmError> {
        let segment = self
            .segments
            .get_mut(&id)
            .ok_or(ShmError::SegmentUnknown { id })?;
        let not_lent = ShmError::SegmentNotLent { id, holder };
        match &mut segment.life {
            Life::Lent(holders) => {
                let at = holders
                    .iter()
                    .position(|&other| other == holder)
                    .ok_or(not_lent)?;
                holders.swap_remove(at);
                if holders.is_empty() {
                    self.file(id);
                    return Ok(true);
                }
                Ok(false)
            }
            Life::Free { .. } | Life::Taken => Err(not_lent),
        }
    }

    /// A holder is gone with all its views. Gives the number of segments that became free.
    pub fn holder_gone(&mut self, holder: Holder) -> usize {
        let mut empty = Vec::new();
        for (&id, segment) in &mut self.segments {
            if let Life::Lent(holders) = &mut segment.life {
                holders.retain(|&other| other != holder);
                if holders.is_empty() {
                    empty.push(id);
                }
            }
        }
        for &id in &empty {
            self.file(id);
        }
        empty.len()
    }

    /// A taken segment that was not sent after all.
    pub fn give_back(&mut self, id: u32) -> Result<(), ShmError> {
        let segment = self
            .segments
            .get(&id)
            .ok_or(ShmError::SegmentUnknown { id })?;
        match segment.life {
            Life::Taken => {
                self.file(id);
                Ok(())
            }
            Life::Free { .. } | Life::Lent(_) => Err(ShmError::SegmentNotTaken { id }),
        }
    }

    /// The storage of a segment, whatever its life.
    pub fn storage(&self, id: u32) -> Option<&S> {
        self.segments.get(&id).map(|segment| &segment.storage)
    }

    /// Takes out what has been free for too long, and what is free beyond the budget, largest first.
    /// Age is counted from the first trim that found a segment free.
    pub fn trim(&mut self, now_ns: u64) -> Vec<S> {
        let idle_max_ns = self.idle_max_ns;
        let mut aged = Vec::new();
        for (&id, segment) in &mut self.segments {
            if let Life::Free { idle_since_ns } = &mut segment.life {
                let since = *idle_since_ns.get_or_insert(now_ns);
                if now_ns.saturating_sub(since) >= idle_max_ns {
                    aged.push((segment.size, id));
                }
            }
        }
        let mut dropped: Vec<S> = aged
            .into_iter()
            .filter_map(|(size, id)| self.remove_free(size, id))
            .collect();
        dropped.extend(self.make_room(0));
        dropped
    }

    /// Takes out free segments, largest first, until `len` more bytes keep to the budget or nothing
    /// is free.
    pub fn make_room(&mut self, len: u64) -> Vec<S> {
        let mut dropped = Vec::new();
        while self.bytes_held.saturating_add(len) > self.budget {
            let Some((&size, _)) = self.free.last_key_value() else {
                break;
            };
            let Some(id) = self.unfile_last(size) else {
                break;
            };
            dropped.extend(self.forget(id));
        }
        dropped
    }

    /// Takes out a taken segment whose bytes must not be used again.
    pub fn discard(&mut self, id: u32) -> Result<S, ShmError> {
        let segment = self
            .segments
            .get(&id)
            .ok_or(ShmError::SegmentUnknown { id })?;
        match segment.life {
            Life::Taken => self.forget(id).ok_or(ShmError::SegmentUnknown { id }),
            Life::Free { .. } | Life::Lent(_) => Err(ShmError::SegmentNotTaken { id }),
        }
    }

    /// The bytes the caller means to hold at most.
    pub const fn budget(&self) -> u64 {
        self.budget
    }

    /// Changes the budget; the next trim acts on it.
    pub const fn set_budget(&mut self, budget: u64) {
        self.budget = budget;
    }

    /// The bytes of all segments.
    pub const fn bytes_held(&self) -> u64 {
        self.bytes_held
    }

    /// The bytes of those that are free.
    pub const fn bytes_free(&self) -> u64 {
        self.bytes_free
    }

    /// How many segments there are.
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Makes a segment free and files it by its size.
    fn file(&mut self, id: u32) {
        if let Some(segment) = self.segments.get_mut(&id) {
            segment.life = Life::Free {
                idle_since_ns: None,
            };
            self.free.entry(segment.size).or_default().push(id);
            self.bytes_free = self.bytes_free.saturating_add(segment.size);
        }
    }

    /// Takes the last freed segment of a size out of the file; its life is for the caller to set.
    fn unfile_last(&mut self, size: u64) -> Option<u32> {
        let ids = self.free.get_mut(&size)?;
        let id = ids.pop();
        if ids.is_empty() {
            self.free.remove(&size);
        }
        if id.is_some() {
            self.bytes_free = self.bytes_free.saturating_sub(size);
        }
        id
    }

    /// Takes a free segment out of the file.
    fn unfile(&mut self, size: u64, id: u32) -> Option<()> {
        let ids = self.free.get_mut(&size)?;
        let at = ids.iter().position(|&other| other == id)?;
        ids.remove(at);
        if ids.is_empty() {
            self.free.remove(&size);
        }
        self.bytes_free = self.bytes_free.saturating_sub(size);
        Some(())
    }

    fn remove_free(&mut self, size: u64, id: u32) -> Option<S> {
        self.unfile(size, id)?;
        self.forget(id)
    }

    fn forget(&mut self, id: u32) -> Option<S> {
        let segment = self.segments.remove(&id)?;
        self.bytes_held = self.bytes_held.saturating_sub(segment.size);
        Some(segment.storage)
    }
}
