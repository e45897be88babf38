//! How long to look before sleeping. Owner: what is learnt from the waits before.
//!
//! Never looks at a clock.

/// Looking is worth it once so many short waits more than long ones have been met.
const CREDIT_NEEDED: u32 = 4;
const CREDIT_MAX: u32 = 8;

/// After a look in vain so many waits are slept through, and twice as many if that comes again soon,
/// up to the second number.
const VAIN_PAUSE: [u32; 2] = [8, 64];
/// The same where somebody else wanted the processor.
const DISTURBED_PAUSE: [u32; 2] = [64, 512];
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
}

impl Patience {
    /// How long to look, where `limit_ns` is allowed.
    pub const fn budget_ns(&self, limit_ns: u64) -> u64 {
        if self.pause == 0 && self.credit >= CREDIT_NEEDED {
            limit_ns
        } else {
            0
        }
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

    /// It was looked for as long as was allowed, and nothing came.
    pub fn in_vain(&mut self) {
        self.rest(VAIN_PAUSE);
    }

    /// Somebody else wanted the processor meanwhile: it is not free.
    pub fn disturbed(&mut self) {
        self.credit = 0;
        self.rest(DISTURBED_PAUSE);
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

    const LIMIT: u64 = 50;

    #[test]
    fn short_waits_teach_to_look_and_long_ones_not_to() {
        let mut patience = Patience::default();
        assert_eq!(patience.budget_ns(LIMIT), 0, "nothing is known yet");
        for _ in 0..CREDIT_MAX {
            patience.learn(LIMIT, LIMIT);
        }
        assert_eq!(patience.budget_ns(LIMIT), LIMIT);
        patience.learn(LIMIT + 1, LIMIT);
        patience.learn(LIMIT + 1, LIMIT);
        assert_eq!(patience.budget_ns(LIMIT), 0, "two in a row are enough");
    }

    #[test]
    fn whoever_is_idle_never_looks() {
        let mut patience = Patience::default();
        for _ in 0..100 {
            patience.learn(1_000 * LIMIT, LIMIT);
            assert_eq!(patience.budget_ns(LIMIT), 0);
        }
    }

    #[test]
    fn no_limit_is_no_look() {
        let mut patience = Patience::default();
        for _ in 0..100 {
            patience.learn(1, LIMIT);
        }
        assert_eq!(patience.budget_ns(0), 0);
    }

    fn waits_slept_through(patience: &mut Patience) -> u32 {
        let mut waits = 0;
        while patience.budget_ns(LIMIT) == 0 {
            patience.learn(1, LIMIT);
            waits += 1;
        }
        waits
    }

    #[test]
    fn what_fails_again_soon_is_left_for_longer_and_calm_forgives() {
        for (fail, [least, most]) in [
            (Patience::in_vain as fn(&mut Patience), VAIN_PAUSE),
            (Patience::disturbed, DISTURBED_PAUSE),
        ] {
            let mut patience = Patience::default();
            waits_slept_through(&mut patience);
            for expected in [least, 2 * least, 4 * least] {
                fail(&mut patience);
                assert_eq!(waits_slept_through(&mut patience), expected);
            }
            for _ in 0..20 {
                fail(&mut patience);
            }
            assert_eq!(waits_slept_through(&mut patience), most);
            for _ in 0..SOON * most {
                patience.learn(1, LIMIT);
            }
            fail(&mut patience);
            assert_eq!(waits_slept_through(&mut patience), least);
        }
    }
}
