//! The lifeline: when the middle process is killed, nothing below it is left.
//!
//! Every process of a family holds the write end of one pipe, the lease. Its end of file proves that
//! all of them are gone; that it is still open, and that each of them has reported, proves that they
//! were there.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use loky_sys::lifeline::{LIFELINE_SIGNAL, arm_lifeline};
use loky_sys::poll::{Interest, poll};
use loky_sys::{errno, limits, pidfd, process};

use crate::child::{Child, end_some_day, pipe, succeed};
use crate::process::forked;

/// Long enough to be a failure and never waited for.
const NEVER_NS: u64 = 30_000_000_000;

/// Where the processes of a family find their ends.
const LEASE: RawFd = 10;
const REPORT: RawFd = 11;

pub(crate) fn role(role: &str, args: &[String]) -> bool {
    match role {
        "middle" => start_worker_and_wait(&args[0]),
        "busy_worker" => lead_a_family(busy_loop),
        "full_worker" => lead_a_family(fill_the_table),
        "lonely_worker" => {
            arm();
            report();
            busy_loop()
        }
        "forking_worker" => lead_a_growing_family(),
        "many_children_worker" => lead_a_large_family(),
        "wrong_parent" => {
            let refused = arm_lifeline(1 << 22).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(errno::ESRCH));
        }
        "false_alarm" => survive_false_alarms(),
        "thread_of_parent" => survive_the_end_of_the_parents_thread(),
        _ => return false,
    }
    true
}

/// The ends that an executed process was given. Nothing closes them before the process ends.
fn borrowed(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: see above.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn report() {
    rustix::io::write(borrowed(REPORT), &process::pid().to_ne_bytes()).unwrap();
}

fn arm() {
    arm_lifeline(process::parent_pid()).unwrap();
    process::set_child_subreaper().unwrap();
}

fn busy_loop() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: the call touches no memory.
        unsafe { libc::pause() };
    }
}

fn start_worker(role: &str) -> Child {
    Child::start(
        role,
        &[],
        &[(borrowed(LEASE), LEASE), (borrowed(REPORT), REPORT)],
    )
}

fn start_worker_and_wait(role: &str) -> ! {
    let _worker = start_worker(role);
    report();
    sleep_for_ever()
}

/// Children of all kinds, below a worker that does `work` for ever.
fn lead_a_family(work: fn() -> !) -> ! {
    arm();
    // A child, its child in a session of its own, and a daemon whose parent has ended.
    forked(|| {
        report();
        forked(|| {
            rustix::process::setsid().unwrap();
            report();
            forked(|| {
                forked(|| {
                    rustix::process::setsid().unwrap();
                    report();
                    sleep_for_ever()
                });
                0
            });
            sleep_for_ever()
        });
        sleep_for_ever()
    });
    // A stubborn one, which leaves only its own alarm open.
    forked(|| {
        for signal in (1..=64).filter(|signal| *signal != libc::SIGALRM) {
            // SAFETY: the disposition is no function.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        report();
        busy_loop()
    });
    // One that has ended and that nobody has waited for.
    forked(|| 0);
    report();
    work()
}

/// The middle process, the worker and the four of its family that stay.
const FAMILY: usize = 6;

/// No descriptor is free when the signal comes, and there are more processes than one read of
/// `/proc` tells.
fn fill_the_table() -> ! {
    for _ in 0..300 {
        forked(|| sleep_for_ever());
    }
    limits::set_open_files(64).unwrap();
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    assert!(held.len() > 40);
    report();
    sleep_for_ever()
}

/// Another thread forks as fast as it can while the signal comes.
fn lead_a_growing_family() -> ! {
    arm();
    let growing = std::thread::spawn(|| {
        // Bounded, so that a lifeline that fails does not drown the machine.
        for number in 0..2000 {
            // SAFETY: the child calls nothing but system calls.
            match unsafe { libc::fork() } {
                0 => {
                    end_some_day();
                    sleep_for_ever();
                }
                -1 => break,
                _ if number == 10 => report(),
                _ => {}
            }
        }
    });
    growing.join().unwrap();
    sleep_for_ever()
}

/// How many children one walk cannot look below, for it has no place to remember them.
const LATE: usize = 50;

/// More than one walk remembers; those that it cannot remember have children of their own.
fn lead_a_large_family() -> ! {
    arm();
    for _ in 0..1024 {
        forked(|| sleep_for_ever());
    }
    for _ in 0..LATE {
        forked(|| {
            forked(|| {
                report();
                sleep_for_ever()
            });
            sleep_for_ever()
        });
    }
    report();
    sleep_for_ever()
}

struct Family {
    middle: Child,
    lease: OwnedFd,
    members: Vec<i32>,
}

impl Family {
    /// Starts a middle process with a worker; waits until so many have reported.
    fn start(middle: &str, worker: &str, members: usize) -> Self {
        let (lease, held) = pipe();
        let (reports, reporter) = pipe();
        let keep = [(held.as_fd(), LEASE), (reporter.as_fd(), REPORT)];
        let middle = Child::start(middle, &[worker.to_owned()], &keep);
        drop(held);
        drop(reporter);
        let mut reports = File::from(reports);
        let members = (0..members).map(|_| {
            let mut number = [0; 4];
            reports.read_exact(&mut number).unwrap();
            i32::from_ne_bytes(number)
        });
        Self {
            middle,
            lease,
            members: members.collect(),
        }
    }

    fn is_gone(&self, timeout_ns: u64) -> bool {
        let mut interests = [Interest::new(self.lease.as_fd(), true, false)];
        poll(&mut interests, Some(timeout_ns)).unwrap() == 1
    }

    /// Kills the middle process; demands that everybody ends, and had been there before.
    fn must_end_with_the_middle(self) {
        let watched: Vec<OwnedFd> = self
            .members
            .iter()
            .filter_map(|pid| pidfd::open(*pid).expect("a member is gone already"))
            .collect();
        for pid in &self.members {
            process::kill(*pid, 0).expect("a member is gone already");
        }
        assert!(
            !self.is_gone(0),
            "the family has ended before anything was done to it"
        );
        process::kill(self.middle.pid, libc::SIGKILL).unwrap();
        assert!(
            self.is_gone(NEVER_NS),
            "somebody outlived the middle process"
        );
        assert_eq!(rustix::io::read(&self.lease, &mut [0; 8]).unwrap(), 0);
        for member in &watched {
            assert_eq!(
                poll(
                    &mut [Interest::new(member.as_fd(), true, false)],
                    Some(NEVER_NS)
                )
                .unwrap(),
                1
            );
        }
        assert_eq!(self.middle.wait().status.signal(), Some(libc::SIGKILL));
    }
}

#[test]
fn a_busy_worker_and_its_whole_family_die_with_the_middle_process() {
    let family = Family::start("middle", "busy_worker", FAMILY);
    family.must_end_with_the_middle();
}

#[test]
fn a_worker_without_children_dies_too() {
    Family::start("middle", "lonely_worker", 2).must_end_with_the_middle();
}

#[test]
fn a_full_table_saves_nobody() {
    Family::start("middle", "full_worker", FAMILY + 1).must_end_with_the_middle();
}

#[test]
fn a_thread_that_forks_meanwhile_saves_nobody() {
    Family::start("middle", "forking_worker", 2).must_end_with_the_middle();
}

#[test]
fn a_family_that_is_larger_than_one_walk_dies() {
    Family::start("middle", "many_children_worker", 2 + LATE).must_end_with_the_middle();
}

#[test]
fn a_parent_that_is_gone_already_is_told() {
    succeed("wrong_parent");
}

#[test]
fn false_alarms_change_nothing() {
    succeed("false_alarm");
}

/// The signal from anybody but the kernel, while the parent lives.
fn survive_false_alarms() {
    let (reader, writer) = pipe();
    let armed = forked(|| {
        arm_lifeline(process::parent_pid()).unwrap();
        for _ in 0..3 {
            process::kill(process::pid(), LIFELINE_SIGNAL).unwrap();
        }
        rustix::io::write(&writer, b"x").unwrap();
        0
    });
    assert_eq!(rustix::io::read(&reader, &mut [0]).unwrap(), 1);
    assert_eq!(
        process::wait_pid(armed, true)
            .unwrap()
            .unwrap()
            .status
            .exited(),
        Some(0)
    );
}

#[test]
fn the_end_of_a_mere_thread_of_the_parent_changes_nothing() {
    succeed("thread_of_parent");
}

/// The kernel sends the signal when the thread that made the process ends, though its process lives.
fn survive_the_end_of_the_parents_thread() {
    let (armed, arms) = pipe();
    let (go, goes) = pipe();
    let (armed_of_child, go_of_child) = (arms.as_fd(), go.as_fd());
    let pid = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let pid = forked(|| {
                arm_lifeline(process::parent_pid()).unwrap();
                rustix::io::write(armed_of_child, b"x").unwrap();
                rustix::io::retry_on_intr(|| rustix::io::read(go_of_child, &mut [0])).unwrap();
                7
            });
            rustix::io::read(&armed, &mut [0]).unwrap();
            pid
        });
        thread.join().unwrap()
    });
    // The join above returns when the thread has ended for the program; for the kernel it has when
    // it is not counted any more.
    while process::thread_count().unwrap() > 1 {
        std::thread::yield_now();
    }
    rustix::io::write(&goes, b"x").unwrap();
    assert_eq!(
        process::wait_pid(pid, true)
            .unwrap()
            .unwrap()
            .status
            .exited(),
        Some(7)
    );
}
