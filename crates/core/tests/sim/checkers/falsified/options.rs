//! The laws of what is asked for single tasks, each broken.

use loky_core::{
    Attempt, Effect, Event, KillReason, Outcome, RetryBackoff, TaskOptions, Verdict, WorkerId,
};

use super::lines::*;
use super::{Case, Line, case};

const WISHES: TaskOptions = TaskOptions {
    timeout_ns: Some(100),
    queue_timeout_ns: Some(50),
    retries: 1,
    retry_timeouts: false,
    retry_backoff: RetryBackoff {
        first_ns: 10,
        max_ns: 10,
    },
    priority: 0,
    slow_after_ns: Some(60),
    memory_limit_bytes: None,
};

fn wished(options: TaskOptions) -> Line {
    let options = Some(Box::new(options));
    Line::Told(10, Event::TaskSubmitted { task: T1, options })
}

fn spawned(worker: WorkerId) -> Line {
    told(Event::WorkerSpawned { worker })
}

fn ready(worker: WorkerId) -> Line {
    told(Event::WorkerReady { worker })
}

/// The task with wishes runs on the first worker, since time 10.
fn wished_and_running() -> Vec<Line> {
    vec![
        wished(WISHES),
        spawn(W1, 0),
        rest(1, 1),
        spawned(W1),
        ready(W1),
        send(W1, T1, 1),
        rest(1, 1),
        started(T1, W1),
    ]
}

fn found(at_ns: u64) -> Line {
    let event = Event::TaskInspected {
        worker: W1,
        task: T1,
        attempt: FIRST,
        started_ns: Some(10),
    };
    Line::Told(at_ns, event)
}

fn interrupt() -> Line {
    ordered(Effect::InterruptWorker {
        worker: W1,
        task: T1,
        attempt: FIRST,
        verdict: Verdict::TimedOut,
    })
}

fn kill(why: KillReason) -> Line {
    ordered(Effect::KillWorker { worker: W1, why })
}

fn slow(ran_ns: u64) -> Line {
    ordered(Effect::TellSlow {
        task: T1,
        worker: W1,
        ran_ns,
    })
}

fn again(until_ns: u64) -> Line {
    ordered(Effect::RestTask {
        task: T1,
        worker: W1,
        attempt: FIRST,
        until_ns,
    })
}

fn timed_out() -> Line {
    complete(
        T1,
        Outcome::TimedOut {
            worker: W1,
            attempt: FIRST,
        },
    )
}

fn fired(at_ns: u64) -> Line {
    Line::Told(at_ns, Event::TimerFired)
}

fn cases_of_deadlines() -> Vec<Case> {
    let with_another = with(wished_and_running(), [send(W1, T2, 1), found(110)]);
    let interrupted = with(wished_and_running(), [found(110), interrupt(), rest(1, 1)]);
    let for_time = kill(KillReason::Task(Verdict::TimedOut));
    let cases = [
        (
            "interrupted too early",
            with(wished_and_running(), [found(50)]),
            interrupt(),
        ),
        ("interrupted beside another", with_another, interrupt()),
        ("interrupted twice", interrupted.clone(), interrupt()),
        (
            "out of time and left alone",
            with(wished_and_running(), [found(110)]),
            rest(1, 1),
        ),
        (
            "killed without an interrupt",
            with(wished_and_running(), [found(110)]),
            for_time.clone(),
        ),
        (
            "killed within its grace",
            with(interrupted, [fired(111)]),
            for_time,
        ),
    ];
    cases
        .into_iter()
        .map(|(what, before, wrong)| case("deadlines", what, before, wrong))
        .collect()
}

fn cases_of_ends() -> Vec<Case> {
    let cases = [
        (
            "timed out before its time",
            with(wished_and_running(), [fired(50)]),
            timed_out(),
        ),
        (
            "expired before its time",
            vec![wished(WISHES), fired(20)],
            complete(T1, Outcome::Expired),
        ),
        (
            "expired and has run",
            with(wished_and_running(), [fired(90)]),
            complete(T1, Outcome::Expired),
        ),
        (
            "should have started",
            vec![wished(WISHES), fired(90)],
            rest(0, 1),
        ),
        (
            "slow too early",
            with(wished_and_running(), [found(50)]),
            slow(40),
        ),
        (
            "slower than it was",
            with(wished_and_running(), [found(80)]),
            slow(90),
        ),
        (
            "told twice",
            with(wished_and_running(), [found(80), slow(70)]),
            slow(70),
        ),
        (
            "not ready, and has time",
            vec![wished(WISHES), spawn(W1, 0), spawned(W1)],
            kill(KillReason::NotReady),
        ),
    ];
    cases
        .into_iter()
        .map(|(what, before, wrong)| case("deadlines", what, before, wrong))
        .collect()
}

fn case_of_starts() -> Case {
    let before = vec![wished(WISHES), spawn(W1, 0), spawned(W1), fired(70)];
    let mut late = case("deadlines", "should be ready", before, rest(1, 1));
    late.config.start_timeout_ns = Some(20);
    late
}

fn cases_of_retrying() -> Vec<Case> {
    let died = with(wished_and_running(), [exited(W1, &[T1])]);
    let unwished = TaskOptions {
        retries: 0,
        ..WISHES
    };
    let mut twice = died.clone();
    twice.extend([again(20), fired(20), send(W2, T1, 2)]);
    twice.push(Line::Started {
        task: T1,
        worker: W2,
        attempt: Attempt(2),
        at_ns: 20,
    });
    twice.push(exited(W2, &[T1]));
    let mut unasked = died.clone();
    unasked[0] = wished(unwished);
    let outcome = Outcome::Died {
        worker: W1,
        attempt: FIRST,
    };
    let not_run = vec![wished(WISHES), exited(W1, &[])];
    let cases = [
        ("more often than it may", twice, again(30)),
        ("unasked", unasked, again(20)),
        ("for nothing", wished_and_running(), again(20)),
        ("never ran", not_run, again(20)),
        ("too late", died.clone(), again(21)),
        (
            "before its time",
            with(died.clone(), [again(20)]),
            send(W2, T1, 2),
        ),
        ("given up too early", died, complete(T1, outcome)),
    ];
    cases
        .into_iter()
        .map(|(what, before, wrong)| case("retrying", what, before, wrong))
        .collect()
}

fn struck(worker: WorkerId) -> Line {
    Line::Struck { worker, task: T2 }
}

pub fn cases() -> Vec<Case> {
    let target = with(wished_and_running(), [found(110), interrupt()]);
    let mut cases = cases_of_deadlines();
    cases.extend(cases_of_ends());
    cases.push(case_of_starts());
    cases.extend(cases_of_retrying());
    cases.push(case("striking", "another task", target, struck(W1)));
    cases.push(case(
        "striking",
        "for no task",
        wished_and_running(),
        struck(W1),
    ));
    let high = TaskOptions {
        priority: 1,
        ..WISHES
    };
    let both = vec![submitted(T2), wished(high)];
    cases.push(case(
        "ordering",
        "overtakes a higher one",
        both,
        send(W1, T2, 1),
    ));
    let quarantined = with(
        wished_and_running(),
        [found(110), interrupt(), timed_out(), submitted(T2)],
    );
    cases.push(case(
        "sending",
        "an interrupt is on its way",
        quarantined,
        send(W1, T2, 1),
    ));
    cases
}
