//! What is asked for single tasks, with real processes: deadlines, waits, retries, priority, force.

use std::time::Duration;

use loky_engine::front::TaskEnd;
use loky_engine::report::Cause;
use loky_engine::{RetryBackoff, ShutdownMode, TaskOptions};

use crate::Test;
use crate::owner::{Owner, Setting, name};

pub const TESTS: &[Test] = &[
    (
        "a_task_out_of_time_ends_and_nobody_else",
        a_task_out_of_time_ends_and_nobody_else,
    ),
    (
        "a_task_that_waits_too_long_never_runs",
        a_task_that_waits_too_long_never_runs,
    ),
    (
        "a_deadly_task_is_tried_as_often_as_asked_for",
        a_deadly_task_is_tried_as_often_as_asked_for,
    ),
    (
        "an_answer_may_ask_for_another_attempt",
        an_answer_may_ask_for_another_attempt,
    ),
    (
        "force_ends_a_task_that_has_begun",
        force_ends_a_task_that_has_begun,
    ),
    (
        "the_higher_priority_goes_first",
        the_higher_priority_goes_first,
    ),
    (
        "a_worker_that_is_never_ready_is_ended",
        a_worker_that_is_never_ready_is_ended,
    ),
    (
        "a_slow_task_is_told_of_and_goes_on",
        a_slow_task_is_told_of_and_goes_on,
    ),
];

const SOON_NS: u64 = 50_000_000;

fn repeated(retries: u32) -> TaskOptions {
    TaskOptions {
        retries,
        retry_backoff: RetryBackoff {
            first_ns: 1_000,
            max_ns: 1_000,
        },
        ..TaskOptions::default()
    }
}

fn a_task_out_of_time_ends_and_nobody_else(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let options = TaskOptions {
        timeout_ns: Some(SOON_NS),
        ..TaskOptions::default()
    };
    let hanging = owner.submit_asking("hang", options);
    let waiting = owner.submit("sign");
    assert_eq!(owner.sign(), b'h');
    let TaskEnd::TimedOut(report) = owner.end(hanging) else {
        panic!("it did not run out of time")
    };
    assert_eq!((report.cause, report.started), (Cause::TimedOut, true));
    assert!(report.runtime_ns.is_some_and(|ran_ns| ran_ns >= SOON_NS));
    assert_eq!(owner.value(waiting), "signed");
    assert_eq!(owner.broke, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_task_that_waits_too_long_never_runs(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let hanging = owner.submit("hang");
    assert_eq!(owner.sign(), b'h');
    let options = TaskOptions {
        queue_timeout_ns: Some(SOON_NS),
        ..TaskOptions::default()
    };
    let waiting = owner.submit_asking("sign", options);
    let TaskEnd::Expired { waited_ns } = owner.end(waiting) else {
        panic!("it did not expire")
    };
    assert!(waited_ns >= SOON_NS);
    assert!(owner.pool.cancel_by_force(hanging, Duration::ZERO).unwrap());
    assert_eq!(name(&owner.end(hanging)), "cancelled");
    owner.shut_down(ShutdownMode::Drain);
    assert!(owner.is_quiet());
}

fn a_deadly_task_is_tried_as_often_as_asked_for(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let deadly = owner.submit_asking("exit 7", repeated(2));
    let plain = owner.submit("exit 8");
    let TaskEnd::Died(report) = owner.end(deadly) else {
        panic!("it did not die")
    };
    assert_eq!((report.cause, report.attempt), (Cause::Exit(7), 3));
    let before: Vec<(Cause, u32)> = report
        .history
        .iter()
        .map(|attempt| (attempt.cause, attempt.attempt))
        .collect();
    assert_eq!(before, [(Cause::Exit(7), 1), (Cause::Exit(7), 2)]);
    let TaskEnd::Died(report) = owner.end(plain) else {
        panic!("it did not die")
    };
    assert_eq!((report.attempt, report.history.len()), (1, 0));
    assert_eq!(owner.pool.tally().unwrap().core.retried, 2);
    owner.shut_down(ShutdownMode::Drain);
}

fn an_answer_may_ask_for_another_attempt(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let asking = owner.submit_asking("again", repeated(2));
    assert_eq!(name(&owner.end(asking)), "raised");
    for _ in 0..3 {
        assert_eq!(owner.sign(), b'a');
    }
    // A task that did not ask for it runs once, whatever its worker says.
    let plain = owner.submit("again");
    assert_eq!(name(&owner.end(plain)), "raised");
    assert_eq!(owner.sign(), b'a');
    owner.shut_down(ShutdownMode::Drain);
    assert!(owner.is_quiet());
}

fn force_ends_a_task_that_has_begun(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let other = owner.submit("hang");
    let victim = owner.submit("hang");
    assert_eq!([owner.sign(), owner.sign()], *b"hh");
    assert!(!owner.pool.cancel(victim).unwrap());
    assert!(
        owner
            .pool
            .cancel_by_force(victim, Duration::from_millis(5))
            .unwrap()
    );
    assert_eq!(name(&owner.end(victim)), "cancelled");
    assert!(owner.pool.has_started(other));
    let next = owner.submit("echo 1");
    assert_eq!(owner.value(next), "echo 1");
    owner.shut_down(ShutdownMode::Kill);
}

fn the_higher_priority_goes_first(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let hanging = owner.submit("hang");
    assert_eq!(owner.sign(), b'h');
    let low = owner.submit("sign");
    let high = TaskOptions {
        priority: 1,
        ..TaskOptions::default()
    };
    let high = owner.submit_asking("again", high);
    owner.pool.cancel_by_force(hanging, Duration::ZERO).unwrap();
    assert_eq!([owner.sign(), owner.sign()], *b"as");
    assert_eq!(name(&owner.end(high)), "raised");
    assert_eq!(owner.value(low), "signed");
    owner.shut_down(ShutdownMode::Drain);
}

fn a_worker_that_is_never_ready_is_ended(setting: Setting) {
    let mut config = setting.config(1);
    config.core.start_timeout_ns = Some(SOON_NS);
    config.core.restart_budget.deaths_max = 1;
    let mut owner = Owner::with(config);
    owner.set_setup(Some(b"stall"));
    let task = owner.submit("sign");
    let breakage = owner.breakage(task);
    assert_eq!(breakage.report.as_ref().unwrap().cause, Cause::NotReady);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_slow_task_is_told_of_and_goes_on(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let slow = TaskOptions {
        slow_after_ns: Some(SOON_NS),
        ..TaskOptions::default()
    };
    let slow = owner.submit_asking("hang", slow);
    owner.wait_slow(slow);
    assert!(owner.pool.has_started(slow));
    owner.shut_down(ShutdownMode::Kill);
    assert_eq!(owner.sign(), b'h');
}
