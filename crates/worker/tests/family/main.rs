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
mod parent;
mod segments;
mod spawning;
mod tasks;
mod witness;

use std::panic::{AssertUnwindSafe, catch_unwind};

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
        Some(_) | None => run(&words),
    }
}

fn run(words: &[String]) {
    let listing = words.iter().any(|word| word == "--list");
    let ignored_only = words.iter().any(|word| word == "--ignored");
    let exact = words.iter().any(|word| word == "--exact");
    let filters: Vec<&String> = words
        .iter()
        .filter(|word| !word.starts_with('-') && *word != "terse")
        .collect();
    let wanted = |name: &str| {
        filters.is_empty()
            || filters.iter().any(|filter| {
                if exact {
                    name == *filter
                } else {
                    name.contains(*filter)
                }
            })
    };
    let mut passed_count = 0;
    let mut failures = Vec::new();
    for setting in Setting::ALL {
        for (test, body) in [
            spawning::TESTS,
            tasks::TESTS,
            segments::TESTS,
            deaths::TESTS,
        ]
        .concat()
        {
            let name = format!("{}::{test}", setting.name());
            if !wanted(&name) || ignored_only {
                continue;
            }
            if listing {
                println!("{name}: test");
                continue;
            }
            let passed = catch_unwind(AssertUnwindSafe(|| {
                body(setting);
                assert!(
                    !process::has_children().unwrap(),
                    "the test left a child behind"
                );
            }));
            println!(
                "test {name} ... {}",
                if passed.is_ok() { "ok" } else { "FAILED" }
            );
            match passed {
                Ok(()) => passed_count += 1,
                Err(_) => failures.push(name),
            }
        }
    }
    if !listing {
        println!("{passed_count} passed, {} failed", failures.len());
    }
    assert!(failures.is_empty(), "failed: {failures:?}");
}
