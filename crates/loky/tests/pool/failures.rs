//! What errors say: panics with their words, deaths with their evidence, refusals with a way out.

use std::error::Error as _;

use loky::{DeathCause, Error};

use crate::Test;
use crate::stage::{Setting, end, value};
use crate::tasks::{
    double, exits, panics, panics_in_a_thread, panics_twice, panics_with_a_number, pid,
};

pub const TESTS: &[Test] = &[
    ("a_panic_has_its_message_place_and_backtrace", panic_text),
    ("a_panic_leaves_its_worker_alive", worker_lives),
    ("a_panic_in_a_thread_is_no_panic_of_the_task", thread_panic),
    ("a_panic_that_cannot_unwind_leaves_its_words", last_words),
    ("a_panic_that_was_survived_leaves_none", survived),
    (
        "a_report_says_what_happened_with_what_evidence",
        report_text,
    ),
    ("a_report_has_the_end_of_standard_error", stderr_tail),
    ("every_error_has_its_source", sources),
    ("only_the_running_task_is_blamed", blame),
];

fn panic_text(setting: Setting) {
    let pool = setting.pool(1);
    let Err(Error::Panicked { message, backtrace }) =
        end(&pool.submit(panics::call("this is why".to_owned())).unwrap())
    else {
        panic!("no panic")
    };
    assert!(message.starts_with("this is why, at "), "{message}");
    assert!(message.contains("tasks.rs:"), "{message}");
    assert!(backtrace.contains("panics"), "{backtrace}");
    let Err(Error::Panicked { message, .. }) =
        end(&pool.submit(panics_with_a_number::call()).unwrap())
    else {
        panic!("no panic")
    };
    assert!(
        message.starts_with("a value that is no text, at "),
        "{message}"
    );
    pool.shutdown().unwrap();
}

fn worker_lives(setting: Setting) {
    let pool = setting.pool(1);
    let before = value(&pool.submit(pid::call()).unwrap());
    for _ in 0..3 {
        assert!(end(&pool.submit(panics::call(String::new())).unwrap()).is_err());
    }
    assert_eq!(value(&pool.submit(pid::call()).unwrap()), before);
    pool.shutdown().unwrap();
}

fn thread_panic(setting: Setting) {
    let pool = setting.pool(1);
    assert!(value(&pool.submit(panics_in_a_thread::call()).unwrap()));
    pool.shutdown().unwrap();
}

fn report_of(error: Error) -> loky::CrashReport {
    match error {
        Error::TerminatedWorker(report) => *report,
        other => panic!("{other:?}"),
    }
}

fn last_words(setting: Setting) {
    let pool = setting.pool(1);
    let report = report_of(end(&pool.submit(panics_twice::call()).unwrap()).unwrap_err());
    assert_eq!(report.cause, DeathCause::Signal(libc::SIGABRT));
    assert!(
        report
            .last_words
            .is_some_and(|words| words.contains("panic"))
    );
    pool.shutdown().unwrap();
}

fn survived(setting: Setting) {
    let pool = setting.pool(1);
    assert!(end(&pool.submit(panics::call("survived".to_owned())).unwrap()).is_err());
    assert!(value(&pool.submit(panics_in_a_thread::call()).unwrap()));
    let report = report_of(end(&pool.submit(exits::call(9)).unwrap()).unwrap_err());
    assert_eq!(report.last_words, None);
    pool.shutdown().unwrap();
}

fn report_text(setting: Setting) {
    let pool = setting.pool(1);
    let worker = value(&pool.submit(pid::call()).unwrap());
    let error = end(&pool.submit(exits::call(3)).unwrap()).unwrap_err();
    let text = error.to_string();
    for part in [
        "The worker process that ran this task left without answering, with exit code 3.",
        &format!("pid {worker}, worker 0, task pool::tasks::exits, attempt 1, ran for "),
        "peak memory ",
        "Look for std::process::exit() in the task",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    pool.shutdown().unwrap();
}

fn stderr_tail(setting: Setting) {
    let pool = setting.builder(1).capture_stderr(true).build().unwrap();
    let future = pool
        .submit(crate::tasks::allocates_too_much::call())
        .unwrap();
    let report = report_of(end(&future).unwrap_err());
    let tail = report.stderr_tail.clone().unwrap_or_default();
    assert!(tail.contains("memory allocation of"), "{tail}");
    assert!(report.to_string().contains(&tail), "{report}");
    pool.shutdown().unwrap();
}

fn sources(setting: Setting) {
    let pool = setting.pool(1);
    let error = end(&pool.submit(exits::call(3)).unwrap()).unwrap_err();
    let cause = error.source().and_then(|source| source.downcast_ref());
    assert_eq!(cause, Some(&DeathCause::Exit(3)));
    assert_eq!(
        error.crash_report().map(|report| report.cause),
        Some(DeathCause::Exit(3))
    );
    let error = pool
        .submit(crate::tasks::takes_one_way::call(crate::tasks::OneWay))
        .unwrap_err();
    assert!(
        error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<postcard::Error>)
    );
    let error = end(&pool.submit(crate::tasks::gives_unreadable::call()).unwrap()).unwrap_err();
    assert!(
        error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<postcard::Error>)
    );
    pool.shutdown().unwrap();
}

fn blame(setting: Setting) {
    let pool = setting.pool(2);
    let before: Vec<_> = (0..40)
        .map(|x| pool.submit(double::call(x)).unwrap())
        .collect();
    let dying = pool.submit(exits::call(3)).unwrap();
    let after: Vec<_> = (0..40)
        .map(|x| pool.submit(double::call(x)).unwrap())
        .collect();
    assert!(report_of(end(&dying).unwrap_err()).started);
    for futures in [before, after] {
        for (x, future) in (0..40).zip(&futures) {
            assert_eq!(value(future), 2 * x);
        }
    }
    pool.shutdown().unwrap();
}
