//! What a test program has in the place of the usual harness where it is also the zygote and the
//! worker of its own tests, and so has to begin with one thread.
//!
//! A module of each of these programs, by its path. It knows of the usual words what cargo and
//! nextest say.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A test, by its name.
pub type Case = (String, Box<dyn Fn()>);

/// Lists or runs the tests that the words of the command line ask for.
pub fn run(words: &[String], cases: Vec<Case>) {
    let has = |option: &str| words.iter().any(|word| word == option);
    let filters: Vec<&String> = words
        .iter()
        .filter(|word| !word.starts_with('-') && *word != "terse")
        .collect();
    let matches = |name: &str, filter: &str| {
        if has("--exact") {
            name == filter
        } else {
            name.contains(filter)
        }
    };
    let is_wanted = |name: &str| {
        let any = filters.iter().any(|filter| matches(name, filter));
        !has("--ignored") && (filters.is_empty() || any)
    };
    let mut passed_count = 0;
    let mut failed = Vec::new();
    for (name, test) in cases.into_iter().filter(|(name, _)| is_wanted(name)) {
        if has("--list") {
            println!("{name}: test");
        } else if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            println!("test {name} ... ok");
            passed_count += 1;
        } else {
            println!("test {name} ... FAILED");
            failed.push(name);
        }
    }
    if !has("--list") {
        println!("{passed_count} passed, {} failed", failed.len());
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}
