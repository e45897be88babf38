//! A worker and its zygote that die within a moment of each other: whom the worker left ends all the same.

use std::os::fd::OwnedFd;

use loky_engine::ShutdownMode;
use loky_sys::poll::{Interest, poll};
use loky_sys::{pidfd, process, signal};

use crate::Test;
use crate::owner::{Owner, Setting, name};

pub const TESTS: &[Test] = &[
    ("strays_end_with_the_zygote", strays_end_with_the_zygote),
    (
        "strays_end_with_the_zygote_of_a_pool_that_breaks",
        strays_end_with_the_zygote_of_a_pool_that_breaks,
    ),
    ("whom_a_task_lets_live_lives", whom_a_task_lets_live_lives),
    (
        "strays_end_with_a_zygote_that_dies_at_shutdown",
        strays_end_with_a_zygote_that_dies_at_shutdown,
    ),
];

/// What the specification allows.
const PROMISED_NS: u64 = 2_000_000_000;

struct Strays {
    watched: Vec<OwnedFd>,
    zygote: i32,
    zygote_killed: bool,
}

impl Drop for Strays {
    fn drop(&mut self) {
        if !self.zygote_killed {
            // A test that has failed leaves nobody stopped.
            process::kill(self.zygote, signal::SIGKILL).unwrap();
        }
    }
}

impl Strays {
    /// A worker is killed while its zygote is stopped: its children have gone to the zygote, which does nothing.
    fn leave(owner: &mut Owner) -> Self {
        let task = owner.submit("pid");
        let worker = watch(&owner.value(task));
        let task = owner.submit("strays");
        let strays = owner.value(task);
        let watched: Vec<OwnedFd> = strays.split(' ').map(watch).collect();
        let zygote = Owner::zygote_pid();
        process::kill(zygote, signal::SIGSTOP).unwrap();
        let left = Self {
            watched,
            zygote,
            zygote_killed: false,
        };
        while usage_of(zygote) != loky_sys::usage::RunState::Stopped {
            std::thread::yield_now();
        }
        for pid in process::children_of(zygote).unwrap() {
            process::kill(pid, signal::SIGKILL).unwrap();
        }
        assert!(is_over(&worker, u64::MAX));
        for stray in &left.watched {
            assert!(!is_over(stray, 0), "it has ended before its time");
        }
        let orphans = process::children_of(zygote).unwrap();
        for pid in strays.split(' ') {
            assert!(orphans.contains(&pid.parse().unwrap()), "{orphans:?}");
        }
        left
    }

    fn kill_zygote(&mut self) {
        process::kill(self.zygote, signal::SIGKILL).unwrap();
        self.zygote_killed = true;
    }

    fn expect_gone(&self) {
        for stray in &self.watched {
            assert!(is_over(stray, PROMISED_NS), "a stray lives on");
        }
    }
}

fn watch(pid: &str) -> OwnedFd {
    pidfd::open(pid.parse().unwrap()).unwrap().unwrap()
}

fn is_over(process: &OwnedFd, timeout_ns: u64) -> bool {
    let mut interests = [Interest::new(
        std::os::fd::AsFd::as_fd(process),
        true,
        false,
    )];
    poll(&mut interests, Some(timeout_ns.min(60_000_000_000))).unwrap() == 1
}

fn usage_of(pid: i32) -> loky_sys::usage::RunState {
    loky_sys::usage::activity(pid).unwrap().state
}

fn strays_end_with_the_zygote(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let mut strays = Strays::leave(&mut owner);
    let next = owner.submit("sign");
    strays.kill_zygote();
    strays.expect_gone();
    assert_eq!(owner.value(next), "signed");
    owner.shut_down(ShutdownMode::Drain);
}

fn strays_end_with_the_zygote_of_a_pool_that_breaks(setting: Setting) {
    let mut owner = Owner::breaking(setting, 1);
    let mut strays = Strays::leave(&mut owner);
    let next = owner.submit("sign");
    strays.kill_zygote();
    assert_eq!(name(&owner.end(next)), "broken");
    strays.expect_gone();
    owner.shut_down(ShutdownMode::Drain);
}

/// Who is told that the pool has ended may rely on it.
fn strays_end_with_a_zygote_that_dies_at_shutdown(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let mut strays = Strays::leave(&mut owner);
    owner.pool.shut_down(ShutdownMode::Kill).unwrap();
    strays.kill_zygote();
    owner.pump(|owner| owner.stopped);
    for stray in &strays.watched {
        assert!(is_over(stray, 0), "a stray outlives the pool");
    }
    owner.shut_down(ShutdownMode::Kill);
}

/// And what is below him, whatever became of its environment.
fn whom_a_task_lets_live_lives(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let task = owner.submit("spare");
    let spared: i32 = owner.value(task).parse().unwrap();
    let below = loop {
        // The shell has it at once; it is another program a moment later.
        let children = process::children_of(spared).unwrap();
        let asleep = |pid: &i32| !process::was_given(*pid, &variable()).unwrap();
        if let Some(child) = children.into_iter().find(asleep) {
            break child;
        }
        std::thread::yield_now();
    };
    let mut strays = Strays::leave(&mut owner);
    let living = [spared, below].map(|pid| watch(&pid.to_string()));
    strays.kill_zygote();
    strays.expect_gone();
    // The pool's end waits for the last look.
    owner.shut_down(ShutdownMode::Kill);
    for process in &living {
        assert!(!is_over(process, 0), "whom a task lets live is dead");
    }
    for pid in [spared, below] {
        process::kill(pid, signal::SIGKILL).unwrap();
    }
}

fn variable() -> String {
    format!(
        "{}={}",
        loky_sys::lifeline::LET_LIVE_VARIABLE,
        Owner::zygote_pid()
    )
}
