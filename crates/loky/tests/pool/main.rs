//! The crate with real processes: this program is also its own zygote and worker.
//!
//! Each test runs once for every launcher. Whatever is waited for is a result, a task that comes to a
//! gate, or the end of a process; the only time limit is the one that turns a hang into a failure.
//! After each test there is no child, and no descriptor more than before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test fails by a panic, and a task owns its arguments"
)]

mod bytes;
mod failures;
mod futures;
mod groups;
#[path = "../../../testing/harness.rs"]
mod harness;
mod life;
mod maps;
mod observed;
mod options;
mod owner;
mod rows;
mod rows_options;
mod stage;
mod surroundings;
mod table;
mod tasks;

use harness::Case;
use loky_sys::process;
use stage::{Setting, descriptors, until};

/// A test, by its name.
pub type Test = (&'static str, fn(Setting));

fn main() {
    loky::init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == owner::ROLE) {
        owner::play(&words[1..]);
        return;
    }
    harness::run(&words, tests());
}

fn tests() -> Vec<Case> {
    let mut tests: Vec<Case> = vec![(
        "every_line_of_the_table_has_its_rows".to_owned(),
        Box::new(|| guarded(&table::every_line_has_its_rows)),
    )];
    for setting in Setting::ALL {
        let plain = [
            life::TESTS,
            maps::TESTS,
            futures::TESTS,
            bytes::TESTS,
            surroundings::TESTS,
            failures::TESTS,
            options::TESTS,
            groups::TESTS,
            observed::TESTS,
        ];
        for (name, test) in plain.concat() {
            let name = format!("{}::{name}", setting.name());
            tests.push((name, Box::new(move || guarded(&|| test(setting)))));
        }
        for (name, test) in table::cases(setting) {
            tests.push((name, Box::new(move || guarded(&*test))));
        }
    }
    tests
}

/// A test that leaves something behind has failed. Threads of a pool that has been let go of end in
/// their own time, so what is left is given the time to go.
fn guarded(test: &dyn Fn()) {
    let before = descriptors();
    test();
    until(|| (!process::has_children().unwrap()).then_some(()));
    until(|| (descriptors() <= before).then_some(()));
}
