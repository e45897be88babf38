//! The rows of the table of failures that are about what was asked for a task.

use std::time::Duration;

use loky::{DeathCause, Error, OnCrash, TaskOptions};

use crate::groups::Place;
use crate::options::Notes;
use crate::rows::{alone, died, row};
use crate::stage::{Gate, end, value};
use crate::table::{Row, Stage};
use crate::tasks::{
    computes_for_ever, dies_before, double, fills, hoards, panics_before, pid, wait_at, writes,
};

pub const ROWS: &[Row] = &[
    row("the-time-runs-out", "TIMEOUT_HOLDS_ON", |stage| {
        let limited = stage
            .pool
            .options(TaskOptions::new().timeout(Duration::from_millis(200)));
        let error = end(&limited.submit(computes_for_ever::call()).unwrap()).unwrap_err();
        let Error::Timeout(report) = error else {
            panic!("{error:?}")
        };
        assert_eq!(report.cause, DeathCause::TimedOut);
    }),
    row("it-does-not-begin-in-time", "QUEUE_TIMEOUT", |stage| {
        let notes = Notes::new();
        let busy = Busy::begin(stage);
        let hasty = stage
            .pool
            .options(TaskOptions::new().queue_timeout(Duration::from_millis(50)));
        let late = hasty
            .submit(writes::call(notes.name(), "ran".to_owned()))
            .unwrap();
        let error = end(&late).unwrap_err();
        assert!(matches!(error, Error::Expired { .. }), "{error:?}");
        busy.end();
        assert_eq!(notes.text(), "");
    }),
    row("the-memory-limit-is-passed", "MEMORY_LIMIT", |stage| {
        let modest = stage
            .pool
            .options(TaskOptions::new().memory_limit(300 << 20));
        died(
            &modest.submit(fills::call(1500)).unwrap(),
            DeathCause::MemoryLimit,
        );
    }),
    alone(row(
        "the-memory-group-of-the-worker-is-full",
        "MEMORY_LIMIT",
        |stage| {
            let Some(place) = Place::new() else { return };
            let builder = stage.setting.builder(2).on_crash(stage.on_crash);
            let builder = builder.memory_limit(200 << 20).memory_group(place.folder());
            let pool = builder.build().unwrap();
            let greedy = pool.submit(hoards::call(800)).unwrap();
            died(&greedy, DeathCause::MemoryLimit);
            assert_eq!(value(&pool.submit(double::call(4)).unwrap()), 8);
            assert!(!pool.is_broken());
            pool.shutdown().unwrap();
        },
    )),
    row("every-attempt-dies", "POISON", |stage| {
        let notes = Notes::new();
        let stubborn = stage.pool.options(TaskOptions::new().retries(2));
        let future = stubborn
            .submit(dies_before::call(notes.name(), 99))
            .unwrap();
        let error = end(&future).unwrap_err();
        let Error::TerminatedWorker(report) = error else {
            panic!("{error:?}")
        };
        let attempts = match stage.on_crash {
            OnCrash::Recover => 3,
            OnCrash::Break => 1,
        };
        assert_eq!(notes.text().len(), attempts);
        assert_eq!(report.history.len() + 1, attempts);
    }),
    row("the-second-attempt-lives", "RETRIED", |stage| {
        let notes = Notes::new();
        let stubborn = stage.pool.options(TaskOptions::new().retries(2));
        let future = stubborn.submit(dies_before::call(notes.name(), 2)).unwrap();
        match (stage.on_crash, end(&future)) {
            (OnCrash::Recover, Ok(2)) | (OnCrash::Break, Err(Error::TerminatedWorker(_))) => {}
            (_, other) => panic!("{other:?}"),
        }
    }),
    row("a-panic-that-is-tried-again", "RETRIED_ON", |stage| {
        let notes = Notes::new();
        let stubborn = stage
            .pool
            .options(TaskOptions::new().retries(2).retry_panics(true));
        let future = stubborn
            .submit(panics_before::call(notes.name(), 2))
            .unwrap();
        assert_eq!(value(&future), 2);
    }),
    row("cancelled-before-it-begins", "CANCELLED", |stage| {
        let notes = Notes::new();
        let busy = Busy::begin(stage);
        let call = || writes::call(notes.name(), "ran".to_owned());
        let (one, other) = (stage.pool.submit(call()), stage.pool.submit(call()));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one.cancel());
        assert!(other.cancel_by_force());
        for future in [one, other] {
            assert!(matches!(end(&future), Err(Error::Cancelled)));
        }
        busy.end();
        assert_eq!(notes.text(), "");
    }),
    row(
        "cancelled-by-force-while-it-runs",
        "FORCED_HOLDS_ON",
        |stage| {
            let gate = Gate::new();
            let future = stage.pool.submit(wait_at::call(gate.name())).unwrap();
            let arrived = gate.arrival();
            assert!(future.cancel_by_force());
            assert!(matches!(end(&future), Err(Error::Cancelled)));
            drop(arrived);
        },
    ),
];

/// The other worker of the stage, kept at work.
struct Busy<'a> {
    stage: &'a Stage,
    running: loky::TaskFuture<i32>,
    arrived: crate::stage::Waiting,
}

impl<'a> Busy<'a> {
    fn begin(stage: &'a Stage) -> Self {
        let gate = Gate::new();
        let running = stage.pool.submit(wait_at::call(gate.name())).unwrap();
        let arrived = gate.arrival();
        Self {
            stage,
            running,
            arrived,
        }
    }

    /// Lets it go, and sees it do something else, so that whatever waited has had its turn.
    fn end(self) {
        drop(self.arrived);
        value(&self.running);
        value(&self.stage.pool.submit(pid::call()).unwrap());
    }
}
