//! Waiting: wake-ups, polls, pidfds, interruptions, clocks and signal names.

use std::io::ErrorKind;
use std::os::fd::AsFd;

use loky_sys::force::{Switch, is_forced};
use loky_sys::poll::{Interest, Ready, poll};
use loky_sys::wake::Wake;
use loky_sys::{clock, errno, pidfd, process, signal, socket};

use crate::child::{Child, pipe, succeed};

/// Long enough to be a failure and never waited for.
const NEVER_NS: u64 = 30_000_000_000;

pub(crate) fn role(role: &str, _args: &[String]) -> bool {
    match role {
        "interrupted" => interrupt_each_wait(),
        "dispositions" => change_dispositions(),
        _ => return false,
    }
    true
}

const NOTHING: Ready = Ready {
    readable: false,
    writable: false,
    ended: false,
};

fn is_ringing(wake: &Wake) -> bool {
    let mut interests = [Interest::new(wake.as_fd(), true, false)];
    poll(&mut interests, Some(0)).unwrap();
    interests[0].ready.readable
}

#[test]
fn a_bell_rings_until_it_is_drained() {
    let wake = Wake::new().unwrap();
    assert!(!is_ringing(&wake));
    wake.drain();
    wake.ring();
    wake.ring();
    assert!(is_ringing(&wake));
    wake.drain();
    assert!(!is_ringing(&wake));
    wake.ring();
    assert!(is_ringing(&wake));
}

#[test]
fn a_bell_that_nobody_drains_can_be_rung_for_ever() {
    let wake = Wake::new().unwrap();
    // More than the bytes that a pipe holds.
    for _ in 0..200_000 {
        wake.ring();
    }
    assert!(is_ringing(&wake));
    wake.drain();
    assert!(!is_ringing(&wake));
}

#[test]
fn a_bell_wakes_a_poll_of_another_thread() {
    let wake = Wake::new().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            poll(
                &mut [Interest::new(wake.as_fd(), true, false)],
                Some(NEVER_NS),
            )
            .unwrap()
        });
        wake.ring();
        assert_eq!(waiter.join().unwrap(), 1);
    });
}

#[test]
fn a_bell_is_a_pipe_where_that_is_forced() {
    assert_eq!(Wake::new().unwrap().is_pipe(), is_forced(Switch::NoEventfd));
}

#[test]
fn a_poll_that_finds_nothing_ends_with_its_time() {
    let (one, _other) = socket::pair().unwrap();
    let mut interests = [Interest::new(one.as_fd(), true, false)];
    for timeout_ns in [0, 1, 1_000_000] {
        interests[0].ready = Ready {
            readable: true,
            writable: true,
            ended: true,
        };
        assert_eq!(poll(&mut interests, Some(timeout_ns)).unwrap(), 0);
        assert_eq!(interests[0].ready, NOTHING, "an old answer was left");
    }
    assert_eq!(poll(&mut [], Some(0)).unwrap(), 0);
}

#[test]
fn a_poll_answers_for_each_descriptor_alone() {
    let (one, other) = socket::pair().unwrap();
    let (silent, _keeps_it_open) = socket::pair().unwrap();
    let (ended, gone) = socket::pair().unwrap();
    drop(gone);
    socket::send(&other, &[std::io::IoSlice::new(b"x")], &[]).unwrap();
    let mut interests = [
        Interest::new(one.as_fd(), true, true),
        Interest::new(silent.as_fd(), true, false),
        Interest::new(ended.as_fd(), false, false),
    ];
    assert_eq!(poll(&mut interests, None).unwrap(), 2);
    assert_eq!(
        interests[0].ready,
        Ready {
            readable: true,
            writable: true,
            ended: false
        }
    );
    assert_eq!(interests[1].ready, NOTHING);
    assert_eq!(
        interests[2].ready,
        Ready {
            ended: true,
            ..NOTHING
        }
    );
    assert!(interests[2].ready.any() && !interests[1].ready.any());
}

#[test]
fn a_time_that_no_clock_reaches_is_for_ever() {
    let wake = Wake::new().unwrap();
    wake.ring();
    assert_eq!(
        poll(
            &mut [Interest::new(wake.as_fd(), true, false)],
            Some(u64::MAX)
        )
        .unwrap(),
        1
    );
}

#[test]
fn a_pidfd_tells_the_end_of_a_process() {
    let child = Child::start("wait_for_ever", &[], &[]);
    let opened = pidfd::open(child.pid).unwrap();
    assert_eq!(opened.is_none(), is_forced(Switch::NoPidfd));
    let Some(descriptor) = opened else { return };
    let mut interests = [Interest::new(descriptor.as_fd(), true, false)];
    assert_eq!(poll(&mut interests, Some(0)).unwrap(), 0);
    process::kill(child.pid, libc::SIGKILL).unwrap();
    assert_eq!(poll(&mut interests, Some(NEVER_NS)).unwrap(), 1);
    assert!(interests[0].ready.readable);
    let gone = child.pid;
    child.wait();
    assert_eq!(
        pidfd::open(gone).unwrap_err().raw_os_error(),
        Some(errno::ESRCH)
    );
}

#[test]
fn a_number_that_is_no_process_has_no_pidfd() {
    for pid in [0, -1, i32::MIN] {
        assert_eq!(
            pidfd::open(pid).unwrap_err().raw_os_error(),
            Some(errno::EINVAL)
        );
    }
}

#[test]
fn an_interruption_is_told_and_not_hidden() {
    succeed("interrupted");
}

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// In a role, for the handler and the timer are those of the process.
fn interrupt_each_wait() {
    let handler: extern "C" fn(libc::c_int) = do_nothing;
    // SAFETY: the structures are plain numbers and live for the calls; the handler does nothing. The
    // timer repeats, so that a wait that begins after one signal meets the next.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        assert_eq!(
            libc::sigaction(libc::SIGVTALRM, &raw const action, std::ptr::null_mut()),
            0
        );
    }
    let interrupter = Interrupter::start();
    let (one, _other) = socket::pair().unwrap();
    let polled = poll(&mut [Interest::new(one.as_fd(), true, false)], None).unwrap_err();
    assert_eq!(polled.raw_os_error(), Some(errno::EINTR));
    let received =
        socket::recv(&one, &mut [0], &mut std::collections::VecDeque::new()).unwrap_err();
    assert_eq!(received.kind(), ErrorKind::Interrupted);
    let child = crate::process::forked(|| {
        // SAFETY: the call touches no memory.
        unsafe { libc::pause() };
        0
    });
    let waited = process::wait_pid(child, true).unwrap_err();
    assert_eq!(waited.kind(), ErrorKind::Interrupted);
    interrupter.stop();
    process::kill(child, libc::SIGKILL).unwrap();
    process::wait_pid(child, true).unwrap();
}

/// A child that sends signal after signal, until it is told to stop.
struct Interrupter(i32);

impl Interrupter {
    fn start() -> Self {
        let target = process::pid();
        Self(crate::process::forked(move || {
            let (silent, _writer) = pipe();
            loop {
                process::kill(target, libc::SIGVTALRM).unwrap();
                let _ = poll(
                    &mut [Interest::new(silent.as_fd(), true, false)],
                    Some(1_000_000),
                );
            }
        }))
    }

    fn stop(self) {
        process::kill(self.0, libc::SIGKILL).unwrap();
        while process::wait_pid(self.0, true).is_err() {}
    }
}

#[test]
fn a_signal_is_ignored_and_reset() {
    succeed("dispositions");
}

fn change_dispositions() {
    let ignored = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap() & (1 << (libc::SIGINT - 1)) != 0
    };
    signal::ignore(signal::SIGINT).unwrap();
    assert!(ignored());
    process::kill(process::pid(), signal::SIGINT).unwrap();
    signal::reset(signal::SIGINT).unwrap();
    assert!(!ignored());
    assert_eq!(
        signal::ignore(signal::SIGKILL).unwrap_err().raw_os_error(),
        Some(errno::EINVAL)
    );
}

#[test]
fn a_thread_that_blocks_all_still_dies_of_its_own_faults() {
    let mask = std::thread::spawn(|| {
        signal::block_all_in_this_thread();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("SigBlk:"))
            .unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    })
    .join()
    .unwrap();
    let blocked = |number: i32| mask & (1 << (number - 1)) != 0;
    for number in [
        signal::SIGINT,
        signal::SIGTERM,
        signal::SIGCHLD,
        signal::SIGALRM,
        signal::SIGUSR1,
    ] {
        assert!(blocked(number), "{number}");
    }
    for number in [
        signal::SIGSEGV,
        signal::SIGBUS,
        signal::SIGABRT,
        loky_sys::lifeline::LIFELINE_SIGNAL,
    ] {
        assert!(!blocked(number), "{number}");
    }
}

#[test]
fn signals_and_errors_have_names() {
    assert_eq!(signal::signal_name(signal::SIGSEGV), Some("SIGSEGV"));
    assert_eq!(signal::signal_name(9), Some("SIGKILL"));
    assert_eq!(signal::signal_name(0), None);
    assert_eq!(
        signal::signal_name(loky_sys::lifeline::LIFELINE_SIGNAL),
        None
    );
    let named = (1..32)
        .filter(|number| signal::signal_name(*number).is_some())
        .count();
    assert_eq!(named, 31);
    assert_eq!(errno::errno_name(errno::EMFILE), Some("EMFILE"));
    assert_eq!(errno::errno_name(0), None);
}

#[test]
fn the_clocks_run_and_are_not_the_same() {
    let first_ns = clock::monotonic_ns();
    assert!(clock::monotonic_ns() >= first_ns);
    // 2020, which lies between all times since the start of a machine and all that its clock shows.
    assert!(clock::wall_ns() > 1_577_836_800_000_000_000);
    assert!(first_ns < 1_577_836_800_000_000_000);
}
