//! Bytes that a pool has, wherever they lie, and what they have in common with others.
//!
//! Compares and changes nothing. A comparison reads everything: an answer "the same" is exact.

use std::sync::Arc;

use loky_sys::memory::Mapping;

use crate::front::Buffer;

/// Bytes of the process that cannot change.
pub(crate) type Source = Arc<dyn Buffer>;

/// Bytes that are looked at at once.
const STEP: usize = 64 * 1024;

/// Samples that a print is made of.
const SAMPLES: usize = 32;

/// Bytes by which a place of a stream is found again in another.
const ANCHOR_LEN: usize = 32;

/// How far from where it should be such a place is looked for, beside the difference in length.
const DRIFT: usize = 512;

/// The largest stretch that is searched for one place.
const SEARCH_MAX: usize = 64 * 1024;

/// How often what is left between two common runs is looked through for more.
const DEPTH: usize = 2;

/// The shortest run that is worth a piece of its own.
pub(crate) const RUN_MIN: usize = 32 * 1024;

/// The most runs that a comparison finds: the front, the back, and three between.
pub(crate) const RUNS_MAX: usize = 2 + (1 << DEPTH) - 1;

/// A run of bytes that two streams have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// Where it begins in the known stream.
    pub(crate) known_at: usize,
    /// Where it begins in the new one.
    pub(crate) new_at: usize,
    /// How long it is.
    pub(crate) len: usize,
}

/// Bytes that do not change while this is held.
#[derive(Clone)]
pub(crate) enum Content {
    /// In the memory of this process.
    Here(Source),
    /// In a segment.
    Pages {
        /// The pages of the segment.
        pages: Arc<Mapping>,
        /// Where they begin.
        at: usize,
        /// How many they are.
        len: usize,
    },
}

/// What is the same for the same bytes, and seldom for others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Print {
    len: usize,
    samples: u64,
}

impl Print {
    /// The print of bytes at hand.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::sampled(bytes.len(), |at| {
            let rest = bytes.get(at..).unwrap_or_default();
            rest.first_chunk().copied().unwrap_or_default()
        })
    }

    fn sampled(len: usize, word_at: impl Fn(usize) -> [u8; 8]) -> Self {
        let last = len.saturating_sub(size_of::<u64>());
        let mut samples = len as u64;
        for sample in 0..SAMPLES {
            // The product stays below any length that memory can have by a factor of 32.
            let at = last / (SAMPLES - 1) * sample;
            let word = u64::from_le_bytes(word_at(at.min(last)));
            samples = (samples ^ word)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29);
        }
        Self { len, samples }
    }
}

impl Content {
    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Here(source) => source.bytes().len(),
            Self::Pages { len, .. } => *len,
        }
    }

    /// Their print.
    pub(crate) fn print(&self) -> Print {
        match self {
            Self::Here(source) => Print::of(source.bytes()),
            Self::Pages { pages, at, len } => Print::sampled(*len, |offset| {
                let mut word = [0; 8];
                // What cannot be read gives a print that fits nothing.
                let read = pages.read_at(at.saturating_add(offset), &mut word);
                debug_assert!(read.is_ok(), "{read:?}");
                word
            }),
        }
    }

    /// Whether these are exactly its bytes.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        self.len() == bytes.len() && self.has_at(0, bytes)
    }

    /// Whether these bytes lie there.
    fn has_at(&self, offset: usize, bytes: &[u8]) -> bool {
        match self {
            Self::Here(source) => {
                let rest = source.bytes().get(offset..).unwrap_or_default();
                rest.starts_with(bytes)
            }
            Self::Pages { pages, at, len } => {
                let inside = offset
                    .checked_add(bytes.len())
                    .is_some_and(|end| end <= *len);
                let start = at.saturating_add(offset);
                inside && pages.is_equal_at(start, bytes).unwrap_or(false)
            }
        }
    }

    /// Whether they are worth a comparison: a place in the middle, or in a quarter, is found again.
    pub(crate) fn is_like(&self, bytes: &[u8]) -> bool {
        let known = Gap::of(self.len(), bytes.len());
        PLACES
            .iter()
            .any(|place| self.found(bytes, known, *place).is_some())
    }

    /// Runs that these bytes have in common with it, in order and apart on both sides.
    pub(crate) fn common_runs(&self, bytes: &[u8]) -> Vec<Run> {
        let front = self.common_front(bytes);
        let back = self.common_back(bytes, self.len().min(bytes.len()) - front);
        let (known_end, new_end) = (self.len() - back, bytes.len() - back);
        let mut runs = Vec::with_capacity(RUNS_MAX);
        let mut add = |known_at, new_at, len| {
            if len > 0 {
                runs.push(Run {
                    known_at,
                    new_at,
                    len,
                });
            }
        };
        add(0, 0, front);
        add(known_end, new_end, back);
        let gap = Gap {
            known: (front, known_end),
            new: (front, new_end),
        };
        self.add_runs_between(bytes, gap, DEPTH, &mut runs);
        runs.sort_unstable_by_key(|run| run.new_at);
        runs
    }

    /// Finds runs in what is left between two others.
    fn add_runs_between(&self, bytes: &[u8], gap: Gap, depth: usize, runs: &mut Vec<Run>) {
        if depth == 0 || gap.shorter() < RUN_MIN {
            return;
        }
        let run = PLACES.iter().find_map(|place| {
            let found = self.found(bytes, gap, *place)?;
            let run = self.grown(bytes, gap, found);
            (run.len >= RUN_MIN).then_some(run)
        });
        let Some(run) = run else {
            return;
        };
        runs.push(run);
        let before = Gap {
            known: (gap.known.0, run.known_at),
            new: (gap.new.0, run.new_at),
        };
        let behind = Gap {
            known: (run.known_at + run.len, gap.known.1),
            new: (run.new_at + run.len, gap.new.1),
        };
        self.add_runs_between(bytes, before, depth - 1, runs);
        self.add_runs_between(bytes, behind, depth - 1, runs);
    }

    /// Where a place of a gap is found in the new bytes: near to where it would be if nothing had
    /// been put in before it, or behind it.
    fn found(&self, bytes: &[u8], gap: Gap, (part, parts): (usize, usize)) -> Option<Run> {
        let room = gap.shorter().checked_sub(ANCHOR_LEN)?;
        let from_start = room / parts * part;
        let known_at = gap.known.0 + from_start;
        let mut anchor = [0; ANCHOR_LEN];
        self.read(known_at, &mut anchor)?;
        let if_before = gap.new.0 + from_start;
        let if_behind = (gap.new.1 + known_at)
            .checked_sub(gap.known.1)
            .unwrap_or(if_before);
        let low = if_before
            .min(if_behind)
            .saturating_sub(DRIFT)
            .max(gap.new.0);
        let high = (if_before.max(if_behind) + DRIFT + ANCHOR_LEN)
            .min(gap.new.1)
            .min(low.saturating_add(SEARCH_MAX));
        let stretch = bytes.get(low..high)?;
        let at = stretch
            .windows(ANCHOR_LEN)
            .position(|window| *window == anchor)?;
        Some(Run {
            known_at,
            new_at: low + at,
            len: ANCHOR_LEN,
        })
    }

    /// A run as long as it goes on in both directions.
    fn grown(&self, bytes: &[u8], gap: Gap, run: Run) -> Run {
        let behind = bytes.get(run.new_at..gap.new.1).unwrap_or_default();
        let behind_max = behind.len().min(gap.known.1 - run.known_at);
        let forward = self.same_from(run.known_at, behind.get(..behind_max).unwrap_or_default());
        let before = bytes.get(gap.new.0..run.new_at).unwrap_or_default();
        let before_max = before.len().min(run.known_at - gap.known.0);
        let backward = self.same_before(run.known_at, before, before_max);
        Run {
            known_at: run.known_at - backward,
            new_at: run.new_at - backward,
            len: backward + forward,
        }
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        match self {
            Self::Here(source) => {
                let end = offset.checked_add(out.len())?;
                out.copy_from_slice(source.bytes().get(offset..end)?);
                Some(())
            }
            Self::Pages { pages, at, len } => {
                let end = offset.checked_add(out.len())?;
                (end <= *len).then_some(())?;
                pages.read_at(at.checked_add(offset)?, out).ok()
            }
        }
    }

    /// How many bytes at the beginning are the same.
    fn common_front(&self, bytes: &[u8]) -> usize {
        let len = self.len().min(bytes.len());
        self.same_from(0, bytes.get(..len).unwrap_or_default())
    }

    /// How many bytes at the end are the same, at most `limit`.
    fn common_back(&self, bytes: &[u8], limit: usize) -> usize {
        let len = self.len().min(bytes.len()).min(limit);
        self.same_before(self.len(), bytes, len)
    }

    /// How many of these bytes lie at `offset`; there must be as many.
    fn same_from(&self, offset: usize, bytes: &[u8]) -> usize {
        let mut same = 0;
        while same < bytes.len() {
            let step = STEP.min(bytes.len() - same);
            let part = bytes.get(same..same + step).unwrap_or_default();
            let has =
                |count: usize| self.has_at(offset + same, part.get(..count).unwrap_or_default());
            if !has(step) {
                return same + longest(step, has);
            }
            same += step;
        }
        same
    }

    /// How many of the last of these bytes lie before `end`, at most `len`; there must be as many.
    fn same_before(&self, end: usize, bytes: &[u8], len: usize) -> usize {
        let mut same = 0;
        while same < len {
            let step = STEP.min(len - same);
            let has = |count: usize| {
                let from = bytes.len() - same - count;
                let part = bytes.get(from..from + count).unwrap_or_default();
                self.has_at(end - same - count, part)
            };
            if !has(step) {
                return same + longest(step, has);
            }
            same += step;
        }
        same
    }
}

/// Where a place is looked for first, as a part of a gap.
const PLACES: [(usize, usize); 3] = [(1, 2), (1, 4), (3, 4)];

/// What lies between two runs, in the known stream and in the new one.
#[derive(Clone, Copy)]
struct Gap {
    known: (usize, usize),
    new: (usize, usize),
}

impl Gap {
    fn of(known: usize, new: usize) -> Self {
        Self {
            known: (0, known),
            new: (0, new),
        }
    }

    fn shorter(&self) -> usize {
        (self.known.1 - self.known.0).min(self.new.1 - self.new.0)
    }
}

/// The largest number below `end` for which this holds; it holds for all smaller ones.
fn longest(end: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, end);
    while low + 1 < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(bytes: &[u8]) -> Content {
        Content::Here(Arc::new(bytes.to_vec()))
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn one_byte_that_no_sample_sees_makes_other_content_of_the_same_print() {
        let bytes = noise(300_000);
        let mut other = bytes.clone();
        other[150_001] ^= 1;
        assert_eq!(Print::of(&bytes), Print::of(&other));
        assert!(here(&bytes).is(&bytes));
        assert!(!here(&bytes).is(&other));
        other.push(0);
        assert_ne!(Print::of(&bytes), Print::of(&other));
        assert!(!here(&bytes).is(&other[..10]));
    }

    /// Holds runs to what they claim.
    fn runs(old: &[u8], new: &[u8]) -> Vec<Run> {
        let runs = here(old).common_runs(new);
        assert!(runs.len() <= RUNS_MAX);
        let (mut known_end, mut new_end) = (0, 0);
        for run in &runs {
            assert!(
                run.known_at >= known_end && run.new_at >= new_end,
                "in order and apart"
            );
            (known_end, new_end) = (run.known_at + run.len, run.new_at + run.len);
            assert_eq!(old[run.known_at..known_end], new[run.new_at..new_end]);
        }
        runs
    }

    fn common(old: &[u8], new: &[u8]) -> usize {
        runs(old, new).iter().map(|run| run.len).sum()
    }

    #[test]
    fn common_ends_are_found_to_the_byte() {
        let old = noise(200_000);
        for (cut, inserted) in [
            (0, 1),
            (1, 2),
            (65_535, 3),
            (65_536, 100),
            (131_073, 70_000),
        ] {
            let mut new = old[..cut].to_vec();
            new.extend(std::iter::repeat_n(old[cut].wrapping_add(1), inserted));
            new.extend_from_slice(&old[cut + 1..]);
            assert_eq!(common(&old, &new), old.len() - 1, "{cut}, {inserted}");
            assert!(here(&old).is_like(&new), "{cut}, {inserted}");
        }
        assert_eq!(common(&old, &old), old.len());
        assert_eq!(common(&old, &[]), 0);
        assert_eq!(common(&old, &old[..100]), 100);
        assert_eq!(common(&old, &old[199_900..]), 100);
    }

    #[test]
    fn what_is_common_is_found_between_two_ends_that_differ() {
        let old = noise(1_000_000);
        for (before, behind) in [(3, 5), (5, 3), (0, 1000), (3000, 0)] {
            let mut new = vec![1; before];
            new.extend_from_slice(&old[10..999_990]);
            new.extend(std::iter::repeat_n(2, behind));
            assert!(here(&old).is_like(&new), "{before}, {behind}");
            assert!(common(&old, &new) >= 999_980, "{before}, {behind}");
        }
    }

    #[test]
    fn what_is_common_is_found_around_several_changes() {
        let old = noise(1_000_000);
        let mut new = vec![1, 2, 3];
        for part in [&old[..300_000], &old[300_010..600_000], &old[600_001..]] {
            new.extend_from_slice(part);
            new.extend_from_slice(b"something else");
        }
        assert!(common(&old, &new) >= 600_000, "{:?}", runs(&old, &new));
    }

    #[test]
    fn a_pattern_that_repeats_is_no_trap() {
        let old = b"K\x01".repeat(100_000);
        let mut new = b"K\x02".to_vec();
        new.extend_from_slice(&old[..150_001]);
        assert!(common(&old, &new) > 100_000);
        let zeros = noise(1).repeat(300_000);
        runs(&zeros, &zeros[..200_000]);
        runs(&zeros[..200_000], &zeros);
    }

    #[test]
    fn what_has_little_in_common_is_not_alike() {
        let (old, mut new) = (noise(200_000), noise(200_000));
        assert!(here(&old).is_like(&new));
        for byte in &mut new[20_000..190_000] {
            *byte ^= 0x55;
        }
        assert!(!here(&old).is_like(&new));
        assert_eq!(common(&old, &new), 30_000);
        assert!(!here(&old).is_like(&[]));
        assert!(!here(&[]).is_like(&old));
    }
}
