//! What has been seen to happen at all: a run that claims to survive a fault first has to show
//! that the fault strikes.

use std::collections::BTreeMap;

use loky_core::{BreakReason, Departure, Effect, Event, KillReason, Notice, Outcome, Verdict};

use crate::checkers::Line;

/// How often each kind of fact and order has been seen.
#[derive(Clone, Default, Debug)]
pub struct Marks {
    counts: BTreeMap<&'static str, u64>,
}

/// What a long simulation must have seen.
pub const EXPECTED: &[&str] = &[
    "answered",
    "cancelled",
    "died",
    "broken",
    "shut down",
    "broken by a death",
    "broken by an initializer",
    "broken by the budget",
    "broken by spawning",
    "broken by the launcher",
    "broken by setup",
    "retired for memory",
    "retired as asked",
    "killed",
    "dead",
    "stopped with work",
    "spawn delayed",
    "revoke granted",
    "revoke refused",
    "exit with started tasks",
    "exit with nothing started",
    "spawn failed",
    "launcher died",
    "condemned",
    "too much memory",
    "killed for memory",
    "resize settled",
    "stopped",
    "timer set",
    "timer unset",
    "start",
    "a task struck",
    "timed out",
    "expired",
    "rested",
    "interrupted for time",
    "interrupted by force",
    "interrupt delivered",
    "terminated",
    "killed for its task",
    "killed before it was ready",
    "told as slow",
    "found started",
    "found waiting",
];

impl Marks {
    pub fn see(&mut self, line: &Line) {
        let mark = match line {
            Line::Told(_, event) => of_event(event),
            Line::Ordered(effect) => of_effect(effect),
            Line::Started { .. } => Some("start"),
            Line::Struck { .. } => Some("a task struck"),
            Line::Rest { .. } => None,
        };
        if let Some(mark) = mark {
            *self.counts.entry(mark).or_default() += 1;
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (mark, count) in &other.counts {
            *self.counts.entry(mark).or_default() += count;
        }
    }

    pub fn missing(&self) -> Vec<&'static str> {
        EXPECTED
            .iter()
            .copied()
            .filter(|mark| !self.counts.contains_key(mark))
            .collect()
    }
}

fn of_event(event: &Event) -> Option<&'static str> {
    match event {
        Event::RevokeAnswered { revoked: true, .. } => Some("revoke granted"),
        Event::RevokeAnswered { revoked: false, .. } => Some("revoke refused"),
        Event::WorkerExited { started, .. } if started.is_empty() => {
            Some("exit with nothing started")
        }
        Event::WorkerExited { .. } => Some("exit with started tasks"),
        Event::SpawnFailed { .. } => Some("spawn failed"),
        Event::LauncherDied => Some("launcher died"),
        Event::WorkerCondemned { .. } => Some("condemned"),
        Event::MemoryExceeded { .. } => Some("too much memory"),
        Event::TaskInspected {
            started_ns: Some(_),
            ..
        } => Some("found started"),
        Event::TaskInspected {
            started_ns: None, ..
        } => Some("found waiting"),
        Event::InterruptDelivered { .. } => Some("interrupt delivered"),
        Event::TaskSubmitted { .. }
        | Event::CancelRequested { .. }
        | Event::WorkerSpawned { .. }
        | Event::WorkerReady { .. }
        | Event::InitializerFailed { .. }
        | Event::TaskFinished { .. }
        | Event::WorkerLeaving { .. }
        | Event::SetupFailed
        | Event::WorkersWanted
        | Event::TimerFired
        | Event::ResizeRequested { .. }
        | Event::ShutdownRequested { .. } => None,
    }
}

fn of_effect(effect: &Effect) -> Option<&'static str> {
    match effect {
        Effect::CompleteTask { outcome, .. } => Some(match outcome {
            Outcome::Answered { .. } => "answered",
            Outcome::Cancelled => "cancelled",
            Outcome::Died { .. } => "died",
            Outcome::TimedOut { .. } => "timed out",
            Outcome::Expired => "expired",
            Outcome::Broken(_) => "broken",
            Outcome::ShutDown => "shut down",
        }),
        Effect::BreakPool { reason } => Some(match reason {
            BreakReason::WorkerDied(_) => "broken by a death",
            BreakReason::InitializerFailed(_) => "broken by an initializer",
            BreakReason::RestartBudget(_) => "broken by the budget",
            BreakReason::SpawnFailed(_) => "broken by spawning",
            BreakReason::LauncherDied => "broken by the launcher",
            BreakReason::SetupFailed => "broken by setup",
        }),
        Effect::WorkerGone { departure, .. } => Some(match departure {
            Departure::Retired(loky_core::LeaveReason::MemoryGrowth) => "retired for memory",
            Departure::Retired(loky_core::LeaveReason::Asked) => "retired as asked",
            Departure::Killed => "killed",
            Departure::Died => "dead",
        }),
        Effect::Notify { notice } => Some(match notice {
            Notice::WorkerStoppedWithWork { .. } => "stopped with work",
            Notice::SpawnDelayed { .. } => "spawn delayed",
        }),
        Effect::ArmTimer { .. } => Some("timer set"),
        Effect::DisarmTimer => Some("timer unset"),
        Effect::ResizeSettled => Some("resize settled"),
        Effect::Stopped => Some("stopped"),
        Effect::InterruptWorker { verdict, .. } => Some(match verdict {
            Verdict::TimedOut => "interrupted for time",
            Verdict::Cancelled => "interrupted by force",
        }),
        Effect::TerminateWorker { .. } => Some("terminated"),
        Effect::RestTask { .. } => Some("rested"),
        Effect::TellSlow { .. } => Some("told as slow"),
        Effect::KillWorker { why, .. } => match why {
            KillReason::Task(_) => Some("killed for its task"),
            KillReason::NotReady => Some("killed before it was ready"),
            KillReason::Memory => Some("killed for memory"),
            KillReason::Ending | KillReason::Condemned => None,
        },
        Effect::SpawnWorker { .. }
        | Effect::SendTask { .. }
        | Effect::InspectTask { .. }
        | Effect::RevokeTask { .. }
        | Effect::AskToLeave { .. } => None,
    }
}
