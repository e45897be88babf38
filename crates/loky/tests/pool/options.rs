//! What is asked for single tasks, and what comes of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use loky::{CrashReport, DeathCause, Error, OnCrash, TaskOptions};

use crate::Test;
use crate::stage::{Gate, Setting, end, value};
use crate::tasks::{
    computes_for_ever, dies_before, double, fills, hangs_before, ignores_requests_to_end,
    panics_before, pid, wait_at, writes,
};

pub const TESTS: &[Test] = &[
    ("a_task_that_takes_too_long_is_ended_alone", timeout),
    (
        "a_timeout_says_whether_the_task_computed_or_waited",
        evidence,
    ),
    ("a_worker_that_is_asked_to_end_has_its_grace", grace),
    ("a_task_that_does_not_begin_in_time_never_runs", expired),
    ("a_task_whose_worker_dies_is_tried_again", retried),
    ("a_task_that_always_kills_its_worker_is_poison", poison),
    ("panics_are_followed_by_attempts_where_asked", panics),
    ("timeouts_are_followed_by_attempts_where_asked", timeouts),
    ("the_higher_priority_goes_first", priority),
    ("a_task_that_passes_its_memory_limit_ends_alone", memory),
    (
        "a_limit_of_the_pool_is_a_limit_of_every_task",
        memory_of_all,
    ),
    ("options_are_told_over_those_of_the_pool", layers),
    ("a_view_maps_as_its_pool_does", maps),
    ("a_wrong_option_is_named", wrong),
    ("a_wrong_setting_of_the_pool_is_named", wrong_settings),
    ("options_are_part_of_a_reusable_pool", reuse),
];

/// A file for what tasks write down.
pub struct Notes(PathBuf);

impl Notes {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("loky-notes-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // A left-over of a process that had the same number.
        drop(std::fs::remove_file(&path));
        Self(path)
    }

    pub fn name(&self) -> String {
        self.0.display().to_string()
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap_or_default()
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn timed_out<T: std::fmt::Debug>(end: Result<T, Error>) -> CrashReport {
    match end {
        Err(Error::Timeout(report)) => *report,
        other => panic!("{other:?}"),
    }
}

fn died<T: std::fmt::Debug>(end: Result<T, Error>) -> CrashReport {
    match end {
        Err(Error::TerminatedWorker(report)) => *report,
        other => panic!("{other:?}"),
    }
}

fn timeout(setting: Setting) {
    for on_crash in [OnCrash::Recover, OnCrash::Break] {
        let pool = setting.builder(2).on_crash(on_crash).build().unwrap();
        let gate = Gate::new();
        let other = pool.submit(wait_at::call(gate.name())).unwrap();
        let arrived = gate.arrival();
        let limited = pool.options(TaskOptions::new().timeout(millis(200)).label("endless"));
        let struck = limited.submit(computes_for_ever::call()).unwrap();
        let behind: Vec<_> = (0..20)
            .map(|x| pool.submit(double::call(x)).unwrap())
            .collect();
        assert_eq!(struck.label(), Some("endless"));
        let report = timed_out(end(&struck));
        assert_eq!(report.cause, DeathCause::TimedOut);
        assert_eq!(report.signal_name(), Some("SIGKILL"));
        assert!(report.runtime.is_some_and(|runtime| runtime >= millis(200)));
        let text = report.to_string();
        for part in [
            "was ended because the time of the task had run out.",
            "task pool::tasks::computes_for_ever (endless), attempt 1, ran for ",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        for (x, future) in (0..20).zip(&behind) {
            assert_eq!(value(future), 2 * x);
        }
        assert!(!pool.is_broken());
        drop(arrived);
        assert_ne!(value(&other), report.pid);
        pool.shutdown().unwrap();
    }
}

fn evidence(setting: Setting) {
    let pool = setting.pool(1);
    let limited = pool.options(TaskOptions::new().timeout(millis(200)));
    let computing = timed_out(end(&limited.submit(computes_for_ever::call()).unwrap()));
    assert!(computing.evidence[0].starts_with("it was computing"));
    let gate = Gate::new();
    let waiting = limited.submit(wait_at::call(gate.name())).unwrap();
    let _arrived = gate.arrival();
    let waiting = timed_out(end(&waiting));
    let text = waiting.to_string();
    assert!(text.contains("; it was waiting"), "{text}");
    assert_eq!(value(&pool.submit(double::call(1)).unwrap()), 2);
    pool.shutdown().unwrap();
}

fn grace(setting: Setting) {
    let pool = setting.builder(1).grace(millis(100)).build().unwrap();
    let limited = pool.options(TaskOptions::new().timeout(millis(100)));
    let polite = timed_out(end(&limited.submit(computes_for_ever::call()).unwrap()));
    assert_eq!(polite.signal_name(), Some("SIGTERM"));
    assert_eq!(polite.exit_code(), Some(-libc::SIGTERM));
    let deaf = timed_out(end(&limited
        .submit(ignores_requests_to_end::call())
        .unwrap()));
    assert_eq!(deaf.signal_name(), Some("SIGKILL"));
    assert!(deaf.runtime.is_some_and(|runtime| runtime >= millis(200)));
    pool.shutdown().unwrap();
}

fn expired(setting: Setting) {
    let (pool, gate, notes) = (setting.pool(1), Gate::new(), Notes::new());
    let before = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    let hasty = pool.options(TaskOptions::new().queue_timeout(millis(50)));
    let late = hasty.submit(dies_before::call(notes.name(), 0)).unwrap();
    let error = end(&late).unwrap_err();
    let Error::Expired { waited } = error else {
        panic!("{error:?}")
    };
    assert!(waited >= millis(50), "{waited:?}");
    drop(arrived);
    value(&before);
    assert_eq!(value(&pool.submit(double::call(1)).unwrap()), 2);
    assert_eq!(notes.text(), "");
    pool.shutdown().unwrap();
}

fn retried(setting: Setting) {
    let (pool, notes) = (setting.pool(1), Notes::new());
    let stubborn = pool.options(TaskOptions::new().retries(5));
    let future = stubborn.submit(dies_before::call(notes.name(), 3)).unwrap();
    assert_eq!(value(&future), 3);
    assert_eq!(pool.statistics().retried, 2);
    // Nobody asked for it here.
    let once = Notes::new();
    let report = died(end(&pool
        .submit(dies_before::call(once.name(), 2))
        .unwrap()));
    assert!(report.history.is_empty() && !report.is_poison());
    assert_eq!(once.text(), ".");
    pool.shutdown().unwrap();
}

fn poison(setting: Setting) {
    let (pool, notes) = (setting.pool(2), Notes::new());
    let stubborn = pool.options(TaskOptions::new().retries(2).label("poison"));
    let future = stubborn
        .submit(dies_before::call(notes.name(), 99))
        .unwrap();
    let report = died(end(&future));
    assert_eq!(notes.text(), "...");
    assert_eq!((report.attempt, report.history.len()), (3, 2));
    assert!(report.is_poison());
    for (number, attempt) in (1..).zip(&report.history) {
        assert_eq!(attempt.attempt, number);
        assert_eq!(attempt.cause, DeathCause::Exit(5));
        assert_eq!(attempt.label.as_deref(), Some("poison"));
    }
    let text = report.to_string();
    for part in [
        "\nAttempt 2: its worker left without answering, with exit code 5.",
        "\nEvery attempt has ended its worker",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    pool.shutdown().unwrap();
}

fn panics(setting: Setting) {
    let (pool, notes) = (setting.pool(1), Notes::new());
    let worker = value(&pool.submit(pid::call()).unwrap());
    let stubborn = pool.options(TaskOptions::new().retries(2).retry_panics(true));
    let future = stubborn
        .submit(panics_before::call(notes.name(), 2))
        .unwrap();
    assert_eq!(value(&future), 2);
    let always = Notes::new();
    let future = stubborn
        .submit(panics_before::call(always.name(), 99))
        .unwrap();
    let error = end(&future).unwrap_err();
    assert!(
        matches!(&error, Error::Panicked { message, .. } if message.starts_with("run 3 panics")),
        "{error:?}"
    );
    // A panic is no death: without the wish it is not followed by anything.
    let once = Notes::new();
    let deaths = pool.options(TaskOptions::new().retries(2));
    let future = deaths.submit(panics_before::call(once.name(), 2)).unwrap();
    assert!(matches!(end(&future), Err(Error::Panicked { .. })));
    assert_eq!((always.text().len(), once.text().len()), (3, 1));
    assert_eq!(value(&pool.submit(pid::call()).unwrap()), worker);
    pool.shutdown().unwrap();
}

fn timeouts(setting: Setting) {
    let pool = setting.pool(1);
    let options = TaskOptions::new().timeout(millis(200)).retries(1);
    let (once, twice) = (Notes::new(), Notes::new());
    let hangs = hangs_before::call(once.name(), 99);
    let report = timed_out(end(&pool.options(options.clone()).submit(hangs).unwrap()));
    assert!(report.history.is_empty());
    let stubborn = pool.options(options.retry_timeouts(true));
    let report = timed_out(end(&stubborn
        .submit(hangs_before::call(twice.name(), 99))
        .unwrap()));
    assert_eq!(report.history.len(), 1);
    assert_eq!(report.history[0].cause, DeathCause::TimedOut);
    assert!(!report.is_poison());
    assert_eq!((once.text().len(), twice.text().len()), (1, 2));
    let well = Notes::new();
    let future = stubborn.submit(hangs_before::call(well.name(), 2)).unwrap();
    assert_eq!(value(&future), 2);
    pool.shutdown().unwrap();
}

fn priority(setting: Setting) {
    let (pool, gate, notes) = (setting.pool(1), Gate::new(), Notes::new());
    let before = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    let futures: Vec<_> = [("c", 0), ("d", -1), ("a", 9), ("b", 9)]
        .map(|(word, priority)| {
            let ranked = pool.options(TaskOptions::new().priority(priority));
            let call = writes::call(notes.name(), word.to_owned());
            ranked.submit(call).unwrap()
        })
        .into();
    drop(arrived);
    value(&before);
    for future in &futures {
        value(future);
    }
    assert_eq!(notes.text(), "abcd");
    pool.shutdown().unwrap();
}

fn memory(setting: Setting) {
    for on_crash in [OnCrash::Recover, OnCrash::Break] {
        let pool = setting.builder(2).on_crash(on_crash).build().unwrap();
        let gate = Gate::new();
        let other = pool.submit(wait_at::call(gate.name())).unwrap();
        let arrived = gate.arrival();
        let modest = pool.options(TaskOptions::new().memory_limit(300 << 20));
        let report = died(end(&modest.submit(fills::call(1500)).unwrap()));
        assert_eq!(report.cause, DeathCause::MemoryLimit);
        let text = report.to_string();
        assert!(text.contains("its limit was 300 MiB"), "{text}");
        assert_eq!(value(&modest.submit(fills::call(10)).unwrap()), 10);
        assert!(!pool.is_broken());
        drop(arrived);
        value(&other);
        pool.shutdown().unwrap();
    }
}

fn memory_of_all(setting: Setting) {
    let pool = setting.builder(1).memory_limit(300 << 20).build().unwrap();
    let report = died(end(&pool.submit(fills::call(1500)).unwrap()));
    assert_eq!(report.cause, DeathCause::MemoryLimit);
    assert_eq!(value(&pool.submit(fills::call(10)).unwrap()), 10);
    pool.shutdown().unwrap();
}

fn layers(setting: Setting) {
    let defaults = TaskOptions::new().timeout(millis(200)).label("of the pool");
    let pool = setting.builder(1).task_options(defaults).build().unwrap();
    let report = timed_out(end(&pool.submit(computes_for_ever::call()).unwrap()));
    assert_eq!(report.label.as_deref(), Some("of the pool"));
    let view = pool.options(TaskOptions::new().label("of the view"));
    let report = timed_out(end(&view.submit(computes_for_ever::call()).unwrap()));
    assert_eq!(report.label.as_deref(), Some("of the view"));
    let patient = view.options(TaskOptions::new().timeout(None));
    let gate = Gate::new();
    let future = patient.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    assert_eq!(future.label(), Some("of the view"));
    let late = future.wait_timeout(millis(400));
    assert!(matches!(late, Err(Error::WaitTimeout)), "{late:?}");
    drop(arrived);
    value(&future);
    pool.shutdown().unwrap();
}

fn maps(setting: Setting) {
    let pool = setting.pool(2);
    let view = pool.options(TaskOptions::new().timeout(millis(60_000)).retries(1));
    let calls = || (0..100).map(double::call);
    let results: Result<Vec<u64>, Error> = view.map(calls()).collect();
    assert_eq!(results.unwrap(), (0..100).map(double).collect::<Vec<_>>());
    let results: Result<Vec<u64>, Error> = view.map(calls()).unordered().collect();
    let mut results = results.unwrap();
    results.sort_unstable();
    assert_eq!(results, (0..100).map(double).collect::<Vec<_>>());
    pool.shutdown().unwrap();
}

/// The name of what cannot be as it was said.
fn refused<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Err(Error::Config { name, .. }) => name,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was taken"),
    }
}

fn wrong(setting: Setting) {
    let pool = setting.pool(1);
    for (name, options) in [
        ("timeout", TaskOptions::new().timeout(Duration::ZERO)),
        (
            "queue_timeout",
            TaskOptions::new().queue_timeout(Duration::ZERO),
        ),
        ("slow_after", TaskOptions::new().slow_after(millis(1))),
        ("memory_limit", TaskOptions::new().memory_limit(0)),
        ("retry_panics", TaskOptions::new().retry_panics(true)),
        (
            "retry_timeouts",
            TaskOptions::new().retries(0).retry_timeouts(true),
        ),
    ] {
        let view = pool.options(options.clone());
        assert_eq!(refused(view.submit(double::call(1))), name);
        assert_eq!(refused(view.map([double::call(1)]).next().unwrap()), name);
        assert_eq!(
            refused(setting.builder(1).task_options(options).build()),
            name
        );
    }
    assert_eq!(pool.statistics().submitted, 0);
    pool.shutdown().unwrap();
    let slow = TaskOptions::new().slow_after(Duration::ZERO);
    let pool = setting.builder(1).on_slow(|_| {}).build().unwrap();
    assert_eq!(
        refused(pool.options(slow).submit(double::call(1))),
        "slow_after"
    );
}

fn wrong_settings(setting: Setting) {
    let builder = || setting.builder(1);
    for (name, builder) in [
        ("workers", builder().workers(0)),
        ("start_timeout", builder().start_timeout(Duration::ZERO)),
        ("memory_limit", builder().memory_limit(0)),
        ("tasks_per_worker", builder().tasks_per_worker(0)),
        ("env", builder().env("", "1")),
        ("env", builder().env("A=B", "1")),
        ("env", builder().env("A", "1\0")),
    ] {
        assert_eq!(refused(builder.build()), name);
    }
}

fn reuse(setting: Setting) {
    let pool = |retries| {
        let options = TaskOptions::new().retries(retries);
        let builder = setting.builder(1).task_options(options);
        builder.reuse().unwrap()
    };
    let first = value(&pool(2).submit(pid::call()).unwrap());
    assert_eq!(value(&pool(2).submit(pid::call()).unwrap()), first);
    let old = pool(2);
    assert_ne!(value(&pool(3).submit(pid::call()).unwrap()), first);
    old.shutdown().unwrap();
    pool(3).shutdown().unwrap();
}
