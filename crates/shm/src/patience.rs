//! Whether to look before sleeping. Owner: what is learnt from the waits and looks before.
//!
//! Never looks at a clock. Where waits are short and looks are not in vain, it looks within
//! `DISTURBED_PAUSE` and `CREDIT_NEEDED` waits, from whatever it has learnt before; where waits are long,
//! it stops after two.

use crate::spin::Spin;

/// Looking is worth it once so many short waits more than long ones have been met.
const CREDIT_NEEDED: u32 = 4;
const CREDIT_MAX: u32 = 8;

/// After a look in vain so many waits are slept through, and twice as many if that comes again soon,
/// up to the second number.
const VAIN_PAUSE: [u32; 2] = [8, 64];
/// The same where somebody else had the processor for long.
const DISTURBED_PAUSE: [u32; 2] = [8, 1024];
/// Soon is within so many times the last pause.
const SOON: u32 = 4;

/// Learns from the length of waits whether the next is likely to be short.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    credit: u32,
    /// How many waits are slept through.
    pause: u32,
    /// How many were to be, the last time.
    pause_last: u32,
    /// Waits since then.
    calm: u32,
    /// The last look found what it looked for when it had offered the processor: the other side runs
    /// on the same one.
    yields: bool,
}

impl Patience {
    /// Whether to look before the next wait.
    pub const fn is_ready(&self) -> bool {
        self.pause == 0 && self.credit >= CREDIT_NEEDED
    }

    /// Begins a look, of `limit_ns` at the most, where it is likely to pay. Its end is to be told.
    pub fn begin(&self, now_ns: u64, limit_ns: u64) -> Option<Spin> {
        let looks = self.is_ready() && limit_ns > 0;
        looks.then(|| Spin::new(now_ns, limit_ns, self.yields))
    }

    /// A look is over.
    pub fn end(&mut self, mut spin: Spin, now_ns: u64, found: bool) {
        spin.note(now_ns);
        self.yields = found && spin.has_yielded();
        if spin.is_disturbed() {
            self.disturbed();
        } else if !found {
            self.rest(VAIN_PAUSE);
        }
    }

    /// Somebody else wants the processor: it is not free.
    pub fn disturbed(&mut self) {
        self.credit = 0;
        self.rest(DISTURBED_PAUSE);
    }

    /// A wait is over that took so long, slept or not.
    pub const fn learn(&mut self, waited_ns: u64, limit_ns: u64) {
        self.pause = self.pause.saturating_sub(1);
        self.calm = self.calm.saturating_add(1);
        if waited_ns > limit_ns {
            self.credit /= 2;
        } else if self.credit < CREDIT_MAX {
            self.credit += 1;
        }
    }

    fn rest(&mut self, [least, most]: [u32; 2]) {
        let soon = self.calm < self.pause_last.saturating_mul(SOON);
        let longer = if soon { self.pause_last * 2 } else { least };
        self.pause_last = longer.clamp(least, most);
        self.pause = self.pause_last;
        self.calm = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A budget that offers the processor, and one that does not.
    const LIMIT: u64 = 250_000;
    const SHORT_LIMIT: u64 = 40_000;
    const LONG: u64 = 10_000_000;
    /// An exchange for which both sides look, and one with its wake-ups.
    const SEEN: u64 = 8_000;
    const SLEPT: u64 = 100_000;

    fn ready() -> Patience {
        let mut patience = Patience::default();
        for _ in 0..CREDIT_MAX {
            patience.learn(1, LIMIT);
        }
        patience
    }

    fn look_in_vain(patience: &mut Patience) {
        let spin = patience.begin(0, LIMIT).unwrap();
        patience.end(spin, 1, false);
    }

    fn look_disturbed(patience: &mut Patience) {
        let spin = patience.begin(0, LIMIT).unwrap();
        patience.end(spin, LONG, true);
    }

    fn any_state() -> Vec<Patience> {
        let mut states = Vec::new();
        for credit in 0..=CREDIT_MAX {
            for exponent in 0..=7 {
                let pause_last = VAIN_PAUSE[0] << exponent;
                for pause in [0, 1, pause_last / 2, pause_last] {
                    for calm in [0, SOON * pause_last] {
                        states.push(Patience {
                            credit,
                            pause,
                            pause_last,
                            calm,
                            yields: calm == 0,
                        });
                    }
                }
            }
        }
        assert_eq!(states.last().unwrap().pause, DISTURBED_PAUSE[1]);
        states
    }

    #[test]
    fn short_waits_teach_to_look_and_long_ones_not_to() {
        let mut patience = Patience::default();
        assert!(!patience.is_ready(), "nothing is known yet");
        for _ in 0..CREDIT_NEEDED {
            assert!(patience.begin(0, LIMIT).is_none());
            patience.learn(LIMIT, LIMIT);
        }
        assert!(patience.begin(0, LIMIT).is_some());
        for _ in 0..CREDIT_MAX {
            patience.learn(LIMIT, LIMIT);
        }
        patience.learn(LIMIT + 1, LIMIT);
        patience.learn(LIMIT + 1, LIMIT);
        assert!(!patience.is_ready(), "two in a row are enough");
    }

    #[test]
    fn whoever_is_idle_never_looks() {
        let mut patience = Patience::default();
        for _ in 0..100 {
            patience.learn(LONG, LIMIT);
            assert!(!patience.is_ready());
        }
    }

    #[test]
    fn no_limit_is_no_look() {
        assert!(ready().begin(0, 0).is_none());
    }

    #[test]
    fn a_look_that_finds_changes_nothing() {
        let mut patience = ready();
        let spin = patience.begin(0, LIMIT).unwrap();
        patience.end(spin, 5, true);
        assert!(patience.is_ready());
        assert_eq!(patience.credit, CREDIT_MAX);
    }

    #[test]
    fn what_is_found_by_offering_the_processor_is_looked_for_like_that_again() {
        use crate::spin::Step;
        let mut patience = ready();
        for (found, first) in [(true, Step::Yield), (false, Step::Look)] {
            let mut patience = patience.clone();
            let mut spin = patience.begin(0, LIMIT).unwrap();
            assert_eq!(spin.step(0), Step::Look);
            assert_eq!(spin.step(LIMIT / 2), Step::Yield);
            patience.end(spin, LIMIT / 2, found);
            patience.pause = 0;
            assert_eq!(patience.begin(0, LIMIT).unwrap().step(0), first);
        }
        patience.yields = true;
        let mut spin = patience.begin(0, LIMIT).unwrap();
        assert_eq!([spin.step(0), spin.step(1)], [Step::Yield, Step::Look]);
        patience.end(spin, 2, true);
        assert_eq!(patience.begin(0, LIMIT).unwrap().step(0), Step::Look);
    }

    #[test]
    fn whoever_was_kept_from_the_processor_is_disturbed_also_if_he_found_something() {
        let mut patience = ready();
        look_disturbed(&mut patience);
        assert_eq!((patience.credit, patience.pause), (0, DISTURBED_PAUSE[0]));
    }

    fn waits_slept_through(patience: &mut Patience) -> u32 {
        let mut waits = 0;
        while !patience.is_ready() {
            patience.learn(1, LIMIT);
            waits += 1;
        }
        waits
    }

    #[test]
    fn what_fails_again_soon_is_left_for_longer_and_calm_forgives() {
        for (fail, [least, most]) in [
            (look_in_vain as fn(&mut Patience), VAIN_PAUSE),
            (look_disturbed, DISTURBED_PAUSE),
            (Patience::disturbed, DISTURBED_PAUSE),
        ] {
            let mut patience = ready();
            for expected in [least, 2 * least, 4 * least] {
                fail(&mut patience);
                assert_eq!(waits_slept_through(&mut patience), expected);
            }
            for _ in 0..20 {
                fail(&mut patience);
                let waits = waits_slept_through(&mut patience);
                assert!(waits <= most);
            }
            assert_eq!(patience.pause_last, most);
            for _ in 0..SOON * most {
                patience.learn(1, LIMIT);
            }
            fail(&mut patience);
            assert_eq!(waits_slept_through(&mut patience), least);
        }
    }

    #[test]
    fn from_any_state_short_waits_lead_to_looking_and_it_stays_so() {
        for mut patience in any_state() {
            let waits = waits_slept_through(&mut patience);
            assert!(waits <= DISTURBED_PAUSE[1]);
            for _ in 0..100 {
                let spin = patience.begin(0, LIMIT).unwrap();
                patience.end(spin, SEEN, true);
                patience.learn(SEEN, LIMIT);
            }
        }
    }

    #[test]
    fn from_any_state_long_waits_lead_to_one_look_at_the_most() {
        for mut patience in any_state() {
            let mut looks = 0;
            for _ in 0..2 * DISTURBED_PAUSE[1] {
                if let Some(spin) = patience.begin(0, LIMIT) {
                    looks += 1;
                    patience.end(spin, LIMIT, false);
                }
                patience.learn(LONG, LIMIT);
            }
            assert!(looks <= 1);
        }
    }

    /// One exchange between a worker, which waits for the task, and its parent, which waits for the answer
    /// and looks only if the worker looked. Whether both did.
    fn exchange(worker: &mut Patience, parent: &mut Patience, between_ns: &mut u64) -> bool {
        let limit_ns = if parent.is_ready() {
            LIMIT
        } else {
            SHORT_LIMIT
        };
        let mut awake = false;
        if let Some(spin) = worker.begin(0, limit_ns) {
            awake = *between_ns <= limit_ns;
            worker.end(spin, limit_ns.min(*between_ns), awake);
        }
        worker.learn(*between_ns, limit_ns);
        let look = parent.begin(0, LIMIT).filter(|_| awake);
        let both = look.is_some();
        if let Some(spin) = look {
            parent.end(spin, SEEN, true);
        }
        parent.learn(0, LIMIT);
        *between_ns = if both { SEEN } else { SLEPT };
        both
    }

    #[test]
    fn from_any_state_of_both_sides_they_come_to_see_each_other_and_it_stays_so() {
        let bound = DISTURBED_PAUSE[1] + VAIN_PAUSE[1] + 2 * CREDIT_NEEDED;
        for worker in any_state().iter().step_by(5) {
            for parent in any_state().iter().step_by(7) {
                let (mut worker, mut parent) = (worker.clone(), parent.clone());
                let mut between_ns = SLEPT;
                let seen =
                    (0..=bound).position(|_| exchange(&mut worker, &mut parent, &mut between_ns));
                assert!(seen.is_some(), "{worker:?} {parent:?}");
                for _ in 0..10 {
                    assert!(exchange(&mut worker, &mut parent, &mut between_ns));
                }
            }
        }
    }
}
