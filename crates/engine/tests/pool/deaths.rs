//! Workers and zygotes that die: who is blamed, with what, and what becomes of the others.

use loky_core::config::RestartBudget;
use loky_engine::front::TaskEnd;
use loky_engine::report::Cause;
use loky_engine::{BreakReason, ShutdownMode};
use loky_sys::{process, signal};

use crate::Test;
use crate::owner::{Owner, Setting, name};

pub const TESTS: &[Test] = &[
    (
        "only_the_running_task_is_blamed",
        only_the_running_task_is_blamed,
    ),
    ("a_signal_is_named", a_signal_is_named),
    (
        "a_death_breaks_the_pool_in_that_mode",
        a_death_breaks_the_pool_in_that_mode,
    ),
    ("an_idle_death_blames_nobody", an_idle_death_blames_nobody),
    (
        "a_worker_that_babbles_is_condemned",
        a_worker_that_babbles_is_condemned,
    ),
    (
        "a_dead_zygote_costs_what_was_running",
        a_dead_zygote_costs_what_was_running,
    ),
    (
        "a_dead_zygote_breaks_the_pool_in_that_mode",
        a_dead_zygote_breaks_the_pool_in_that_mode,
    ),
    (
        "an_initializer_that_fails_breaks_the_pool",
        an_initializer_that_fails_breaks_the_pool,
    ),
    (
        "workers_that_die_at_once_use_up_the_budget",
        workers_that_die_at_once_use_up_the_budget,
    ),
    (
        "a_setup_that_fails_breaks_the_pool",
        a_setup_that_fails_breaks_the_pool,
    ),
    (
        "a_zygote_that_cannot_be_executed_breaks_the_pool",
        a_missing_zygote_breaks_the_pool,
    ),
];

fn only_the_running_task_is_blamed(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            (
                number,
                owner.submit(if number == 7 { "exit 3" } else { "sign" }),
            )
        })
        .collect();
    for (number, task) in tasks {
        match owner.end(task) {
            TaskEnd::Died(report) => {
                assert_eq!((number, report.cause), (7, Cause::Exit(3)));
                assert!(report.started && report.attempt == 1 && report.runtime_ns.is_some());
                assert!(report.peak_rss_bytes.is_some_and(|bytes| bytes > 0));
            }
            other => assert_eq!((name(&other), number != 7), ("value", true)),
        }
    }
    for _ in 0..39 {
        assert_eq!(owner.sign(), b's');
    }
    assert!(owner.is_quiet(), "a task ran twice");
    assert_eq!(owner.broke, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_signal_is_named(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    for number in [signal::SIGKILL, signal::SIGTERM, libc::SIGABRT] {
        let task = owner.submit(&format!("kill {number}"));
        let TaskEnd::Died(report) = owner.end(task) else {
            panic!("it did not die")
        };
        assert_eq!(report.cause, Cause::Signal(number));
    }
    owner.shut_down(ShutdownMode::Drain);
}

fn a_death_breaks_the_pool_in_that_mode(setting: Setting) {
    let mut owner = Owner::breaking(setting, 2);
    let hanging = owner.submit("hang");
    owner.sign();
    let dying = owner.submit("exit 5");
    let waiting = owner.submit("sign");
    let TaskEnd::Died(report) = owner.end(dying) else {
        panic!("it did not die")
    };
    assert_eq!((report.cause, report.started), (Cause::Exit(5), true));
    for task in [hanging, waiting] {
        let breakage = owner.breakage(task);
        assert!(matches!(breakage.reason, BreakReason::WorkerDied(_)));
        assert_eq!(breakage.report.as_ref().unwrap().cause, Cause::Exit(5));
    }
    owner.shut_down(ShutdownMode::Drain);
    assert_eq!(owner.broke, 1);
}

fn an_idle_death_blames_nobody(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let first = owner.submit("pid");
    let pid: i32 = owner.value(first).parse().unwrap();
    process::kill(pid, signal::SIGKILL).unwrap();
    let second = owner.submit("pid");
    assert_ne!(owner.value(second), pid.to_string());
    assert_eq!(owner.broke, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_worker_that_babbles_is_condemned(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let babbling = owner.submit("babble");
    let waiting = owner.submit("echo 1");
    let TaskEnd::Died(report) = owner.end(babbling) else {
        panic!("it did not die")
    };
    assert_eq!(report.cause, Cause::Protocol);
    assert_eq!(owner.value(waiting), "echo 1");
    owner.shut_down(ShutdownMode::Drain);
}

fn a_dead_zygote_costs_what_was_running(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let running = owner.submit("hang");
    owner.sign();
    let waiting = owner.submit("sign");
    process::kill(Owner::zygote_pid(), signal::SIGKILL).unwrap();
    let TaskEnd::Died(report) = owner.end(running) else {
        panic!("it did not die")
    };
    assert_eq!(report.cause, Cause::Zygote);
    assert_eq!(owner.value(waiting), "signed");
    assert_eq!(owner.broke, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_dead_zygote_breaks_the_pool_in_that_mode(setting: Setting) {
    let mut owner = Owner::breaking(setting, 1);
    let running = owner.submit("hang");
    owner.sign();
    let waiting = owner.submit("sign");
    process::kill(Owner::zygote_pid(), signal::SIGKILL).unwrap();
    // What was running is told of its own death, the rest of the pool's.
    assert_eq!(name(&owner.end(running)), "died");
    assert_eq!(name(&owner.end(waiting)), "broken");
    owner.shut_down(ShutdownMode::Drain);
    assert!(owner.is_quiet());
}

fn an_initializer_that_fails_breaks_the_pool(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    owner.set_setup(Some(b"fail"));
    let task = owner.submit("sign");
    let breakage = owner.breakage(task);
    assert!(matches!(breakage.reason, BreakReason::InitializerFailed(_)));
    assert_eq!(
        crate::owner::text(breakage.initializer.as_ref().unwrap()),
        "no luck"
    );
    owner.shut_down(ShutdownMode::Drain);
}

fn workers_that_die_at_once_use_up_the_budget(setting: Setting) {
    let mut config = setting.config(2);
    config.core.restart_budget = RestartBudget {
        deaths_max: 3,
        ..RestartBudget::default()
    };
    let mut owner = Owner::with(config);
    owner.set_setup(Some(b"die"));
    let task = owner.submit("sign");
    let breakage = owner.breakage(task);
    assert!(matches!(breakage.reason, BreakReason::RestartBudget(_)));
    assert_eq!(breakage.report.as_ref().unwrap().cause, Cause::Exit(9));
    owner.shut_down(ShutdownMode::Drain);
}

fn a_setup_that_fails_breaks_the_pool(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    owner.set_setup(None);
    let task = owner.submit("sign");
    let breakage = owner.breakage(task);
    assert!(matches!(breakage.reason, BreakReason::SetupFailed));
    owner.shut_down(ShutdownMode::Drain);
}

fn a_missing_zygote_breaks_the_pool(setting: Setting) {
    let mut config = setting.config(2);
    config.command.program = "/nowhere/to/be/found".into();
    config.core.spawn_backoff.first_ns = 1_000_000;
    config.core.spawn_backoff.max_ns = 1_000_000;
    let mut owner = Owner::with(config);
    let task = owner.submit("sign");
    let breakage = owner.breakage(task);
    assert!(matches!(
        breakage.reason,
        BreakReason::SpawnFailed(libc::ENOENT)
    ));
    owner.shut_down(ShutdownMode::Drain);
}
