//! Large bytes: segments that are copied once, recycled, kept within the budget, and given back.

use loky_engine::ShutdownMode;
use loky_engine::answer::AnswerStream;
use loky_engine::front::TaskEnd;

use crate::Test;
use crate::owner::{Owner, Setting, descriptors, name};

pub const TESTS: &[Test] = &[
    ("buffers_travel_both_ways", buffers_travel_both_ways),
    (
        "a_large_stream_travels_in_a_segment",
        a_large_stream_travels_in_a_segment,
    ),
    ("segments_are_recycled", segments_are_recycled),
    (
        "an_answer_outlives_its_worker",
        an_answer_outlives_its_worker,
    ),
    (
        "the_budget_delays_and_never_stops",
        the_budget_delays_and_never_stops,
    ),
    (
        "a_large_task_is_sent_again_after_a_death",
        a_large_task_is_sent_again_after_a_death,
    ),
];

fn buffers_travel_both_ways(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    for len in [0_usize, 1, 40_000, 3 << 20] {
        let sent: Vec<Vec<u8>> = (1..4_u8).map(|fill| vec![fill; len]).collect();
        let task = owner.submit_with("echo", sent.clone());
        let TaskEnd::Value(answer) = owner.end(task) else {
            panic!("no value")
        };
        assert_eq!(answer.buffers.len(), sent.len());
        for (view, bytes) in answer.buffers.iter().zip(&sent) {
            assert_eq!(view.len(), bytes.len());
            // SAFETY: the view lives and nobody writes to it.
            let seen = unsafe { std::slice::from_raw_parts(view.as_ptr(), view.len()) };
            assert_eq!(seen, bytes.as_slice());
        }
    }
    owner.shut_down(ShutdownMode::Drain);
}

fn a_large_stream_travels_in_a_segment(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let words = format!("echo {}", "x".repeat(2 << 20));
    let task = owner.submit(&words);
    let TaskEnd::Value(answer) = owner.end(task) else {
        panic!("no value")
    };
    let AnswerStream::InSegment(view) = &answer.stream else {
        panic!("it came inline")
    };
    assert_eq!(view.len(), words.len());
    drop(answer);
    owner.shut_down(ShutdownMode::Drain);
}

fn segments_are_recycled(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let mut open = 0;
    for round in 0..60 {
        let task = owner.submit_with("echo", vec![vec![7; 200_000]]);
        assert_eq!(name(&owner.end(task)), "value");
        if round == 10 {
            open = descriptors();
        }
    }
    assert!(descriptors() <= open + 2, "{} after {open}", descriptors());
    owner.shut_down(ShutdownMode::Drain);
}

fn an_answer_outlives_its_worker(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let task = owner.submit_with("echo", vec![vec![9; 500_000]]);
    let TaskEnd::Value(answer) = owner.end(task) else {
        panic!("no value")
    };
    owner.shut_down(ShutdownMode::Kill);
    let view = &answer.buffers[0];
    // SAFETY: the view lives and nobody writes to it.
    let seen = unsafe { std::slice::from_raw_parts(view.as_ptr(), view.len()) };
    assert!(seen.iter().all(|byte| *byte == 9));
}

fn the_budget_delays_and_never_stops(setting: Setting) {
    let mut config = setting.config(2);
    config.segment_budget_bytes = 1 << 20;
    let mut owner = Owner::with(config);
    let tasks: Vec<_> = (0..20)
        .map(|_| owner.submit_with("len", vec![vec![1; 3 << 20]]))
        .collect();
    for task in tasks {
        assert_eq!(owner.value(task), (3 << 20).to_string());
    }
    owner.shut_down(ShutdownMode::Drain);
}

fn a_large_task_is_sent_again_after_a_death(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let dying = owner.submit("exit 3");
    let large = owner.submit_with("len", vec![vec![1; 2 << 20]]);
    assert_eq!(name(&owner.end(dying)), "died");
    assert_eq!(owner.value(large), (2 << 20).to_string());
    owner.shut_down(ShutdownMode::Drain);
}
