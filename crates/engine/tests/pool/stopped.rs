//! Somebody stops the zygote or a worker (SIGSTOP) and nobody continues it.

use loky_core::ids::TaskId;
use loky_engine::front::TaskEnd;
use loky_engine::report::Cause;
use loky_engine::{ShutdownMode, TaskOptions};
use loky_sys::{process, signal};

use crate::Test;
use crate::owner::{Owner, Setting, name};

pub const TESTS: &[Test] = &[
    (
        "killing_does_not_wait_for_a_stopped_family",
        killing_does_not_wait_for_a_stopped_family,
    ),
    (
        "a_break_does_not_wait_for_a_stopped_zygote",
        a_break_does_not_wait_for_a_stopped_zygote,
    ),
    (
        "a_pool_drains_although_its_zygote_is_stopped",
        a_pool_drains_although_its_zygote_is_stopped,
    ),
    (
        "a_stopped_zygote_makes_the_workers_that_are_wanted",
        a_stopped_zygote_makes_the_workers_that_are_wanted,
    ),
    (
        "a_deadline_is_kept_by_a_stopped_family",
        a_deadline_is_kept_by_a_stopped_family,
    ),
    (
        "a_signal_for_the_end_reaches_a_stopped_worker",
        a_signal_for_the_end_reaches_a_stopped_worker,
    ),
];

/// Stops a process, and sees that it is.
fn stop(pid: i32) {
    process::kill(pid, signal::SIGSTOP).unwrap();
    while state_of(pid) != Some('T') {
        std::thread::yield_now();
    }
}

fn state_of(pid: i32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

/// A pool whose workers all hang.
fn hanging(owner: &mut Owner, workers: usize) -> Vec<TaskId> {
    let tasks: Vec<TaskId> = (0..workers).map(|_| owner.submit("hang")).collect();
    for _ in 0..workers {
        assert_eq!(owner.sign(), b'h');
    }
    tasks
}

fn worker_pids(owner: &Owner) -> Vec<i32> {
    let workers = owner.pool.workers();
    workers.iter().map(|worker| worker.pid).collect()
}

fn killing_does_not_wait_for_a_stopped_family(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let running = hanging(&mut owner, 2);
    let waiting = owner.submit("sign");
    let workers = worker_pids(&owner);
    stop(Owner::zygote_pid());
    stop(workers[0]);
    owner.shut_down(ShutdownMode::Kill);
    for task in running.into_iter().chain([waiting]) {
        assert_eq!(name(&owner.end(task)), "shut down");
    }
    assert_eq!(workers.len(), 2);
    for pid in workers {
        assert_eq!(state_of(pid), None, "worker {pid} outlives its pool");
    }
    assert!(owner.is_quiet());
}

fn a_break_does_not_wait_for_a_stopped_zygote(setting: Setting) {
    let mut owner = Owner::breaking(setting, 2);
    let running = hanging(&mut owner, 2);
    let workers = worker_pids(&owner);
    stop(Owner::zygote_pid());
    stop(workers[1]);
    process::kill(workers[0], signal::SIGKILL).unwrap();
    let ends: Vec<&str> = running
        .into_iter()
        .map(|task| name(&owner.end(task)))
        .collect();
    assert!(
        ends.contains(&"died") && ends.contains(&"broken"),
        "{ends:?}"
    );
    owner.shut_down(ShutdownMode::Drain);
    for pid in workers {
        assert_eq!(state_of(pid), None, "worker {pid} outlives its pool");
    }
}

fn a_pool_drains_although_its_zygote_is_stopped(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let task = owner.submit("pid");
    owner.value(task);
    stop(Owner::zygote_pid());
    let task = owner.submit("echo 1");
    assert_eq!(owner.value(task), "echo 1");
    owner.shut_down(ShutdownMode::Drain);
}

fn a_stopped_zygote_makes_the_workers_that_are_wanted(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let task = owner.submit("pid");
    let first: i32 = owner.value(task).parse().unwrap();
    stop(Owner::zygote_pid());
    process::kill(first, signal::SIGKILL).unwrap();
    let task = owner.submit("pid");
    assert_ne!(owner.value(task), first.to_string());
    assert_eq!(owner.broke, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_deadline_is_kept_by_a_stopped_family(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let hanging = owner.submit_asking(
        "hang",
        TaskOptions {
            timeout_ns: Some(200_000_000),
            ..TaskOptions::default()
        },
    );
    let waiting = owner.submit("sign");
    assert_eq!(owner.sign(), b'h');
    stop(Owner::zygote_pid());
    for pid in worker_pids(&owner) {
        stop(pid);
    }
    let TaskEnd::TimedOut(report) = owner.end(hanging) else {
        panic!("it did not run out of time")
    };
    assert_eq!((report.cause, report.started), (Cause::TimedOut, true));
    assert_eq!(owner.value(waiting), "signed");
    owner.shut_down(ShutdownMode::Drain);
}

fn a_signal_for_the_end_reaches_a_stopped_worker(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let running = hanging(&mut owner, 1);
    let workers = worker_pids(&owner);
    stop(Owner::zygote_pid());
    stop(workers[0]);
    let term = signal::SIGTERM.unsigned_abs();
    assert!(owner.pool.signal(workers[0], term).unwrap());
    let TaskEnd::Died(report) = owner.end(running[0]) else {
        panic!("it did not die")
    };
    assert_eq!(report.cause, Cause::Killed);
    assert_eq!(report.signal, Some(signal::SIGTERM));
    owner.shut_down(ShutdownMode::Drain);
}
