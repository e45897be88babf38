//! Marks: what a process starts has its mark, whatever it does to be rid of its family.
//!
//! Every process of a family holds the write end of one pipe, the lease, as in the tests of the lifeline.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use loky_sys::force::{Switch, is_forced};
use loky_sys::lifeline::{LET_LIVE_VARIABLE, arm_lifeline};
use loky_sys::mark::{self, Mark};
use loky_sys::poll::{Interest, poll};
use loky_sys::spawn::{Spawn, spawn};
use loky_sys::{descriptor, errno, limits, process};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::child::{Child, end_some_day, pipe};
use crate::process::forked;

/// Long enough to be a failure and never waited for.
const NEVER_NS: u64 = 30_000_000_000;

/// Where the processes of a family find their ends.
const LEASE: RawFd = 10;
const REPORT: RawFd = 11;
const GO: RawFd = 12;

pub(crate) fn role(role: &str, args: &[String]) -> bool {
    match role {
        "founder" => found_a_family(),
        "founder_of_workers" => found_workers(args[0] == "spared"),
        "leaving_worker" => leave_an_orphan(false),
        "sparing_worker" => leave_an_orphan(true),
        "staying_worker" => stay(),
        "full_table" => see_nothing(),
        "limited" => be_refused(),
        _ => false,
    }
}

/// Nobody is taken for unmarked, or for one that was not let live, because there is no descriptor to ask with.
fn see_nothing() -> bool {
    limits::set_open_files(3).unwrap();
    let parent = process::parent_pid();
    assert!(descriptor::is_table_full(
        &process::was_given(parent, "A=1").unwrap_err()
    ));
    assert!(descriptor::is_table_full(
        &mark::bearers(Mark::new(1, 1)).unwrap_err()
    ));
    true
}

/// The hard limit leaves no room.
fn be_refused() -> bool {
    assert_eq!(mark::is_possible(), !is_forced(Switch::NoMark));
    let limit = Rlimit {
        current: Some(1000),
        maximum: Some(1000),
    };
    setrlimit(Resource::Locks, limit).unwrap();
    assert!(!mark::is_possible());
    assert!(mark::put(process::pid(), Mark::new(process::pid(), 1)).is_err());
    assert_eq!(getrlimit(Resource::Locks), limit);
    true
}

fn stay() -> ! {
    arm_lifeline(process::parent_pid()).unwrap();
    report(process::pid());
    sleep_for_ever()
}

/// The ends that an executed process was given. Nothing closes them before the process ends.
fn borrowed(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: see above.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn report(pid: i32) {
    rustix::io::write(borrowed(REPORT), &pid.to_ne_bytes()).unwrap();
}

fn wait_for_the_mark() {
    assert_eq!(rustix::io::read(borrowed(GO), &mut [0]).unwrap(), 1);
}

fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: the call touches no memory.
        unsafe { libc::pause() };
    }
}

/// A program that knows nothing of all this, and ends after a minute at the latest.
fn executed(environment: &[(std::ffi::OsString, std::ffi::OsString)]) -> i32 {
    let program = std::path::Path::new("/bin/sleep");
    spawn(&Spawn {
        program,
        args: &["60".into()],
        env: Some(environment),
        keep: &[(borrowed(LEASE), LEASE)],
        null_stdin: true,
    })
    .unwrap()
}

/// One that was executed without an environment, and a daemon in a session of its own.
fn found_a_family() -> ! {
    wait_for_the_mark();
    report(executed(&[]));
    forked(|| {
        forked(|| {
            end_some_day();
            rustix::process::setsid().unwrap();
            report(process::pid());
            sleep_for_ever()
        });
        0
    });
    sleep_for_ever()
}

fn found_workers(spared: bool) -> ! {
    wait_for_the_mark();
    let ends = [(borrowed(LEASE), LEASE), (borrowed(REPORT), REPORT)];
    let leaving = if spared {
        "sparing_worker"
    } else {
        "leaving_worker"
    };
    let _workers = [leaving, "staying_worker"].map(|role| Child::start(role, &[], &ends));
    sleep_for_ever()
}

/// A worker whose child, in a session of its own, is nobody's when the worker has been killed.
fn leave_an_orphan(spared: bool) -> ! {
    arm_lifeline(process::parent_pid()).unwrap();
    let variable = (
        LET_LIVE_VARIABLE.into(),
        process::parent_pid().to_string().into(),
    );
    let environment = if spared { vec![variable] } else { Vec::new() };
    let child = executed(&environment);
    report(child);
    process::kill(process::pid(), libc::SIGKILL).unwrap();
    sleep_for_ever()
}

struct Family {
    founder: Child,
    lease: OwnedFd,
    reports: File,
    mark: Mark,
}

impl Family {
    /// `None` where marks are refused.
    fn found(role: &str, args: &[String]) -> Option<Self> {
        let (lease, held) = pipe();
        let (reports, reporter) = pipe();
        let (waits, go) = pipe();
        let keep = [
            (held.as_fd(), LEASE),
            (reporter.as_fd(), REPORT),
            (waits.as_fd(), GO),
        ];
        let founder = Child::start(role, args, &keep);
        let mark = Mark::new(founder.pid, 7);
        let put = mark::put(founder.pid, mark);
        if is_forced(Switch::NoMark) {
            assert_eq!(put.unwrap_err().raw_os_error(), Some(errno::EPERM));
            assert!(mark::bearers(mark).unwrap().is_empty());
            return None;
        }
        put.unwrap();
        rustix::io::write(&go, b"x").unwrap();
        Some(Self {
            founder,
            lease,
            reports: File::from(reports),
            mark,
        })
    }

    fn heard(&mut self) -> i32 {
        let mut number = [0; 4];
        self.reports.read_exact(&mut number).unwrap();
        i32::from_ne_bytes(number)
    }

    fn is_gone(&self, timeout_ns: u64) -> bool {
        let mut interests = [Interest::new(self.lease.as_fd(), true, false)];
        poll(&mut interests, Some(timeout_ns)).unwrap() == 1
    }
}

#[test]
fn a_mark_stays_with_all_that_a_process_starts() {
    let Some(mut family) = Family::found("founder", &[]) else {
        return;
    };
    let (executed, daemon) = (family.heard(), family.heard());
    let mut expected = [family.founder.pid, executed, daemon];
    expected.sort_unstable();
    // The daemon's parent may still be ending.
    let bearers = || {
        let mut bearers = mark::bearers(family.mark).unwrap();
        bearers.sort_unstable();
        bearers
    };
    while bearers() != expected {
        assert!(expected.iter().all(|pid| bearers().contains(pid)));
        std::thread::yield_now();
    }
    for pid in expected {
        assert!(mark::signal(pid, family.mark, libc::SIGKILL).unwrap());
    }
    assert!(family.is_gone(NEVER_NS), "somebody outlived the mark");
    while !bearers().is_empty() {
        std::thread::yield_now();
    }
    // The founder has not been waited for, and is over all the same.
    let founder = family.founder.wait();
    assert_eq!(founder.status.signal(), Some(libc::SIGKILL));
    assert!(!mark::signal(founder.pid, family.mark, libc::SIGKILL).unwrap());
}

#[test]
fn nobody_without_the_mark_is_killed() {
    let Some(mut family) = Family::found("founder", &[]) else {
        return;
    };
    let members = [family.founder.pid, family.heard(), family.heard()];
    for other in [
        Mark::new(family.founder.pid, 9),
        Mark::new(family.founder.pid + 1, 7),
    ] {
        assert!(mark::bearers(other).unwrap().is_empty());
        for pid in members {
            assert!(!mark::signal(pid, other, libc::SIGKILL).unwrap());
        }
    }
    assert!(!mark::signal(process::pid(), family.mark, libc::SIGKILL).unwrap());
    assert!(!family.is_gone(0));
    for pid in mark::bearers(family.mark).unwrap() {
        mark::signal(pid, family.mark, libc::SIGKILL).unwrap();
    }
    assert!(family.is_gone(NEVER_NS));
}

#[test]
fn a_full_table_is_told() {
    assert_eq!(
        Child::start("full_table", &[], &[]).wait().status.exited(),
        Some(0)
    );
}

#[test]
fn a_hard_limit_refuses_marks_and_keeps_its_value() {
    assert_eq!(
        Child::start("limited", &[], &[]).wait().status.exited(),
        Some(0)
    );
}

#[test]
fn only_a_process_can_be_marked() {
    let mark = Mark::new(1, 1);
    for number in [0, -1] {
        assert!(mark::put(number, mark).is_err());
    }
    assert!(!mark::bearers(mark).unwrap().contains(&process::pid()));
}

#[test]
fn a_worker_that_is_left_ends_the_orphans_of_one_that_is_not() {
    let Some(mut family) = Family::found("founder_of_workers", &["killed".to_owned()]) else {
        return;
    };
    let (one, other) = (family.heard(), family.heard());
    wait_for_the_end_of_the_leaving_worker(&family, [one, other]);
    assert!(!family.is_gone(0), "the orphan has ended by itself");
    process::kill(family.founder.pid, libc::SIGKILL).unwrap();
    assert!(family.is_gone(NEVER_NS), "the orphan outlived everybody");
    assert_eq!(family.founder.wait().status.signal(), Some(libc::SIGKILL));
}

#[test]
fn a_worker_that_is_left_spares_whom_a_task_lets_live() {
    let Some(mut family) = Family::found("founder_of_workers", &["spared".to_owned()]) else {
        return;
    };
    let members = [family.heard(), family.heard()];
    wait_for_the_end_of_the_leaving_worker(&family, members);
    process::kill(family.founder.pid, libc::SIGKILL).unwrap();
    // Of the two that reported, the worker ends and the other stays.
    let living = || {
        let bearers = mark::bearers(family.mark).unwrap();
        members.into_iter().filter(move |pid| bearers.contains(pid))
    };
    while living().count() > 1 {
        std::thread::yield_now();
    }
    let (Some(spared), None) = (living().next(), living().nth(1)) else {
        panic!("the spared one was ended");
    };
    let variable = format!("{LET_LIVE_VARIABLE}={}", family.founder.pid);
    assert!(process::was_given(spared, &variable).unwrap());
    assert!(!family.is_gone(0));
    assert!(mark::signal(spared, family.mark, libc::SIGKILL).unwrap());
    assert!(family.is_gone(NEVER_NS));
}

/// Until the founder, the orphan and the staying worker are all that is left.
fn wait_for_the_end_of_the_leaving_worker(family: &Family, members: [i32; 2]) {
    loop {
        let bearers = mark::bearers(family.mark).unwrap();
        assert!(members.iter().all(|pid| bearers.contains(pid)));
        if bearers.len() == 3 {
            return;
        }
        std::thread::yield_now();
    }
}
