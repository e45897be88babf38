//! One look: when to go on, when to offer the processor, when to stop. Owner: the course of a look.
//!
//! Never looks at a clock: it is told the time between two batches of looks.

/// Whoever runs on another processor answers within so long, where the answer is worth a look. After
/// that the other side may be waiting for the very processor on which this one looks, so that is offered.
const ALONE_NS: u64 = 6_000;

/// A look for less than this does not offer the processor: whoever takes it may keep it for longer
/// than the look could save.
const OFFER_MIN_NS: u64 = 50_000;

/// Whoever got nothing of the processor for so long shares it with somebody who computes. A short
/// stop, by an interrupt or a hypervisor, says nothing of what the next look will be.
const DISTURBED_NS: u64 = 200_000;

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Look again.
    Look,
    /// Let another thread have the processor, if one waits for it; then look again.
    Yield,
    /// It is enough.
    Stop,
}

/// A look that has begun.
#[derive(Clone, Debug)]
pub struct Spin {
    begun_ns: u64,
    last_ns: u64,
    budget_ns: u64,
    /// The processor is to be offered at once.
    yields: bool,
    /// It has been offered since the last batch of looks.
    yielded: bool,
    disturbed: bool,
}

impl Spin {
    pub(crate) const fn new(now_ns: u64, budget_ns: u64, yields: bool) -> Self {
        Self {
            begun_ns: now_ns,
            last_ns: now_ns,
            budget_ns,
            yields,
            yielded: false,
            disturbed: false,
        }
    }

    /// Whether a look of so long offers the processor.
    pub const fn offers(budget_ns: u64) -> bool {
        budget_ns >= OFFER_MIN_NS
    }

    /// To be asked before each batch of looks.
    pub const fn step(&mut self, now_ns: u64) -> Step {
        self.note(now_ns);
        let looked_ns = now_ns.saturating_sub(self.begun_ns);
        if self.disturbed || looked_ns > self.budget_ns {
            return Step::Stop;
        }
        self.yielded = Self::offers(self.budget_ns) && (self.yields || looked_ns > ALONE_NS);
        self.yields = false;
        if self.yielded {
            Step::Yield
        } else {
            Step::Look
        }
    }

    /// The look ends at this time.
    pub(crate) const fn note(&mut self, now_ns: u64) {
        self.disturbed |= now_ns.saturating_sub(self.last_ns) > DISTURBED_NS;
        self.last_ns = now_ns;
    }

    /// Whether somebody else has had the processor for long.
    pub(crate) const fn is_disturbed(&self) -> bool {
        self.disturbed
    }

    /// Whether the processor had just been offered.
    pub(crate) const fn has_yielded(&self) -> bool {
        self.yielded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: u64 = OFFER_MIN_NS;

    #[test]
    fn a_look_goes_on_alone_then_offers_the_processor_then_stops() {
        let mut spin = Spin::new(7, BUDGET, false);
        assert_eq!(spin.step(7), Step::Look);
        assert_eq!(spin.step(7 + ALONE_NS), Step::Look);
        assert!(!spin.has_yielded());
        assert_eq!(spin.step(7 + ALONE_NS + 1), Step::Yield);
        assert!(spin.has_yielded());
        assert_eq!(spin.step(7 + BUDGET), Step::Yield);
        assert_eq!(spin.step(7 + BUDGET + 1), Step::Stop);
        assert!(!spin.is_disturbed());
    }

    #[test]
    fn where_that_helped_the_processor_is_offered_first_and_once() {
        let mut spin = Spin::new(0, BUDGET, true);
        assert_eq!(spin.step(0), Step::Yield);
        assert_eq!(spin.step(1), Step::Look);
        assert!(!spin.has_yielded());
    }

    #[test]
    fn a_short_look_does_not_offer_the_processor() {
        let mut spin = Spin::new(0, OFFER_MIN_NS - 1, true);
        assert_eq!(spin.step(0), Step::Look);
        assert_eq!(spin.step(ALONE_NS + 1), Step::Look);
        assert_eq!(spin.step(OFFER_MIN_NS), Step::Stop);
        assert!(!spin.has_yielded());
    }

    #[test]
    fn a_long_stop_is_the_end_and_a_short_one_is_not() {
        let mut spin = Spin::new(0, 10 * DISTURBED_NS, false);
        assert_eq!(spin.step(DISTURBED_NS), Step::Yield);
        assert!(!spin.is_disturbed());
        assert_eq!(spin.step(2 * DISTURBED_NS + 1), Step::Stop);
        assert!(spin.is_disturbed());
        assert_eq!(spin.step(2 * DISTURBED_NS + 2), Step::Stop, "it stays so");
    }

    #[test]
    fn a_stop_before_the_end_is_noticed_at_the_end() {
        let mut spin = Spin::new(0, BUDGET, false);
        spin.note(DISTURBED_NS + 1);
        assert!(spin.is_disturbed());
    }
}
