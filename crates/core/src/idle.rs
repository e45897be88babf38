//! Idle retirement, and the one timer of the pool.
//!
//! Owner: the pool. A timer that fires too early is harmless, so a wish is only said again when it
//! becomes earlier; a worker that is idle for a moment between two tasks never moves the timer.
//! Never retires a worker for which there is work.

use crate::effect::Effect;
use crate::pool::{Pool, Turn};
use crate::worker::Farewell;

/// The time for which the timer is set.
#[derive(Default, Debug)]
pub(crate) struct Timer {
    armed_at_ns: Option<u64>,
}

impl Timer {
    pub(crate) fn armed_at_ns(&self) -> Option<u64> {
        self.armed_at_ns
    }
}

impl Pool {
    pub(crate) fn on_timer_fired(&mut self, turn: &mut Turn<'_>) {
        self.timer.armed_at_ns = None;
        self.keep_the_agenda(turn);
        self.retire_idle(turn);
    }

    fn retire_idle(&mut self, turn: &mut Turn<'_>) {
        let Some(timeout_ns) = self.config.idle_timeout_ns else {
            return;
        };
        while self.may_retire()
            && let Some((since_ns, id)) = self.roster.longest_idle()
            && since_ns.saturating_add(timeout_ns) <= turn.now_ns
        {
            self.ask_to_leave(turn, id, Farewell::Idle);
        }
    }

    /// Nobody goes while a task waits or is on its way to an idle worker. A resize that waits for
    /// workers is not to lose others to idling, lest it never settles.
    fn may_retire(&self) -> bool {
        self.queue.is_empty() && self.roster.moving() == 0 && !self.size.is_growing()
    }

    /// The earliest time at which something is to be done without an event.
    pub(crate) fn earliest_need_ns(&self) -> Option<u64> {
        let retry_ns = match self.shortage.retry_at_ns() {
            Some(at_ns) if self.wanted() > self.roster.members() => Some(at_ns),
            Some(_) | None => None,
        };
        let idle_ns = match (self.config.idle_timeout_ns, self.roster.longest_idle()) {
            (Some(timeout_ns), Some((since_ns, _))) if self.may_retire() => {
                Some(since_ns.saturating_add(timeout_ns))
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        [retry_ns, idle_ns, self.agenda.first_at_ns()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Brings the timer in line with the earliest need.
    pub(crate) fn set_timer(&mut self, turn: &mut Turn<'_>) {
        if self.ending.is_stopped() {
            return;
        }
        match (self.earliest_need_ns(), self.timer.armed_at_ns) {
            (Some(at_ns), Some(armed_at_ns)) if armed_at_ns <= at_ns => {}
            (Some(at_ns), Some(_) | None) => {
                self.timer.armed_at_ns = Some(at_ns);
                turn.emit(Effect::ArmTimer { at_ns });
            }
            // A busy worker will idle again: the timer may as well fire for nothing.
            (None, Some(_)) if self.roster.live() > 0 => {}
            (None, Some(_)) => self.disarm(turn),
            (None, None) => {}
        }
    }

    pub(crate) fn disarm(&mut self, turn: &mut Turn<'_>) {
        if self.timer.armed_at_ns.take().is_some() {
            turn.emit(Effect::DisarmTimer);
        }
    }
}
