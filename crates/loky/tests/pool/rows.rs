//! The rows of the table of failures: each brings one about, and checks what its task gets.

use loky::{BreakCause, CrashReport, DeathCause, DecodeError, EncodeError, Error, OnCrash};
use loky_sys::process;

use crate::owner::OwnerProcess;
use crate::stage::{Gate, end, is_alive, until, value, zygote_pid};
use crate::table::{Others, Row, Stage};
use crate::tasks::{
    OneWay, Unreadable, aborts, allocates_too_much, babbles, dies_by, double, exits,
    fails_to_return, forks, gives_unreadable, overflows, panics, panics_with_a_number, pid,
    takes_one_way, takes_unreadable, wait_at,
};

/// Lines that have no row here, and why.
pub const ELSEWHERE: &[(&str, &str)] = &[
    (
        "EXCEPTION_UNPICKLABLE",
        "a panic travels as text, which can always be written",
    ),
    (
        "INITIALIZER_UNPICKLABLE",
        "`build` refuses it before there is a pool",
    ),
    (
        "NO_PROCESS_FOR_A_WHILE",
        "the engine's back-off, which has no front in it",
    ),
    (
        "NO_DESCRIPTOR",
        "the engine's and the worker's answer, which has no front in it",
    ),
    (
        "NO_MEMORY",
        "Rust ends the process where memory cannot be had: see the row `memory-cannot-be-had`",
    ),
    (
        "FORK_REFUSED",
        "a fork in a task takes unsafe code; its children end as any that a task leaves",
    ),
    (
        "TIMEOUT_LETS_GO",
        "no interrupt ends a Rust task: see the row `the-time-runs-out`",
    ),
    (
        "FORCED_LETS_GO",
        "no interrupt ends a Rust task: see the row `cancelled-by-force-while-it-runs`",
    ),
    (
        "START_TIMEOUT",
        "a setting of a whole pool: see the test of it in `surroundings.rs`",
    ),
    (
        "SOFT_MEMORY_LIMIT",
        "Rust has no exception for memory that cannot be had",
    ),
    (
        "SLOW",
        "told to the listener of a whole pool: see its tests in `observed.rs`",
    ),
    (
        "FORKED_PARENT",
        "a fork of a program with threads takes unsafe code; the engine has the test",
    ),
];

pub const fn row(name: &'static str, line: &'static str, provoke: fn(&Stage)) -> Row {
    Row {
        name,
        line,
        provoke,
        others_if_broken: None,
        alone: false,
    }
}

/// Arguments or a result that cannot be read are that task's error in both modes: nothing is wrong
/// with the pool.
const fn untouched(row: Row) -> Row {
    Row {
        others_if_broken: Some(Others::Untouched),
        ..row
    }
}

pub const fn alone(row: Row) -> Row {
    Row { alone: true, ..row }
}

pub const ROWS: &[Row] = &[
    row("a-panic-with-text", "RAISES", |stage| {
        let error = end(&stage.pool.submit(panics::call("no".to_owned())).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Panicked { .. }), "{error:?}");
    }),
    row("a-panic-with-a-value", "RAISES", |stage| {
        let error = end(&stage.pool.submit(panics_with_a_number::call()).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Panicked { .. }), "{error:?}");
    }),
    row(
        "an-argument-cannot-be-written",
        "TASK_UNPICKLABLE",
        |stage| {
            let error = stage.pool.submit(takes_one_way::call(OneWay)).unwrap_err();
            assert!(
                matches!(error, Error::Encode(EncodeError::Value(_))),
                "{error:?}"
            );
        },
    ),
    untouched(row(
        "an-argument-cannot-be-read",
        "TASK_UNREADABLE",
        |stage| {
            let error = end(&stage
                .pool
                .submit(takes_unreadable::call(Unreadable))
                .unwrap())
            .unwrap_err();
            assert!(
                matches!(error, Error::Decode(DecodeError::Arguments(_))),
                "{error:?}"
            );
        },
    )),
    row(
        "a-result-cannot-be-written",
        "RESULT_UNPICKLABLE",
        |stage| {
            let error = end(&stage.pool.submit(fails_to_return::call()).unwrap()).unwrap_err();
            assert!(
                matches!(error, Error::Encode(EncodeError::Result(_))),
                "{error:?}"
            );
        },
    ),
    untouched(row(
        "a-result-cannot-be-read",
        "RESULT_UNREADABLE",
        |stage| {
            let error = end(&stage.pool.submit(gives_unreadable::call()).unwrap()).unwrap_err();
            assert!(
                matches!(error, Error::Decode(DecodeError::Value(_))),
                "{error:?}"
            );
        },
    )),
    row("abort", "DIED_RUNNING", |stage| {
        died(
            &stage.pool.submit(aborts::call()).unwrap(),
            DeathCause::Signal(libc::SIGABRT),
        );
    }),
    row("a-segmentation-fault", "DIED_RUNNING", |stage| {
        let future = stage.pool.submit(dies_by::call(libc::SIGSEGV)).unwrap();
        died(&future, DeathCause::Signal(libc::SIGSEGV));
    }),
    row("killed-by-sigkill", "DIED_RUNNING", |stage| {
        let future = stage.pool.submit(dies_by::call(libc::SIGKILL)).unwrap();
        let report = died(&future, DeathCause::Signal(libc::SIGKILL));
        assert!(
            report.to_string().contains("possibly out of memory"),
            "{report}"
        );
    }),
    row("killed-by-sigterm", "DIED_RUNNING", |stage| {
        let future = stage.pool.submit(dies_by::call(libc::SIGTERM)).unwrap();
        died(&future, DeathCause::Signal(libc::SIGTERM));
    }),
    row("exit-0", "DIED_RUNNING", |stage| {
        died(
            &stage.pool.submit(exits::call(0)).unwrap(),
            DeathCause::Exit(0),
        );
    }),
    row("exit-42", "DIED_RUNNING", |stage| {
        died(
            &stage.pool.submit(exits::call(42)).unwrap(),
            DeathCause::Exit(42),
        );
    }),
    row("the-stack-overflows", "DIED_RUNNING", |stage| {
        let future = stage.pool.submit(overflows::call(0)).unwrap();
        died(&future, DeathCause::Signal(libc::SIGABRT));
    }),
    row("memory-cannot-be-had", "DIED_RUNNING", |stage| {
        let future = stage.pool.submit(allocates_too_much::call()).unwrap();
        died(&future, DeathCause::Signal(libc::SIGABRT));
    }),
    row(
        "killed-from-outside-while-it-runs",
        "DIED_RUNNING",
        |stage| {
            let gate = Gate::new();
            let future = stage.pool.submit(wait_at::call(gate.name())).unwrap();
            process::kill(gate.arrival().pid, libc::SIGKILL).unwrap();
            died(&future, DeathCause::Signal(libc::SIGKILL));
        },
    ),
    row("killed-while-idle", "DIED_IDLE", |stage| {
        let victim = value(&stage.pool.submit(pid::call()).unwrap());
        process::kill(victim, libc::SIGKILL).unwrap();
        until(|| {
            (stage
                .pool
                .workers()
                .iter()
                .all(|worker| worker.pid != victim))
            .then_some(())
        });
    }),
    row(
        "an-idle-worker-is-interrupted",
        "INTERRUPTED_IDLE",
        |stage| {
            let worker = value(&stage.pool.submit(pid::call()).unwrap());
            process::kill(worker, libc::SIGINT).unwrap();
            assert_eq!(value(&stage.pool.submit(pid::call()).unwrap()), worker);
        },
    ),
    alone(row("every-worker-dies-at-once", "FRUITLESS", |stage| {
        let pool = stage.setting.builder(2).on_crash(stage.on_crash);
        let pool = pool
            .initializer(dies_by::call(libc::SIGKILL))
            .build()
            .unwrap();
        let error = end(&pool.submit(double::call(1)).unwrap()).unwrap_err();
        assert!(error.is_broken_pool());
        let cause = error.crash_report().unwrap().cause;
        assert_eq!(cause, DeathCause::Signal(libc::SIGKILL));
        match stage.on_crash {
            OnCrash::Recover => assert!(matches!(
                error,
                Error::BrokenProcessPool(BreakCause::RestartBudget(_))
            )),
            OnCrash::Break => assert!(matches!(error, Error::TerminatedWorker(_))),
        }
        pool.shutdown().unwrap();
    })),
    alone(row("the-initializer-panics", "INITIALIZER", |stage| {
        let pool = stage.setting.builder(2).on_crash(stage.on_crash);
        let pool = pool
            .initializer(panics::call("no".to_owned()))
            .build()
            .unwrap();
        let error = end(&pool.submit(double::call(1)).unwrap()).unwrap_err();
        assert!(matches!(
            error,
            Error::BrokenProcessPool(BreakCause::Initializer { .. })
        ));
        pool.shutdown().unwrap();
    })),
    row("a-worker-babbles", "PROTOCOL", |stage| {
        died(
            &stage.pool.submit(babbles::call()).unwrap(),
            DeathCause::Protocol,
        );
    }),
    row("the-zygote-is-killed", "ZYGOTE", |stage| {
        let gate = Gate::new();
        let future = stage.pool.submit(wait_at::call(gate.name())).unwrap();
        let _arrived = gate.arrival();
        process::kill(zygote_pid(), libc::SIGKILL).unwrap();
        match stage.on_crash {
            OnCrash::Recover => drop(died(&future, DeathCause::Zygote)),
            OnCrash::Break => assert!(matches!(
                end(&future),
                Err(Error::TerminatedWorker(_) | Error::BrokenProcessPool(_))
            )),
        }
    }),
    alone(row(
        "the-program-cannot-be-executed",
        "NO_PROCESS",
        |stage| {
            let (limit, _) = loky_sys::limits::open_files();
            // Every descriptor of a worker is one too many.
            loky_sys::limits::set_open_files(0).unwrap();
            let submitted = stage.pool.submit(double::call(1));
            let error = submitted.and_then(|future| end(&future)).unwrap_err();
            loky_sys::limits::set_open_files(limit.unwrap()).unwrap();
            assert!(
                matches!(
                    error,
                    Error::BrokenProcessPool(BreakCause::Spawn(_)) | Error::Resource { .. }
                ),
                "{error:?}"
            );
        },
    )),
    row("shutdown-now", "KILLED_BY_SHUTDOWN", |stage| {
        let gate = Gate::new();
        let future = stage.pool.submit(wait_at::call(gate.name())).unwrap();
        let _arrived = gate.arrival();
        stage.pool.shutdown_now().unwrap();
        assert!(matches!(end(&future), Err(Error::Shutdown)));
    }),
    row("close", "AFTER_SHUTDOWN", |stage| {
        let future = stage.pool.submit(double::call(2)).unwrap();
        stage.pool.close().unwrap();
        assert_eq!(value(&future), 4);
        assert!(matches!(
            stage.pool.submit(double::call(1)),
            Err(Error::Shutdown)
        ));
    }),
    row("a-task-forks", "FORKED_WORKER", |stage| {
        assert!(value(&stage.pool.submit(forks::call()).unwrap()));
    }),
    alone(row("the-parent-is-killed", "PARENT", |stage| {
        let gate = Gate::new();
        let mut owner = OwnerProcess::start(stage.setting, &gate.name());
        let _arrived = gate.arrival();
        assert!(owner.family.len() >= 2);
        owner.child.kill().unwrap();
        owner.child.wait().unwrap();
        for pid in owner.family {
            until(|| (!is_alive(pid)).then_some(()));
        }
    })),
];

/// The report of a task whose worker died while it ran.
pub fn died<T>(future: &loky::TaskFuture<T>, cause: DeathCause) -> CrashReport
where
    T: serde::de::DeserializeOwned + std::fmt::Debug,
{
    let error = end(future).unwrap_err();
    let Error::TerminatedWorker(report) = error else {
        panic!("{error:?}")
    };
    assert_eq!(report.cause, cause, "{report}");
    assert!(report.started && report.attempt == 1 && report.runtime.is_some());
    assert_eq!(report.task, Some(future.task()));
    if cause != DeathCause::Zygote {
        assert!(report.peak_rss_bytes.is_some_and(|bytes| bytes > 1 << 16));
    }
    *report
}
