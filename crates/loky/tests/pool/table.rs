//! The table of failures, run for Rust tasks.
//!
//! Its lines are read from where the tests of the other front have them, so that both fronts promise
//! the same. A line that has no row here, and is not said to be impossible or somebody else's, fails.

use std::collections::BTreeMap;

use loky::{Error, OnCrash, ProcessPoolExecutor, TaskFuture};

use crate::rows::{self, ELSEWHERE};
use crate::rows_options;
use crate::stage::{Gate, Setting, end, until, value};
use crate::tasks::{double, wait_at};

/// The lines, as the other front's tests hold them.
const LINES: &str = include_str!("../../../../tests/faults/failures.py");

/// What becomes of everything that a fault was not about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    Untouched,
    Replaced,
    Renewed,
    Broken,
    Shut,
    Finished,
    Gone,
}

/// One way in which a failure comes about.
pub struct Row {
    pub name: &'static str,
    /// The line of the table.
    pub line: &'static str,
    /// Does it, and checks what the task gets that it is about.
    pub provoke: fn(&Stage),
    /// What the others get, where it differs from the line in the mode that breaks; with the reason in
    /// the row's text.
    pub others_if_broken: Option<Others>,
    /// Nothing else runs while it happens, because the fault comes before everything.
    pub alone: bool,
}

/// A pool in which something goes wrong.
pub struct Stage {
    pub setting: Setting,
    pub on_crash: OnCrash,
    pub pool: ProcessPoolExecutor,
}

fn rows() -> impl Iterator<Item = &'static Row> {
    rows::ROWS.iter().chain(rows_options::ROWS)
}

/// Each line by its name: what becomes of the others in the one mode and in the other.
fn lines() -> BTreeMap<&'static str, (Others, Others)> {
    let mut lines = BTreeMap::new();
    for block in LINES.split("\n\n").flat_map(|part| part.split("\n)\n")) {
        let Some((name, fields)) = block.trim_start().split_once(" = Failure(") else {
            continue;
        };
        let name = name.rsplit('\n').next().unwrap();
        lines.insert(name, (others(fields, "recover"), others(fields, "breaks")));
    }
    lines
}

fn others(fields: &str, mode: &str) -> Others {
    let (_, rest) = fields.split_once(&format!("{mode}=Others.")).unwrap();
    let name = rest.split(',').next().unwrap();
    match name {
        "UNTOUCHED" => Others::Untouched,
        "REPLACED" => Others::Replaced,
        "RENEWED" => Others::Renewed,
        "BROKEN" => Others::Broken,
        "SHUT" => Others::Shut,
        "FINISHED" => Others::Finished,
        "GONE" => Others::Gone,
        _ => panic!("nobody here knows what `{name}` means"),
    }
}

pub fn every_line_has_its_rows() {
    let lines = lines();
    assert!(lines.len() > 15, "the table has not been read: {lines:?}");
    for line in lines.keys() {
        let has_row = rows().any(|row| row.line == *line);
        let is_elsewhere = ELSEWHERE.iter().any(|(name, _)| name == line);
        assert!(
            has_row != is_elsewhere,
            "the line {line} needs a row, or a reason why it has none"
        );
    }
    for line in rows().map(|row| row.line) {
        assert!(lines.contains_key(line), "there is no line {line}");
    }
}

/// Every row in both modes.
pub fn cases(setting: Setting) -> Vec<(String, Box<dyn Fn()>)> {
    let lines = lines();
    let mut cases: Vec<(String, Box<dyn Fn()>)> = Vec::new();
    for row in rows() {
        let (recover, breaks) = lines[row.line];
        let breaks = row.others_if_broken.unwrap_or(breaks);
        for (on_crash, others) in [(OnCrash::Recover, recover), (OnCrash::Break, breaks)] {
            let mode = match on_crash {
                OnCrash::Recover => "recover",
                OnCrash::Break => "break",
            };
            let name = format!("{}::table::{mode}::{}", setting.name(), row.name);
            cases.push((name, Box::new(move || run(setting, on_crash, row, others))));
        }
    }
    cases
}

fn run(setting: Setting, on_crash: OnCrash, row: &Row, others: Others) {
    let pool = setting.builder(2).on_crash(on_crash).build().unwrap();
    let stage = Stage {
        setting,
        on_crash,
        pool,
    };
    if row.alone {
        (row.provoke)(&stage);
        stage.pool.shutdown_now().unwrap();
        return;
    }
    // One worker waits at a gate; the fault is met by the other, before further tasks.
    let gate = Gate::new();
    let running = stage.pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    until(|| (stage.pool.workers().len() == 2).then_some(()));
    let workers = stage.pool.workers();
    (row.provoke)(&stage);
    let later = stage.pool.submit(double::call(4));
    drop(arrived);
    check(&stage, others, &running, later);
    let is_same = stage.pool.workers() == workers;
    match others {
        Others::Untouched => assert!(is_same, "{:?} after {workers:?}", stage.pool.workers()),
        Others::Replaced | Others::Renewed => assert!(!is_same, "{workers:?}"),
        Others::Broken | Others::Shut | Others::Finished | Others::Gone => {}
    }
    stage.pool.shutdown_now().unwrap();
}

fn check(
    stage: &Stage,
    others: Others,
    running: &TaskFuture<i32>,
    later: Result<TaskFuture<u64>, Error>,
) {
    match others {
        Others::Untouched | Others::Replaced => {
            value(running);
            assert_eq!(value(&later.unwrap()), 8);
            // A worker is replaced when there is work for it.
            until(|| {
                value(&stage.pool.submit(double::call(1)).unwrap());
                (stage.pool.workers().len() == 2).then_some(())
            });
            assert!(!stage.pool.is_broken());
        }
        Others::Renewed => {
            assert!(matches!(end(running), Err(Error::TerminatedWorker(_))));
            assert_eq!(value(&later.unwrap()), 8);
        }
        Others::Broken => {
            let error = end(running).unwrap_err();
            // The zygote's death is that of every worker, so this one too died while it ran its task.
            let died = matches!(error, Error::TerminatedWorker(_));
            assert!(died || error.is_broken_pool(), "{error:?}");
            assert!(later.unwrap_err().is_broken_pool());
            assert!(stage.pool.is_broken());
        }
        Others::Shut => {
            assert!(matches!(end(running), Err(Error::Shutdown)));
            assert!(matches!(later, Err(Error::Shutdown)));
        }
        Others::Finished => {
            value(running);
            assert!(matches!(later, Err(Error::Shutdown)));
        }
        Others::Gone => {}
    }
}
