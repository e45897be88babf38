//! What workers find around them: environment, directory, what was loaded before.

use loky::{BreakCause, DeathCause, Error};

use crate::Test;
use crate::stage::{Gate, Setting, end, value, zygote_pid};
use crate::tasks::{
    directory, double, panics, parent_pid, pid, prepared, prepares, prepares_with, variable,
    wait_at, words,
};

pub const TESTS: &[Test] = &[
    ("the_environment_is_what_was_described", environment),
    (
        "workers_are_in_the_directory_of_the_program",
        in_the_directory,
    ),
    ("workers_are_children_of_the_one_zygote", children),
    ("preload_runs_before_the_first_worker", preload),
    ("an_initializer_runs_in_each_worker", initializer),
    (
        "an_initializer_that_panics_breaks_the_pool",
        failing_initializer,
    ),
    (
        "a_worker_that_does_not_start_in_time_is_killed",
        start_timeout,
    ),
    ("a_preload_that_panics_breaks_the_pool", failing_preload),
    ("large_buffers_of_an_initializer_are_refused", refused),
];

fn environment(setting: Setting) {
    let ask = |pool: &loky::ProcessPoolExecutor, name: &str| {
        value(&pool.submit(variable::call(name.to_owned())).unwrap())
    };
    let pool = setting
        .builder(1)
        .env("LOKY_TEST_A", "first")
        .env("LOKY_TEST_A", "second")
        .env("LOKY_TEST_B", "b")
        .env_remove("LOKY_TEST_B")
        .build()
        .unwrap();
    assert_eq!(ask(&pool, "LOKY_TEST_A").as_deref(), Some("second"));
    assert_eq!(ask(&pool, "LOKY_TEST_B"), None);
    assert_eq!(ask(&pool, "PATH"), std::env::var("PATH").ok());
    pool.shutdown().unwrap();
    let pool = setting
        .builder(1)
        .env_clear()
        .env("ONLY", "1")
        .build()
        .unwrap();
    assert_eq!(ask(&pool, "PATH"), None);
    assert_eq!(ask(&pool, "ONLY").as_deref(), Some("1"));
    pool.shutdown().unwrap();
}

fn in_the_directory(setting: Setting) {
    let before = std::env::current_dir().unwrap();
    let pool = setting.pool(1);
    std::env::set_current_dir("/").unwrap();
    let found = value(&pool.submit(directory::call()).unwrap());
    std::env::set_current_dir(before).unwrap();
    assert_eq!(found, "/");
    pool.shutdown().unwrap();
}

fn children(setting: Setting) {
    let pool = setting.pool(2);
    assert_eq!(
        value(&pool.submit(parent_pid::call()).unwrap()),
        zygote_pid()
    );
    let found = value(&pool.submit(words::call()).unwrap());
    let role = match setting.launcher {
        loky::Launcher::Fork => "__loky_zygote__",
        loky::Launcher::Exec => "__loky_worker__",
    };
    assert_eq!(found[1], role);
    pool.shutdown().unwrap();
}

fn preload(setting: Setting) {
    let pool = setting
        .builder(2)
        .preload(prepares::call())
        .build()
        .unwrap();
    let found = value(&pool.submit(prepared::call()).unwrap());
    let process = match setting.launcher {
        loky::Launcher::Fork => zygote_pid(),
        loky::Launcher::Exec => value(&pool.submit(pid::call()).unwrap()),
    };
    if matches!(setting.launcher, loky::Launcher::Fork) {
        assert_eq!(found, u64::try_from(process).unwrap());
    } else {
        assert!(found > 0);
    }
    pool.shutdown().unwrap();
}

fn initializer(setting: Setting) {
    let pool = setting
        .builder(1)
        .initializer(prepares_with::call(7))
        .tasks_per_worker(1)
        .build()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(value(&pool.submit(prepared::call()).unwrap()), 7);
    }
    pool.shutdown().unwrap();
}

fn broken_by(pool: &loky::ProcessPoolExecutor) -> BreakCause {
    let future = pool.submit(double::call(1)).unwrap();
    let Err(Error::BrokenProcessPool(cause)) = end(&future) else {
        panic!("the pool is not broken")
    };
    assert!(pool.is_broken());
    assert!(matches!(
        pool.submit(double::call(1)),
        Err(Error::BrokenProcessPool(_))
    ));
    pool.shutdown().unwrap();
    cause
}

fn failing_initializer(setting: Setting) {
    let text = "no luck".to_owned();
    let pool = setting
        .builder(2)
        .initializer(panics::call(text))
        .build()
        .unwrap();
    let cause = broken_by(&pool);
    let BreakCause::Initializer { message, backtrace } = cause else {
        panic!("{cause:?}")
    };
    assert!(message.starts_with("no luck, at "), "{message}");
    assert!(!backtrace.is_empty());
}

fn start_timeout(setting: Setting) {
    let gate = Gate::new();
    let pool = setting
        .builder(1)
        .initializer(wait_at::call(gate.name()))
        .start_timeout(std::time::Duration::from_millis(50))
        .build()
        .unwrap();
    let cause = broken_by(&pool);
    let BreakCause::RestartBudget(report) = cause else {
        panic!("{cause:?}")
    };
    assert_eq!(report.cause, DeathCause::NotReady);
}

#[loky::task]
fn panics_early() {
    panic!("no luck at all");
}

fn failing_preload(setting: Setting) {
    let pool = setting
        .builder(2)
        .preload(panics_early::call())
        .build()
        .unwrap();
    let cause = broken_by(&pool);
    assert!(
        matches!(&cause, BreakCause::Initializer { message, .. } if message.starts_with("no luck at all")),
        "{cause:?}"
    );
}

fn refused(setting: Setting) {
    let bytes = vec![0; 100_000].into();
    let refused = setting
        .builder(1)
        .initializer(crate::tasks::echo::call(bytes))
        .build();
    assert!(matches!(refused, Err(Error::Config { .. })));
}
