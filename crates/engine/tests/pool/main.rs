//! The engine with real processes: this program plays the owner, and executes itself as zygote and
//! worker.
//!
//! Each test runs once for every launcher and transport. Whatever is waited for is a delivery, a byte or the end of
//! a process; the only time limit is the one that turns a hang into a failure. After each test there
//! is no child, and no descriptor more than before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect has failed"
)]

mod bytes;
mod deaths;
mod front;
#[path = "../../../testing/harness.rs"]
mod harness;
mod life;
mod once;
mod options;
mod owner;
mod scribbler;
mod stopped;
mod strays;
mod wild;

use harness::Case;
use loky_sys::process;
use owner::{Setting, descriptors};

/// A test, by its name.
pub type Test = (&'static str, fn(Setting));

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((role, rest)) if role == front::ZYGOTE_ROLE => front::zygote(rest),
        Some((role, rest)) if role == front::WORKER_ROLE => front::executed_worker(rest),
        Some(_) | None => harness::run(&words, tests()),
    }
}

fn tests() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for setting in Setting::ALL {
        let tests = [
            life::TESTS,
            bytes::TESTS,
            once::TESTS,
            deaths::TESTS,
            options::TESTS,
            stopped::TESTS,
            wild::TESTS,
            strays::TESTS,
        ];
        for (test, body) in tests.concat() {
            let name = format!("{}::{test}", setting.name());
            cases.push((name, Box::new(move || guarded(setting, body))));
        }
    }
    cases
}

fn guarded(setting: Setting, test: fn(Setting)) {
    let before = descriptors();
    test(setting);
    assert!(
        !process::has_children().unwrap(),
        "the test left a child behind"
    );
    assert_eq!(descriptors(), before, "the test left descriptors behind");
}
