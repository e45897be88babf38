//! Tasks, cancellation, sizes and ends, as long as nothing dies.

use loky_engine::ShutdownMode;
use loky_engine::error::EngineError;
use loky_engine::front::{TaskEnd, TaskPayload};
use loky_sys::fork::{Fork, fork};
use loky_sys::process;

use crate::Test;
use crate::owner::{Owner, PATIENCE, Setting, name};

pub const TESTS: &[Test] = &[
    ("tasks_are_answered", tasks_are_answered),
    (
        "nothing_starts_before_the_first_task",
        nothing_starts_before_the_first_task,
    ),
    (
        "all_workers_have_processes_once_spawned",
        all_workers_have_processes_once_spawned,
    ),
    (
        "an_exception_is_told_from_a_value",
        an_exception_is_told_from_a_value,
    ),
    (
        "a_task_that_has_not_begun_is_cancelled_and_never_runs",
        a_cancelled_task_never_runs,
    ),
    (
        "a_task_that_has_begun_is_not_cancelled",
        a_begun_task_is_not_cancelled,
    ),
    ("resizing_takes_effect", resizing_takes_effect),
    (
        "draining_executes_what_was_accepted",
        draining_executes_what_was_accepted,
    ),
    (
        "killing_ends_what_is_unfinished",
        killing_ends_what_is_unfinished,
    ),
    (
        "idle_workers_retire_and_come_back",
        idle_workers_retire_and_come_back,
    ),
    (
        "a_worker_that_leaves_for_memory_is_replaced",
        a_leaving_worker_is_replaced,
    ),
    ("a_fork_is_refused", a_fork_is_refused),
];

fn tasks_are_answered(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let tasks: Vec<_> = (0..200)
        .map(|number| (number, owner.submit(&format!("echo {number}"))))
        .collect();
    for (number, task) in tasks {
        assert_eq!(owner.value(task), format!("echo {number}"));
    }
    owner.shut_down(ShutdownMode::Drain);
}

fn nothing_starts_before_the_first_task(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    assert!(!process::has_children().unwrap());
    owner.shut_down(ShutdownMode::Drain);
}

fn all_workers_have_processes_once_spawned(setting: Setting) {
    let mut owner = Owner::new(setting, 3);
    let task = owner.submit("pid");
    assert!(owner.pool.wait_spawned(PATIENCE).unwrap());
    let pids: Vec<i32> = owner
        .pool
        .workers()
        .iter()
        .map(|worker| worker.pid)
        .collect();
    assert_eq!(pids.len(), 3);
    let answered: i32 = owner.value(task).parse().unwrap();
    assert!(pids.contains(&answered));
    owner.shut_down(ShutdownMode::Drain);
}

fn an_exception_is_told_from_a_value(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let task = owner.submit("raise");
    assert_eq!(name(&owner.end(task)), "raised");
    owner.shut_down(ShutdownMode::Drain);
}

fn a_cancelled_task_never_runs(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let busy = owner.submit("hang");
    assert_eq!(owner.sign(), b'h');
    let waiting: Vec<_> = (0..50).map(|_| owner.submit("sign")).collect();
    for task in waiting {
        assert!(owner.pool.cancel(task).unwrap());
        assert!(!owner.pool.cancel(task).unwrap(), "it is over");
        assert_eq!(name(&owner.end(task)), "cancelled");
    }
    assert!(owner.pool.has_started(busy));
    owner.shut_down(ShutdownMode::Kill);
    assert!(owner.is_quiet());
}

fn a_begun_task_is_not_cancelled(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let busy = owner.submit("hang");
    assert_eq!(owner.sign(), b'h');
    assert!(!owner.pool.cancel(busy).unwrap());
    owner.shut_down(ShutdownMode::Kill);
    assert_eq!(name(&owner.end(busy)), "shut down");
}

fn resizing_takes_effect(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let task = owner.submit("echo 1");
    owner.value(task);
    for workers in [4_u32, 2, 3] {
        owner.pool.resize(workers).unwrap();
        owner.answer_setup();
        assert!(owner.pool.wait_resized(PATIENCE).unwrap());
        assert_eq!(
            owner.pool.workers().len(),
            usize::try_from(workers).unwrap()
        );
    }
    assert!(matches!(
        owner.pool.resize(0),
        Err(EngineError::Config { .. })
    ));
    owner.shut_down(ShutdownMode::Drain);
}

fn draining_executes_what_was_accepted(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let tasks: Vec<_> = (0..100).map(|_| owner.submit("sign")).collect();
    owner.shut_down(ShutdownMode::Drain);
    for task in tasks {
        assert_eq!(owner.value(task), "signed");
        assert_eq!(owner.sign(), b's');
    }
    let refused = owner.pool.submit(TaskPayload {
        stream: b"echo".to_vec(),
        buffers: Vec::new(),
    });
    assert!(matches!(refused, Err(EngineError::ShutDown)));
}

fn killing_ends_what_is_unfinished(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let running = [owner.submit("hang"), owner.submit("hang")];
    owner.sign();
    owner.sign();
    let waiting = owner.submit("sign");
    owner.shut_down(ShutdownMode::Kill);
    for task in running.into_iter().chain([waiting]) {
        assert_eq!(name(&owner.end(task)), "shut down");
    }
    assert!(owner.is_quiet());
}

fn idle_workers_retire_and_come_back(setting: Setting) {
    let mut config = setting.config(2);
    config.core.idle_timeout_ns = Some(1_000_000);
    let mut owner = Owner::with(config);
    for _ in 0..3 {
        let task = owner.submit("pid");
        owner.value(task);
        owner.wait_gone(2);
        assert!(owner.pool.workers().is_empty());
    }
    assert_eq!(owner.broke, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_leaving_worker_is_replaced(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let first = owner.submit("leave");
    let second = owner.submit("pid");
    let (first, second) = (owner.value(first), owner.value(second));
    assert_ne!(first, second);
    assert_eq!(owner.broke, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_fork_is_refused(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let task = owner.submit("echo 1");
    owner.value(task);
    // SAFETY: the child calls nothing but the pool's refusal and the exit: no lock that another
    // thread may hold.
    match unsafe { fork() }.unwrap() {
        Fork::Child => {
            let payload = TaskPayload {
                stream: Vec::new(),
                buffers: Vec::new(),
            };
            let refused = matches!(owner.pool.submit(payload), Err(EngineError::Forked))
                && matches!(
                    owner.pool.shut_down(ShutdownMode::Kill),
                    Err(EngineError::Forked)
                )
                && owner.pool.workers().is_empty();
            drop(owner);
            process::exit_now(i32::from(!refused));
        }
        Fork::Parent(pid) => {
            let reaped = process::wait_pid(pid, true).unwrap().unwrap();
            assert_eq!(reaped.status.exited(), Some(0));
        }
    }
    let task = owner.submit("echo 2");
    assert!(matches!(owner.end(task), TaskEnd::Value(_)));
    owner.shut_down(ShutdownMode::Drain);
}
