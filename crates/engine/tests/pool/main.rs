//! The engine with real processes: this program plays the owner, and executes itself as zygote and
//! worker.
//!
//! Each test runs once for every launcher. Whatever is waited for is a delivery, a byte or the end of
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
mod life;
mod once;
mod options;
mod owner;

use std::panic::{AssertUnwindSafe, catch_unwind};

use loky_sys::process;
use owner::{Setting, descriptors};

/// A test, by its name.
pub type Test = (&'static str, fn(Setting));

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((role, rest)) if role == front::ZYGOTE_ROLE => front::zygote(rest),
        Some((role, rest)) if role == front::WORKER_ROLE => front::executed_worker(rest),
        Some(_) | None => run(&words),
    }
}

fn run(words: &[String]) {
    let has = |option: &str| words.iter().any(|word| word == option);
    let filters: Vec<&String> = words
        .iter()
        .filter(|word| !word.starts_with('-') && *word != "terse")
        .collect();
    let wanted = |name: &str| {
        let matches = |filter: &&String| {
            if has("--exact") {
                name == **filter
            } else {
                name.contains(filter.as_str())
            }
        };
        !has("--ignored") && (filters.is_empty() || filters.iter().any(matches))
    };
    let mut failures = Vec::new();
    for setting in Setting::ALL {
        for (test, body) in [
            life::TESTS,
            bytes::TESTS,
            once::TESTS,
            deaths::TESTS,
            options::TESTS,
        ]
        .concat()
        {
            let name = format!("{}::{test}", setting.name());
            if !wanted(&name) {
                continue;
            }
            if has("--list") {
                println!("{name}: test");
                continue;
            }
            let passed = catch_unwind(AssertUnwindSafe(|| {
                let before = descriptors();
                body(setting);
                assert!(
                    !process::has_children().unwrap(),
                    "the test left a child behind"
                );
                assert_eq!(descriptors(), before, "the test left descriptors behind");
            }));
            println!(
                "test {name} ... {}",
                if passed.is_ok() { "ok" } else { "FAILED" }
            );
            if passed.is_err() {
                failures.push(name);
            }
        }
    }
    assert!(failures.is_empty(), "failed: {failures:?}");
}
