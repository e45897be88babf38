//! One task for many inputs.

use std::cell::Cell;

use loky::Error;

use crate::Test;
use crate::stage::{Gate, Setting};
use crate::tasks::{Odd, double, exits, odd, panics, wait_at};

pub const TESTS: &[Test] = &[
    ("map_keeps_the_order_of_its_inputs", ordered),
    ("map_unordered_gives_what_comes_first", unordered),
    ("map_takes_inputs_no_further_ahead_than_it_may", look_ahead),
    ("map_gives_an_error_in_the_place_of_its_task", errors),
    ("a_map_that_is_dropped_cancels_what_is_left", dropped),
    ("map_of_nothing_is_empty", empty),
    (
        "map_holds_nothing_back_for_an_iterator_that_waits",
        waiting_iterator,
    ),
    ("calls_that_cannot_be_written_keep_their_places", unwritable),
];

fn ordered(setting: Setting) {
    let pool = setting.pool(2);
    let results: Vec<u64> = pool
        .map((0..500).map(double::call))
        .map(Result::unwrap)
        .collect();
    assert!(results.into_iter().eq((0..500).map(|x| 2 * x)));
    pool.shutdown().unwrap();
}

fn unordered(setting: Setting) {
    let pool = setting.pool(2);
    let (slow, quick) = (Gate::new(), Gate::new());
    let inputs = [slow.name(), quick.name()];
    let mut results = pool
        .map(inputs.map(wait_at::call))
        .look_ahead(2)
        .unordered();
    let (sender, receiver) = std::sync::mpsc::channel();
    let asking = std::thread::spawn(move || {
        for result in &mut results {
            sender.send(result.unwrap()).unwrap();
        }
    });
    let (first, second) = (slow.arrival(), quick.arrival());
    let (first_pid, second_pid) = (first.pid, second.pid);
    drop(second);
    assert_eq!(receiver.recv().unwrap(), second_pid);
    drop(first);
    assert_eq!(receiver.recv().unwrap(), first_pid);
    asking.join().unwrap();
    let mut all: Vec<u64> = pool
        .map((0..300).map(double::call))
        .unordered()
        .map(Result::unwrap)
        .collect();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..300).map(|x| 2 * x)));
    pool.shutdown().unwrap();
}

fn look_ahead(setting: Setting) {
    let pool = setting.pool(1);
    let taken = Cell::new(0_u64);
    let endless = std::iter::repeat_with(|| {
        taken.set(taken.get() + 1);
        taken.get()
    });
    let mut results = pool.map(endless.map(double::call)).look_ahead(5);
    for given in 1..=20_u64 {
        assert_eq!(results.next().unwrap().unwrap(), 2 * given);
        assert!(taken.get() <= given + 4, "{} for {given}", taken.get());
        assert!(taken.get() >= given + 2, "{} for {given}", taken.get());
    }
    drop(results);
    pool.shutdown().unwrap();
}

fn errors(setting: Setting) {
    let pool = setting.pool(2);
    let results: Vec<_> = pool
        .map(["a", "b"].map(|text| panics::call(text.to_owned())))
        .collect();
    for (result, text) in results.iter().zip(["a", "b"]) {
        assert!(
            matches!(result, Err(Error::Panicked { message, .. }) if message.starts_with(text)),
            "{result:?}"
        );
    }
    let died = pool.map([exits::call(3)]).unordered().next();
    assert!(matches!(died, Some(Err(Error::TerminatedWorker(_)))));
    pool.shutdown().unwrap();
    let refused: Vec<_> = pool.map((0..3).map(double::call)).collect();
    assert_eq!(refused.len(), 3);
    assert!(
        refused
            .iter()
            .all(|result| matches!(result, Err(Error::Shutdown)))
    );
}

fn dropped(setting: Setting) {
    let pool = setting.pool(1);
    let (open, never) = (Gate::new(), Gate::new());
    let inputs = [open.name(), open.name(), never.name(), never.name()];
    let mut results = pool.map(inputs.map(wait_at::call)).look_ahead(4);
    let asking = std::thread::spawn(move || {
        let first = results.next().unwrap().unwrap();
        // The second may have begun; those after it have not, with one worker that it keeps.
        (first, results)
    });
    drop(open.arrival());
    let second = open.arrival();
    let (_, results) = asking.join().unwrap();
    drop(results);
    drop(second);
    pool.shutdown().unwrap();
    // Nobody ever came: a task that had been left would have waited here for ever.
}

/// The second call is made when the first one has begun.
fn waiting_iterator(setting: Setting) {
    let pool = setting.pool(2);
    let gate = Gate::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let name = gate.name();
    let asking = {
        let pool = pool.clone();
        std::thread::spawn(move || pool.map(receiver).collect::<Vec<_>>())
    };
    sender.send(wait_at::call(name.clone())).unwrap();
    let first = gate.arrival();
    sender.send(wait_at::call(name)).unwrap();
    let second = gate.arrival();
    drop(sender);
    let pids = [first.pid, second.pid];
    drop((first, second));
    let results = asking.join().unwrap();
    assert!(results.into_iter().map(Result::unwrap).eq(pids));
    pool.shutdown().unwrap();
}

fn unwritable(setting: Setting) {
    let pool = setting.pool(1);
    let calls = (0..10).map(|x| odd::call(Odd(x)));
    let results: Vec<_> = pool.map(calls).collect();
    for (x, result) in (0..10).zip(results) {
        match result {
            Ok(value) => assert!(x % 2 == 1 && value == x),
            Err(error) => assert!(x % 2 == 0 && matches!(error, Error::Encode(_))),
        }
    }
    pool.shutdown().unwrap();
}

fn empty(setting: Setting) {
    let pool = setting.pool(1);
    assert!(pool.map([].map(double::call)).next().is_none());
    assert!(pool.map([].map(double::call)).unordered().next().is_none());
    pool.shutdown().unwrap();
}
