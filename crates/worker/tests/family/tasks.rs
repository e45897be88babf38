//! The task loop: order, claims, repeated questions and answers, and how it ends.

use std::io::IoSlice;

use loky_sys::{clock, signal, socket};
use loky_wire::{Header, Kind, SlotState};

use crate::Test;
use crate::front::WITNESS;
use crate::parent::{Family, Setting};
use crate::witness::{HANG_NS, Witness};

pub const TESTS: &[Test] = &[
    ("a_task_makes_the_round", a_task_makes_the_round),
    ("an_exception_is_marked", an_exception_is_marked),
    ("tasks_keep_their_order", tasks_keep_their_order),
    ("a_revoked_task_never_runs", a_revoked_task_never_runs),
    (
        "a_running_task_is_seen_in_the_ledger",
        a_running_task_is_seen_in_the_ledger,
    ),
    (
        "asking_and_answering_twice_is_once",
        asking_and_answering_twice_is_once,
    ),
    ("a_foreign_answer_is_refused", a_foreign_answer_is_refused),
    (
        "leaving_comes_after_earlier_tasks",
        leaving_comes_after_earlier_tasks,
    ),
    (
        "a_waiting_worker_lets_signal_handlers_run",
        a_waiting_worker_lets_signal_handlers_run,
    ),
    (
        "a_worker_ends_with_its_socket",
        a_worker_ends_with_its_socket,
    ),
    (
        "a_broken_protocol_ends_the_worker_alone",
        a_broken_protocol_ends_the_worker_alone,
    ),
];

fn a_task_makes_the_round(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    let before_ns = clock::monotonic_ns();
    worker.send(5, b"echo hello");
    let done = worker.expect_done(5);
    assert_eq!(
        (done.raised, done.stream.as_slice()),
        (false, b"echo hello".as_slice())
    );
    assert_eq!((done.buffers.len(), done.segment), (0, None));
    assert!(done.run_ns <= clock::monotonic_ns() - before_ns);
}

fn an_exception_is_marked(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    worker.send(1, b"raise");
    let done = worker.expect_done(1);
    assert_eq!(
        (done.raised, done.stream.as_slice()),
        (true, b"raised".as_slice())
    );
}

fn tasks_keep_their_order(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    for task in 1..=40 {
        worker.send(task, format!("echo {task}").as_bytes());
    }
    for task in 1..=40 {
        assert_eq!(
            worker.expect_done(task).stream,
            format!("echo {task}").as_bytes()
        );
    }
}

fn a_revoked_task_never_runs(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    let ticket = worker.ledger.publish(60, 1, 1).unwrap();
    assert!(worker.ledger.revoke(ticket));
    worker.say_task(1, ticket, b"exit 9", &[]);
    worker.send(2, b"echo");
    let revoked = worker.link.expect(Kind::Revoked).header;
    assert_eq!((revoked.task, revoked.attempt, revoked.aux), (1, 1, 60));
    assert_eq!(worker.expect_done(2).stream, b"echo");
    assert_eq!(worker.ledger.view(60).unwrap().state, SlotState::Revoked);
}

fn a_running_task_is_seen_in_the_ledger(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let mut worker = family.spawn_with(1, b"", &[(&writer, WITNESS)]);
    let before_ns = clock::monotonic_ns();
    let running = worker.send(1, b"hang");
    let waiting = worker.send(2, b"echo");
    witness.expect(b'h');
    family.kill(1, signal::SIGKILL);
    family.expect_exited(1);
    let view = worker.ledger.view(running.slot).unwrap();
    assert_eq!(
        (view.state, view.task, view.attempt),
        (SlotState::Running, 1, 1)
    );
    assert!((before_ns..=clock::monotonic_ns()).contains(&view.started_ns));
    assert_eq!(
        worker.ledger.view(waiting.slot).unwrap().state,
        SlotState::Queued
    );
}

fn asking_and_answering_twice_is_once(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    assert_eq!(worker.ask(1, "twice"), b"once");
    assert_eq!(worker.ask(2, "echo"), b"echo");
}

fn a_foreign_answer_is_refused(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    assert_eq!(worker.ask(6, "foreign"), b"NotHeld { task: 7, attempt: 1 }");
}

fn leaving_comes_after_earlier_tasks(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    worker.send(1, b"echo 1");
    worker.send(2, b"echo 2");
    worker.link.say(&Header::bare(Kind::Leave, 0), b"", &[]);
    assert_eq!(worker.expect_done(1).stream, b"echo 1");
    assert_eq!(worker.expect_done(2).stream, b"echo 2");
    worker.link.expect_end();
    let exit = family.expect_exited(1);
    assert_eq!(
        (exit.status.exited(), exit.body.killed_on_request),
        (Some(0), false)
    );
}

fn a_waiting_worker_lets_signal_handlers_run(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let mut worker = family.spawn_with(1, b"", &[(&writer, WITNESS)]);
    drop(writer);
    // A signal that comes before the worker waits interrupts nothing, so it is sent until one does.
    let hang_at_ns = clock::monotonic_ns() + HANG_NS;
    while !witness.comes_within(10_000_000) {
        assert!(
            clock::monotonic_ns() < hang_at_ns,
            "no signal interrupts the worker"
        );
        family.kill(1, signal::SIGUSR1);
    }
    witness.expect(b'i');
    assert_eq!(worker.ask(1, "echo"), b"echo");
}

fn a_worker_ends_with_its_socket(setting: Setting) {
    let mut family = Family::start(setting);
    drop(family.spawn(1));
    assert_eq!(family.expect_exited(1).status.exited(), Some(0));
}

fn a_broken_protocol_ends_the_worker_alone(setting: Setting) {
    let mut family = Family::start(setting);
    let worker = family.spawn(1);
    let mut other = family.spawn(2);
    socket::send(&worker.link.socket, &[IoSlice::new(&[0xff; 24])], &[]).unwrap();
    assert_eq!(family.expect_exited(1).status.exited(), Some(70));
    assert_eq!(other.ask(1, "echo"), b"echo");
}
