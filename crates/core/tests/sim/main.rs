//! The pool under simulation: random legal orders, faults, virtual time, laws from outside.
//!
//! `LOKY_SIM_STEPS` sets how many steps of the pool are made in all, `LOKY_SIM_SEED` runs one seed
//! and nothing else.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, and so does what stands around it"
)]

mod checkers;
mod driver;
mod marks;
mod process;
mod profile;
mod rng;
mod scenarios;
mod strays;
mod world;

use driver::Driver;
use marks::Marks;

/// Steps of the pool in the default run.
const STEPS: u64 = 1_000_000;

/// Says how to see a failing run again, also when the pool itself panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "replay: LOKY_SIM_SEED={} cargo test -p loky-core --test sim seeds",
                self.0
            );
        }
    }
}

fn number_from(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

fn run(seed: u64) -> (u64, Marks) {
    let _replay = Replay(seed);
    match Driver::run_seed(seed) {
        Ok(done) => done,
        Err(failure) => panic!("seed {seed}: {failure:?}"),
    }
}

#[test]
fn random_seeds_keep_every_law_and_come_to_their_end() {
    if let Some(seed) = number_from("LOKY_SIM_SEED") {
        run(seed);
        return;
    }
    let wanted = number_from("LOKY_SIM_STEPS").unwrap_or(STEPS);
    let (mut steps, mut seed, mut marks) = (0, 0, Marks::default());
    while steps < wanted {
        let (made, left) = run(seed);
        steps += made;
        marks.add(&left);
        seed += 1;
    }
    eprintln!("{steps} steps, {seed} seeds, {marks:?}");
    if wanted >= STEPS {
        assert_eq!(
            marks.missing(),
            [""; 0],
            "of what has to happen, this did not"
        );
    }
}

#[test]
fn a_seed_repeats_itself() {
    let first = run(7);
    let second = run(7);
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
}
