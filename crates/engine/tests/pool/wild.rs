//! Workers that write into their rings what no worker writes, or die while they write.

use loky_engine::ShutdownMode;
use loky_engine::config::Transport;
use loky_engine::front::TaskEnd;
use loky_engine::report::Cause;
use loky_sys::process;

use crate::Test;
use crate::owner::{Owner, Setting, name, text};
use crate::scribbler::NONSENSE;

pub const TESTS: &[Test] = &[
    (
        "nonsense_in_a_ring_condemns_that_worker_alone",
        nonsense_in_a_ring_condemns_that_worker_alone,
    ),
    (
        "a_half_written_answer_was_never_given",
        a_half_written_answer_was_never_given,
    ),
    (
        "an_answer_that_was_committed_before_the_death_counts",
        an_answer_that_was_committed_before_the_death_counts,
    ),
    (
        "more_than_a_ring_holds_arrives_in_order",
        more_than_a_ring_holds_arrives_in_order,
    ),
];

fn has_rings(setting: Setting) -> bool {
    setting.transport == Transport::Ring
}

fn nonsense_in_a_ring_condemns_that_worker_alone(setting: Setting) {
    if !has_rings(setting) {
        return;
    }
    for what in 0..NONSENSE {
        let mut owner = Owner::new(setting, 2);
        let wild = owner.submit(&format!("scribble {what}"));
        owner.sign();
        // Whatever turns the loop has it look into all rings.
        let waiting: Vec<_> = (0..20).map(|_| owner.submit("echo 1")).collect();
        let TaskEnd::Died(report) = owner.end(wild) else {
            panic!("nonsense {what} was not found out")
        };
        assert_eq!(report.cause, Cause::Protocol, "nonsense {what}");
        for task in waiting {
            assert_eq!(owner.value(task), "echo 1");
        }
        assert_eq!(owner.broke, 0);
        owner.shut_down(ShutdownMode::Drain);
    }
}

fn a_half_written_answer_was_never_given(setting: Setting) {
    if !has_rings(setting) {
        return;
    }
    let mut owner = Owner::new(setting, 1);
    // The record of this answer has fewer words than that.
    for words in 0..14 {
        let warm = owner.submit("echo 1");
        assert_eq!(owner.value(warm), "echo 1");
        let task = owner.submit(&format!("half {words}"));
        let TaskEnd::Died(report) = owner.end(task) else {
            panic!("an answer came of which {words} words were written")
        };
        assert_eq!((report.cause, report.started), (Cause::Exit(3), true));
    }
    owner.shut_down(ShutdownMode::Drain);
}

fn an_answer_that_was_committed_before_the_death_counts(setting: Setting) {
    if !has_rings(setting) {
        return;
    }
    let mut owner = Owner::new(setting, 1);
    for _ in 0..10 {
        let task = owner.submit("commit");
        let pid: i32 = match owner.end(task) {
            TaskEnd::Value(answer) => text(&answer).parse().unwrap(),
            other => panic!("what had been committed was lost: {}", name(&other)),
        };
        assert_ne!(pid, process::pid());
    }
    assert_eq!(owner.broke, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn more_than_a_ring_holds_arrives_in_order(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    // Frames of all lengths: into the ring, too long for it, and with a segment.
    let lengths = [1_usize, 3000, 4000, 5000, 20_000, 100_000];
    let tasks: Vec<_> = (0..600)
        .map(|number| {
            let words = format!(
                "echo {number} {}",
                "x".repeat(lengths[number % lengths.len()])
            );
            (owner.submit(&words), words)
        })
        .collect();
    for (task, words) in tasks {
        match owner.end(task) {
            TaskEnd::Value(answer) if words.len() < 60_000 => assert_eq!(text(&answer), words),
            other => assert_eq!(name(&other), "value"),
        }
    }
    owner.shut_down(ShutdownMode::Drain);
}
