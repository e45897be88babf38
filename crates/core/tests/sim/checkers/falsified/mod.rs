//! Each law can be broken: a chronicle that is wrong in one place, and the checker that says so.
//! Without these a checker might hold because it looks at nothing.

mod lines;
mod options;

use std::collections::BTreeSet;

use loky_core::{
    BreakReason, Config, Departure, Effect, Event, KillReason, OnCrash, Outcome, ShutdownMode,
    TaskId,
};

use super::{Line, Panel};
use lines::*;

struct Case {
    law: &'static str,
    what: &'static str,
    config: Config,
    /// What is in order.
    before: Vec<Line>,
    /// What is not; `None` leaves the end of the run to find it.
    wrong: Option<Line>,
}

fn case(law: &'static str, what: &'static str, before: Vec<Line>, wrong: Line) -> Case {
    Case {
        law,
        what,
        config: Config::default(),
        before,
        wrong: Some(wrong),
    }
}

fn at_the_end(law: &'static str, what: &'static str, before: Vec<Line>) -> Case {
    Case {
        law,
        what,
        config: Config::default(),
        before,
        wrong: None,
    }
}

fn in_break_mode(mut case: Case) -> Case {
    case.config.on_crash = OnCrash::Break;
    case
}

fn idling_away(mut case: Case) -> Case {
    case.config.idle_timeout_ns = Some(0);
    case
}

fn cases_of_tasks() -> Vec<Case> {
    let cancel = told(Event::CancelRequested {
        task: T1,
        force_grace_ns: None,
    });
    let answer = Outcome::Answered { worker: W1 };
    let drain = shutdown(ShutdownMode::Drain);
    vec![
        case(
            "completing",
            "ended twice",
            answered(),
            complete(T1, Outcome::Cancelled),
        ),
        case(
            "completing",
            "ended and unknown",
            vec![],
            complete(T2, Outcome::Cancelled),
        ),
        case(
            "completing",
            "a refused task waits",
            vec![drain, submitted(T1)],
            rest(0, 1),
        ),
        case("completing", "miscounted", prologue(), rest(1, 0)),
        at_the_end("completing", "never ended", prologue()),
        case(
            "answering",
            "by the wrong attempt",
            with(running(), [finished(W1, T1, 2)]),
            complete(T1, answer),
        ),
        case(
            "answering",
            "ignored",
            with(running(), [finished(W1, T1, 1)]),
            rest(1, 1),
        ),
        case("answering", "by nobody", running(), complete(T1, answer)),
        case("executing", "executed twice", running(), started(T1, W2)),
        case(
            "executing",
            "executed after it was cancelled",
            with(prologue(), [cancel, complete(T1, Outcome::Cancelled)]),
            started(T1, W1),
        ),
    ]
}

fn cases_of_endings() -> Vec<Case> {
    let cancel = told(Event::CancelRequested {
        task: T1,
        force_grace_ns: None,
    });
    let died = Outcome::Died {
        worker: W1,
        attempt: FIRST,
    };
    vec![
        case(
            "cancelling",
            "cancelled while it runs",
            with(running(), [cancel.clone()]),
            complete(T1, Outcome::Cancelled),
        ),
        case(
            "cancelling",
            "cancelled unasked",
            prologue(),
            complete(T1, Outcome::Cancelled),
        ),
        case(
            "cancelling",
            "a wish forgotten",
            with(prologue(), [cancel]),
            rest(1, 1),
        ),
        case(
            "blaming",
            "had not started",
            with(prologue(), [exited(W1, &[])]),
            complete(T1, died),
        ),
        case(
            "blaming",
            "unpunished",
            with(running(), [exited(W1, &[T1])]),
            rest(0, 1),
        ),
    ]
}

fn cases_of_revoking() -> Vec<Case> {
    let revoke = ordered(Effect::RevokeTask {
        worker: W1,
        task: T1,
        attempt: FIRST,
    });
    vec![
        case(
            "revoking",
            "asked for twice",
            with(cancelling(), [revoke.clone()]),
            revoke.clone(),
        ),
        case("revoking", "not held", answered(), revoke.clone()),
        case(
            "revoking",
            "known to have started",
            with(
                cancelling(),
                [
                    started(T1, W1),
                    revoke.clone(),
                    told(Event::RevokeAnswered {
                        worker: W1,
                        task: T1,
                        attempt: FIRST,
                        revoked: false,
                    }),
                ],
            ),
            revoke.clone(),
        ),
        case(
            "working",
            "idles beside a loaded one",
            loaded_and_idle(),
            rest(2, 2),
        ),
        case(
            "working",
            "waits beside an idle worker",
            with(answered(), [submitted(T2)]),
            rest(1, 1),
        ),
        case("revoking", "for nobody", prologue(), revoke),
        case(
            "working",
            "waits for nobody",
            vec![submitted(T1)],
            rest(0, 1),
        ),
    ]
}

fn cases_of_sending() -> Vec<Case> {
    let ask = ordered(Effect::AskToLeave { worker: W1 });
    let both = with(prologue(), [submitted(T2)]);
    vec![
        case(
            "sending",
            "not ready",
            vec![submitted(T1), spawn(W1, 0)],
            send(W1, T1, 1),
        ),
        case("sending", "to nobody", vec![submitted(T1)], send(W1, T1, 1)),
        case("sending", "sent and held", prologue(), send(W1, T1, 2)),
        case("sending", "ahead of any run time", both, send(W1, T2, 1)),
        case(
            "sending",
            "leaving",
            with(answered(), [ask, submitted(T2)]),
            send(W1, T2, 1),
        ),
        case(
            "sending",
            "a wrong attempt",
            with(answered(), [submitted(T2)]),
            send(W1, T2, 2),
        ),
        case(
            "ordering",
            "overtakes",
            with(answered(), [submitted(T2), submitted(TaskId(3))]),
            send(W1, TaskId(3), 1),
        ),
        case(
            "ordering",
            "overtakes one that came back",
            with(prologue(), [submitted(T2), exited(W1, &[])]),
            send(W2, T2, 1),
        ),
    ]
}

fn cases_of_workers() -> Vec<Case> {
    let ask = ordered(Effect::AskToLeave { worker: W1 });
    let kill = ordered(Effect::KillWorker {
        worker: W1,
        why: KillReason::Ending,
    });
    let condemned = told(Event::WorkerCondemned { worker: W1 });
    vec![
        case(
            "departing",
            "miscalled",
            with(answered(), [exited(W1, &[])]),
            gone(W1, Departure::Killed),
        ),
        case(
            "departing",
            "unsaid",
            with(answered(), [exited(W1, &[])]),
            rest(0, 0),
        ),
        case("departing", "alive", answered(), gone(W1, Departure::Died)),
        case(
            "leaving",
            "asked with a task",
            with(prologue(), []),
            ask.clone(),
        ),
        case(
            "leaving",
            "asked twice",
            with(answered(), [ask.clone()]),
            ask,
        ),
        case("leaving", "killed for nothing", prologue(), kill),
        case(
            "leaving",
            "condemned and spared",
            with(prologue(), [condemned]),
            rest(0, 1),
        ),
    ]
}

fn cases_of_spawning_and_timing() -> Vec<Case> {
    let failed = told(Event::SpawnFailed {
        worker: W1,
        errno: 11,
    });
    vec![
        case("spawning", "before the first task", vec![], spawn(W1, 0)),
        case("spawning", "one place for two", prologue(), spawn(W2, 0)),
        case(
            "spawning",
            "too many",
            with(prologue(), [spawn(W2, 1)]),
            rest(2, 1),
        ),
        case("spawning", "too few", vec![submitted(T1)], rest(0, 1)),
        case(
            "spawning",
            "again at once after a failure",
            vec![submitted(T1), spawn(W1, 0), rest(1, 1), failed],
            spawn(W2, 0),
        ),
        idling_away(case(
            "timing",
            "idle without a timer",
            prologue_of_idle(),
            rest(1, 0),
        )),
        case(
            "timing",
            "moved to later",
            vec![ordered(Effect::ArmTimer { at_ns: 5 })],
            ordered(Effect::ArmTimer { at_ns: 6 }),
        ),
        case(
            "timing",
            "disarmed and not armed",
            vec![],
            ordered(Effect::DisarmTimer),
        ),
    ]
}

fn cases_of_breaking() -> Vec<Case> {
    let reason = BreakReason::WorkerDied(W1);
    let broken = ordered(Effect::BreakPool { reason });
    vec![
        case("breaking", "broken for nothing", prologue(), broken.clone()),
        case(
            "breaking",
            "in recover mode",
            with(prologue(), [exited(W1, &[])]),
            broken.clone(),
        ),
        in_break_mode(case(
            "breaking",
            "not broken",
            with(prologue(), [exited(W1, &[])]),
            rest(0, 1),
        )),
        in_break_mode(case(
            "breaking",
            "a task goes on",
            with(prologue(), [exited(W1, &[]), broken.clone()]),
            rest(0, 1),
        )),
        case(
            "breaking",
            "within the budget",
            with(prologue(), [exited(W1, &[])]),
            ordered(Effect::BreakPool {
                reason: BreakReason::RestartBudget(W1),
            }),
        ),
        case(
            "breaking",
            "broken tasks",
            prologue(),
            complete(T1, Outcome::Broken(reason)),
        ),
    ]
}

fn cases_of_ending_and_resizing() -> Vec<Case> {
    let stopped = ordered(Effect::Stopped);
    let drain = shutdown(ShutdownMode::Drain);
    let kill = shutdown(ShutdownMode::Kill);
    let settled = ordered(Effect::ResizeSettled);
    let resize = told(Event::ResizeRequested { workers: 2 });
    let stop = with(vec![drain.clone()], [stopped.clone()]);
    vec![
        case("ending", "stopped unasked", vec![], stopped.clone()),
        case(
            "ending",
            "stopped with a worker",
            with(answered(), [drain.clone()]),
            stopped.clone(),
        ),
        case("ending", "stopped twice", stop, stopped.clone()),
        case(
            "ending",
            "an order after the stop",
            with(vec![drain.clone()], [stopped, resize.clone()]),
            settled.clone(),
        ),
        case(
            "ending",
            "a drain shuts a task down",
            with(prologue(), [drain]),
            complete(T1, Outcome::ShutDown),
        ),
        case(
            "ending",
            "killed, and a worker spared",
            with(answered(), [kill]),
            rest(0, 0),
        ),
        at_the_end("ending", "never stopped", answered()),
        case("resizing", "settled unasked", answered(), settled.clone()),
        case(
            "resizing",
            "settled too early",
            with(answered(), [resize.clone(), settled]),
            rest(1, 0),
        ),
        case(
            "resizing",
            "settled before they are there",
            with(answered(), [resize.clone(), spawn(W2, 1), rest(2, 0)]),
            ordered(Effect::ResizeSettled),
        ),
        at_the_end("resizing", "never settled", with(answered(), [resize])),
    ]
}

fn all_cases() -> Vec<Case> {
    [
        cases_of_tasks(),
        cases_of_endings(),
        cases_of_revoking(),
        cases_of_sending(),
        cases_of_workers(),
        cases_of_spawning_and_timing(),
        cases_of_breaking(),
        cases_of_ending_and_resizing(),
        options::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn a_chronicle_that_is_in_order_breaks_no_law() {
    let mut panel = Panel::new(&Config::default());
    let lines = with(
        answered(),
        [
            shutdown(ShutdownMode::Drain),
            ordered(Effect::AskToLeave { worker: W1 }),
            rest(0, 0),
            exited(W1, &[]),
            gone(W1, Departure::Retired(loky_core::LeaveReason::Asked)),
            ordered(Effect::Stopped),
            rest(0, 0),
        ],
    );
    for line in &lines {
        assert_eq!(panel.see(line), Ok(()), "{line:?}");
    }
    assert_eq!(panel.end(), Ok(()));
}

#[test]
fn every_wrong_line_is_found_by_its_law() {
    for case in all_cases() {
        let name = format!("{}: {}", case.law, case.what);
        let mut panel = Panel::only(&case.config, case.law);
        for line in &case.before {
            assert_eq!(panel.see(line), Ok(()), "{name}: {line:?}");
        }
        let verdict = match &case.wrong {
            Some(line) => panel.see(line),
            None => panel.end(),
        };
        assert_eq!(
            verdict.map_err(|broken| broken.law),
            Err(case.law),
            "{name}"
        );
    }
}

#[test]
fn no_law_is_without_a_case_that_breaks_it() {
    let broken: BTreeSet<&str> = all_cases().iter().map(|case| case.law).collect();
    let laws: BTreeSet<&str> = Panel::new(&Config::default()).laws().collect();
    assert_eq!(broken, laws);
}
