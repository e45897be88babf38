//! The family for real: this program plays the parent, and executes itself as zygote and worker.
//!
//! Each test runs once for every launcher and fall-back in [`Setting::ALL`]. Whatever is waited for
//! is a frame, a byte or the end of a pipe; the only time limit is the one that turns a hang into a
//! failure.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected has failed"
)]

mod deaths;
mod front;
#[path = "../../../testing/harness.rs"]
mod harness;
mod parent;
mod segments;
mod spawning;
mod tasks;
mod witness;

use harness::Case;
use loky_sys::process;
use parent::Setting;

/// A test, by its name.
type Test = (&'static str, fn(Setting));

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((role, rest)) if role == front::ZYGOTE_ROLE => front::zygote(rest),
        Some((role, rest)) if role == front::WORKER_ROLE => front::executed_worker(rest),
        Some((role, rest)) if role == front::PARENT_ROLE => front::parent(rest),
        Some((role, _)) if role == front::IDLE_ROLE => front::idle(),
        Some(_) | None => harness::run(&words, tests()),
    }
}

fn tests() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for setting in Setting::ALL {
        let all = [
            spawning::TESTS,
            tasks::TESTS,
            segments::TESTS,
            deaths::TESTS,
        ];
        for (test, body) in all.concat() {
            let name = format!("{}::{test}", setting.name());
            cases.push((name, Box::new(move || guarded(setting, body))));
        }
    }
    cases
}

fn guarded(setting: Setting, test: fn(Setting)) {
    test(setting);
    assert!(
        !process::has_children().unwrap(),
        "the test left a child behind"
    );
}
