//! Large parts: they travel whole, are private here, come back once, and are recycled.

use std::collections::BTreeSet;
use std::fs;

use loky_sys::{errno, memory};
use loky_wire::limits::INLINE_MAX;

use crate::Test;
use crate::parent::{Family, Setting};

pub const TESTS: &[Test] = &[
    ("buffers_make_the_round", buffers_make_the_round),
    ("large_streams_make_the_round", large_streams_make_the_round),
    (
        "writing_to_a_buffer_is_private",
        writing_to_a_buffer_is_private,
    ),
    ("each_segment_comes_back_once", each_segment_comes_back_once),
    (
        "freed_result_segments_are_recycled",
        freed_result_segments_are_recycled,
    ),
    (
        "kept_results_do_not_fill_the_table",
        kept_results_do_not_fill_the_table,
    ),
    (
        "a_lost_descriptor_costs_one_task",
        a_lost_descriptor_costs_one_task,
    ),
    (
        "a_result_without_a_segment_costs_one_task",
        a_result_without_a_segment_costs_one_task,
    ),
    (
        "a_segment_freed_twice_ends_the_worker",
        a_segment_freed_twice_ends_the_worker,
    ),
];

const MEGABYTE: usize = 1 << 20;

fn buffers_make_the_round(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    let large: Vec<u8> = (0..=250).cycle().take(3 * MEGABYTE + 17).collect();
    worker.send_with(1, b"echo", &[&large, b"", b"small"]);
    let done = worker.expect_done(1);
    assert_eq!(done.stream, b"echo");
    assert_eq!(done.buffers, [large.as_slice(), b"", b"small"]);
    assert!(done.segment.is_some());
    worker.send_with(2, b"echo", &[b""]);
    assert_eq!(worker.expect_done(2).buffers, [b""]);
}

fn large_streams_make_the_round(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    for (task, len) in [(1, INLINE_MAX), (2, INLINE_MAX + 1), (3, 5 * MEGABYTE)] {
        let mut stream = b"echo".to_vec();
        stream.resize(len, b' ');
        worker.send(task, &stream);
        let done = worker.expect_done(task);
        assert!(done.stream == stream, "{len} bytes are not the same");
        assert_eq!(done.segment.is_some(), len > INLINE_MAX);
    }
}

fn writing_to_a_buffer_is_private(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    worker.send_with(1, b"scribble", &[b"original"]);
    assert_eq!(worker.expect_done(1).buffers, [b"!riginal"]);
    assert_eq!(
        memory::read_file(&worker.segments[0], 8).unwrap(),
        b"original"
    );
}

fn each_segment_comes_back_once(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    for task in 1..=5 {
        worker.send_with(task, b"echo", &[&[1; 100]]);
    }
    let ticket = worker.ledger.publish(60, 6, 1).unwrap();
    assert!(worker.ledger.revoke(ticket));
    worker.say_task(6, ticket, b"exit 9", &[&[1; 100]]);
    for task in 1..=5 {
        assert_eq!(worker.expect_done(task).buffers, [[1; 100]]);
    }
    let (revoked, _) = worker.hear_sorted().unwrap();
    assert_eq!(revoked.header.task, 6);
    worker.expect_freed(6);
}

fn freed_result_segments_are_recycled(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    let mut used = BTreeSet::new();
    for task in 1..=200 {
        worker.send(task, b"make 1048576");
        let done = worker.expect_done(task);
        assert!(done.buffers[0] == vec![0x5a; MEGABYTE]);
        let segment = done.segment.unwrap();
        used.insert(segment);
        worker.free(segment);
        worker.ledger_release(task);
    }
    assert_eq!(
        used.len(),
        1,
        "the news of a freed segment was there before the next task"
    );
}

fn kept_results_do_not_fill_the_table(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    let mut kept = BTreeSet::new();
    for task in 1..=300 {
        worker.send(task, b"make 5000");
        kept.insert(worker.expect_done(task).segment.unwrap());
        worker.ledger_release(task);
    }
    assert_eq!(
        kept.len(),
        300,
        "a segment that the parent keeps was filled again"
    );
    let open = fs::read_dir(format!("/proc/{}/fd", worker.pid))
        .unwrap()
        .count();
    assert!(open < 100, "{open} descriptors are open");
    for segment in kept {
        worker.free(segment);
    }
    assert_eq!(worker.ask(301, "echo"), b"echo");
}

fn a_lost_descriptor_costs_one_task(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    assert_eq!(worker.ask(1, "fill"), b"full");
    worker.send_with(2, b"echo", &[b"lost"]);
    let done = worker.expect_done(2);
    assert_eq!(
        (done.raised, done.stream),
        (true, format!("lost {}", errno::EMFILE).into_bytes())
    );
    worker.expect_freed(1);
    assert_eq!(worker.ask(3, "empty"), b"empty");
    worker.send_with(4, b"echo", &[b"found"]);
    assert_eq!(worker.expect_done(4).buffers, [b"found"]);
}

fn a_result_without_a_segment_costs_one_task(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    assert_eq!(worker.ask(1, "fill"), b"full");
    worker.send(2, b"make 1000000");
    let done = worker.expect_done(2);
    assert_eq!(
        (done.raised, done.stream),
        (true, format!("unsent {}", errno::EMFILE).into_bytes())
    );
    // A stream alone goes the slow way rather than not at all.
    worker.send(3, b"make-stream 200000");
    let done = worker.expect_done(3);
    assert_eq!(
        (done.raised, done.stream.len(), done.segment),
        (false, 200_000, None)
    );
    assert_eq!(worker.ask(4, "empty"), b"empty");
    worker.send(5, b"make 1000000");
    assert_eq!(worker.expect_done(5).buffers[0].len(), 1_000_000);
}

fn a_segment_freed_twice_ends_the_worker(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    worker.send(1, b"make 5000");
    let segment = worker.expect_done(1).segment.unwrap();
    worker.free(segment);
    worker.free(segment);
    worker.link.expect_end();
    assert_eq!(family.expect_exited(1).status.exited(), Some(70));
}
