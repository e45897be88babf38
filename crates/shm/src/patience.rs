//! How long to look before sleeping. Owner: what is learnt from the waits before.
//!
//! Never looks at a clock.

/// Looking is worth it once so many short waits more than long ones have been met.
const CREDIT_NEEDED: u32 = 4;
const CREDIT_MAX: u32 = 8;

/// Learns from the length of waits whether the next is likely to be short.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    credit: u32,
}

impl Patience {
    /// How long to look, where `limit_ns` is allowed.
    pub const fn budget_ns(&self, limit_ns: u64) -> u64 {
        if self.credit >= CREDIT_NEEDED {
            limit_ns
        } else {
            0
        }
    }

    /// A wait is over that took so long, slept or not.
    pub const fn learn(&mut self, waited_ns: u64, limit_ns: u64) {
        if waited_ns > limit_ns {
            self.credit /= 2;
        } else if self.credit < CREDIT_MAX {
            self.credit += 1;
        }
    }

    /// Somebody else wanted the processor meanwhile.
    pub const fn disturbed(&mut self) {
        self.credit = 0;
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
    fn a_disturbance_ends_it_and_no_limit_is_no_look() {
        let mut patience = Patience::default();
        for _ in 0..100 {
            patience.learn(1, LIMIT);
        }
        assert_eq!(patience.budget_ns(0), 0);
        patience.disturbed();
        assert_eq!(patience.budget_ns(LIMIT), 0);
    }
}
