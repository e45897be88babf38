//! Processes: waiting, listing, signalling, forking. What concerns all children of a process is done
//! in a role, for the other tests have children too.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use loky_sys::fork::{self, Fork};
use loky_sys::process::{self, Reaped};
use loky_sys::{clock, errno, limits, usage};

use crate::child::{Child, end_some_day, pipe, succeed};

pub(crate) fn role(role: &str, args: &[String]) -> bool {
    match role {
        "exit_with" => process::exit_now(args[0].parse().unwrap()),
        "work" => use_memory_and_time(),
        "wait_any" => wait_for_any(),
        "children" => list_children(),
        "subreaper" => adopt_an_orphan(),
        "close_from" => close_all_but_some(),
        "close_from_full" => close_with_a_full_table(),
        "threads" => count_threads(),
        "generation" => count_forks(),
        "fork_alone" => fork_with_one_thread_only(),
        "retire_threads" => retire_what_ends_at_a_fork(),
        "preempted" => be_preempted(),
        "umask" => read_umask(),
        "wait_for_ever" => wait_for_ever(),
        _ => return false,
    }
    true
}

fn wait_for_ever() -> ! {
    loop {
        // SAFETY: the call touches no memory.
        unsafe { libc::pause() };
    }
}

/// Forks a child that runs `act` and exits with its answer. Roles have one thread.
pub(crate) fn forked(act: impl FnOnce() -> i32) -> i32 {
    // SAFETY: a role has one thread.
    match unsafe { fork::fork() }.unwrap() {
        Fork::Child => {
            end_some_day();
            process::exit_now(act())
        }
        Fork::Parent(pid) => pid,
    }
}

/// Waits until a child has ended, and leaves it to be reaped.
fn await_end(pid: i32) {
    // SAFETY: the structure is plain numbers and lives for the call.
    let result = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(
            libc::P_PID,
            pid.cast_unsigned(),
            &raw mut info,
            libc::WEXITED | libc::WNOWAIT,
        )
    };
    assert_eq!(result, 0);
}

fn read_end(descriptor: &OwnedFd) {
    let mut byte = [0];
    assert_eq!(rustix::io::read(descriptor, &mut byte).unwrap(), 0);
}

#[test]
fn an_exit_code_and_a_signal_are_told_apart() {
    let exited = Child::start("exit_with", &["7".into()], &[]).wait();
    assert_eq!(
        (exited.status.exited(), exited.status.signal()),
        (Some(7), None)
    );
    let child = Child::start("wait_for_ever", &[], &[]);
    process::kill(child.pid, libc::SIGTERM).unwrap();
    let killed = child.wait();
    assert_eq!(
        (killed.status.exited(), killed.status.signal()),
        (None, Some(libc::SIGTERM))
    );
    assert!(!killed.status.dumped_core());
}

const WORK_BYTES: usize = 96 << 20;
const WORK_NS: u64 = 100_000_000;

fn use_memory_and_time() {
    let memory = vec![1_u8; WORK_BYTES];
    loop {
        // SAFETY: the structure is plain numbers and lives for the call.
        let spent = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
            usage.ru_utime
        };
        if spent.tv_sec > 0 || u64::try_from(spent.tv_usec).unwrap() * 1000 >= WORK_NS {
            break;
        }
        std::hint::black_box(
            memory
                .iter()
                .step_by(4096)
                .fold(0_u64, |sum, byte| sum + u64::from(*byte)),
        );
    }
}

#[test]
fn a_reaped_child_tells_its_memory_and_time() {
    let Reaped {
        status,
        max_rss_bytes,
        user_ns,
        ..
    } = Child::start("work", &[], &[]).wait();
    assert_eq!(status.exited(), Some(0));
    assert!(max_rss_bytes >= WORK_BYTES as u64, "{max_rss_bytes}");
    assert!(
        max_rss_bytes < 4 * WORK_BYTES as u64,
        "{max_rss_bytes}: is the unit right?"
    );
    assert!(user_ns >= WORK_NS, "{user_ns}");
}

#[test]
fn waiting_without_blocking_answers_at_once() {
    let child = Child::start("wait_for_ever", &[], &[]);
    assert_eq!(process::wait_pid(child.pid, false).unwrap(), None);
    assert!(process::has_children().unwrap());
}

#[test]
fn a_process_that_is_no_child_cannot_be_waited_for() {
    let refused = process::wait_pid(process::parent_pid(), false).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(errno::ECHILD));
}

#[test]
fn numbers_that_mean_groups_are_refused() {
    for pid in [0, -1, -process::pid()] {
        assert_eq!(
            process::kill(pid, 0).unwrap_err().raw_os_error(),
            Some(errno::EINVAL)
        );
        assert_eq!(
            process::wait_pid(pid, false).unwrap_err().raw_os_error(),
            Some(errno::EINVAL)
        );
    }
    process::kill(process::pid(), 0).unwrap();
}

#[test]
fn any_child_can_be_waited_for() {
    succeed("wait_any");
}

fn wait_for_any() {
    assert_eq!(process::wait_any().unwrap(), None);
    assert!(!process::has_children().unwrap());
    let (reader, writer) = pipe();
    let pid = forked(|| {
        // SAFETY: the child closes its own copy; nothing uses it afterwards.
        unsafe { libc::close(writer.as_raw_fd()) };
        read_end(&reader);
        3
    });
    assert_eq!(process::wait_any().unwrap(), None);
    assert!(process::has_children().unwrap());
    drop(writer);
    await_end(pid);
    let reaped = process::wait_any().unwrap().unwrap();
    assert_eq!((reaped.pid, reaped.status.exited()), (pid, Some(3)));
    assert_eq!(process::wait_any().unwrap(), None);
}

#[test]
fn children_are_listed_until_they_are_reaped() {
    succeed("children");
}

fn list_children() {
    let set = |pids: Vec<i32>| pids.into_iter().collect::<BTreeSet<i32>>();
    let own = || set(process::children_of_self().unwrap());
    assert_eq!(own(), BTreeSet::new());
    let (reader, writer) = pipe();
    let parent = forked(|| {
        let grandchild = forked(|| wait_for_ever());
        rustix::io::write(&writer, &grandchild.to_ne_bytes()).unwrap();
        wait_for_ever()
    });
    let ended = forked(|| 0);
    await_end(ended);
    let mut number = [0; 4];
    assert_eq!(rustix::io::read(&reader, &mut number).unwrap(), 4);
    let grandchild = i32::from_ne_bytes(number);

    assert_eq!(own(), BTreeSet::from([parent, ended]));
    assert_eq!(
        set(process::children_of(parent).unwrap()),
        BTreeSet::from([grandchild])
    );
    assert_eq!(
        set(process::children_of(grandchild).unwrap()),
        BTreeSet::new()
    );
    // A child of a thread that is not the main one is a child all the same.
    let of_thread = std::thread::spawn(|| forked(|| wait_for_ever()))
        .join()
        .unwrap();
    assert_eq!(own(), BTreeSet::from([parent, ended, of_thread]));
    for pid in [grandchild, parent, of_thread] {
        process::kill(pid, libc::SIGKILL).unwrap();
    }
    for pid in [parent, ended, of_thread] {
        process::wait_pid(pid, true).unwrap();
    }
    assert_eq!(own(), BTreeSet::new());
}

#[test]
fn an_orphan_comes_to_the_subreaper() {
    succeed("subreaper");
}

fn adopt_an_orphan() {
    process::set_child_subreaper().unwrap();
    let (reader, writer) = pipe();
    let middle = forked(|| {
        let orphan = forked(|| wait_for_ever());
        rustix::io::write(&writer, &orphan.to_ne_bytes()).unwrap();
        0
    });
    process::wait_pid(middle, true).unwrap();
    let mut number = [0; 4];
    rustix::io::read(&reader, &mut number).unwrap();
    let orphan = i32::from_ne_bytes(number);
    assert_eq!(process::children_of_self().unwrap(), [orphan]);
    process::kill(orphan, libc::SIGKILL).unwrap();
    assert_eq!(
        process::wait_pid(orphan, true)
            .unwrap()
            .unwrap()
            .status
            .signal(),
        Some(libc::SIGKILL)
    );
}

fn open_from_three() -> BTreeSet<i32> {
    (3..1024)
        .filter(|number| std::fs::exists(format!("/proc/self/fd/{number}")).unwrap())
        .collect()
}

/// Copies of the standard error output at these numbers.
fn open_at(numbers: &[i32]) {
    for number in numbers {
        // SAFETY: the numbers are free in a role, and nobody comes to own them.
        assert_eq!(unsafe { libc::dup2(2, *number) }, *number);
    }
}

#[test]
fn all_descriptors_but_some_are_closed() {
    succeed("close_from");
}

fn close_all_but_some() {
    assert_eq!(open_from_three(), BTreeSet::new());
    open_at(&[3, 4, 5, 6, 10, 11, 500, 501]);
    process::close_from(4, &[501, 5, 11, 5, 3, 77]).unwrap();
    assert_eq!(open_from_three(), BTreeSet::from([3, 5, 11, 501]));
    process::close_from(3, &[]).unwrap();
    assert_eq!(open_from_three(), BTreeSet::new());
    assert!(std::fs::exists("/proc/self/fd/2").unwrap());
}

/// Whether closing needs a descriptor of its own tells which of the two ways was taken.
#[test]
fn closing_needs_no_free_descriptor_unless_the_fall_back_is_forced() {
    succeed("close_from_full");
}

fn close_with_a_full_table() {
    open_at(&[3, 4]);
    let before = limits::open_files().0.unwrap();
    limits::set_open_files(5).unwrap();
    let closed = process::close_from(3, &[]);
    limits::set_open_files(before).unwrap();
    if loky_sys::force::is_forced(loky_sys::force::Switch::NoCloseRange) {
        assert_eq!(closed.unwrap_err().raw_os_error(), Some(errno::EMFILE));
        process::close_from(3, &[]).unwrap();
    } else {
        closed.unwrap();
    }
    assert_eq!(open_from_three(), BTreeSet::new());
}

#[test]
fn threads_are_counted() {
    succeed("threads");
}

fn count_threads() {
    assert_eq!(process::thread_count().unwrap(), 1);
    let (started, seen) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            started.wait();
            seen.wait();
        });
        started.wait();
        assert_eq!(process::thread_count().unwrap(), 2);
        seen.wait();
    });
}

#[test]
fn every_fork_has_a_generation_of_its_own() {
    succeed("generation");
}

fn count_forks() {
    fork::watch_forks();
    fork::watch_forks();
    let own = fork::fork_generation();
    let code = |pid| {
        process::wait_pid(pid, true)
            .unwrap()
            .unwrap()
            .status
            .exited()
    };
    let child = forked(|| {
        let first = fork::fork_generation();
        let grandchild = forked(|| i32::from(fork::fork_generation() == first));
        i32::from(first == own) + 2 * code(grandchild).unwrap_or(1)
    });
    assert_eq!(code(child), Some(0));
    // What others fork is counted as well.
    // SAFETY: a role has one thread.
    let foreign = match unsafe { libc::fork() } {
        0 => process::exit_now(i32::from(fork::fork_generation() == own)),
        pid => pid,
    };
    assert_eq!(code(foreign), Some(0));
    assert_eq!(fork::fork_generation(), own);
}

#[test]
fn a_process_with_more_than_one_thread_is_not_forked_by_the_safe_call() {
    succeed("fork_alone");
}

fn fork_with_one_thread_only() {
    let pid = match fork::fork_alone().unwrap() {
        Fork::Child => process::exit_now(5),
        Fork::Parent(pid) => pid,
    };
    let reaped = process::wait_pid(pid, true).unwrap().unwrap();
    assert_eq!(reaped.status.exited(), Some(5));
    let (started, seen) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            started.wait();
            seen.wait();
        });
        started.wait();
        let refused = fork::fork_alone().unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(errno::EBUSY));
        seen.wait();
    });
    assert!(!process::has_children().unwrap());
}

#[test]
fn threads_that_their_library_ends_at_a_fork_can_be_ended() {
    succeed("retire_threads");
}

fn retire_what_ends_at_a_fork() {
    static WORKER: Mutex<Option<(Sender<()>, JoinHandle<()>)>> = Mutex::new(None);
    extern "C" fn end_worker() {
        if let Some((stop, thread)) = WORKER.lock().unwrap().take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
    // SAFETY: the handler lives as long as the program and runs before forks of this process only.
    let registered = unsafe { libc::pthread_atfork(Some(end_worker), None, None) };
    assert_eq!(registered, 0);
    let start = || {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = stopped.recv();
        });
        (stop, thread)
    };
    *WORKER.lock().unwrap() = Some(start());
    assert_eq!(process::thread_count().unwrap(), 2);
    assert_eq!(fork::retire_threads().unwrap(), 1);
    // One that nobody ends stays.
    let (stop, thread) = start();
    assert_eq!(fork::retire_threads().unwrap(), 2);
    drop(stop);
    thread.join().unwrap();
    assert!(!process::has_children().unwrap());
}

#[test]
fn who_shares_a_processor_is_made_to_give_it_up() {
    succeed("preempted");
}

fn be_preempted() {
    // SAFETY: the set is plain bits, for which zero is a value, and lives for both calls; the number is
    // that of a processor, as the system itself says.
    let pinned = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(usize::try_from(libc::sched_getcpu()).unwrap(), &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
    };
    assert_eq!(pinned, 0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // It has the affinity of its maker.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let before = process::preemptions();
        let deadline_ns = clock::monotonic_ns() + 20_000_000_000;
        while process::preemptions() == before && clock::monotonic_ns() < deadline_ns {}
        over.store(true, Ordering::Relaxed);
        assert!(process::preemptions() > before);
    });
}

#[test]
fn the_file_mode_mask_is_read_and_not_changed() {
    succeed("umask");
}

fn read_umask() {
    // SAFETY: the call touches no memory.
    unsafe { libc::umask(0o027) };
    assert_eq!(process::umask_of_self(), 0o027);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::umask(0) }, 0o027);
}

#[test]
fn memory_use_is_told_for_living_processes_only() {
    let bytes = vec![1_u8; 32 << 20];
    let (resident, peak) = (
        usage::resident_bytes(process::pid()).unwrap(),
        usage::peak_bytes(process::pid()).unwrap(),
    );
    std::hint::black_box(&bytes);
    assert!(
        resident >= bytes.len() as u64 && peak >= bytes.len() as u64,
        "{resident} {peak}"
    );
    let child = Child::start("exit_with", &["0".into()], &[]);
    await_end(child.pid);
    assert!(usage::peak_bytes(child.pid).is_err());
    let gone = child.pid;
    child.wait();
    assert!(usage::resident_bytes(gone).is_err());
}

#[test]
fn the_lists_of_children_are_used_unless_they_are_forced_off() {
    let forced = loky_sys::force::is_forced(loky_sys::force::Switch::NoChildrenFile);
    let there = std::fs::exists(format!("/proc/self/task/{}/children", process::pid())).unwrap();
    assert_eq!(process::has_children_lists(), there && !forced);
}

#[test]
fn what_a_process_is_doing_is_told_while_it_is_there() {
    let own = usage::activity(process::pid()).unwrap();
    assert!(own.threads >= 1 && own.resident_bytes > 0, "{own:?}");
    let child = Child::start("exit_with", &["0".into()], &[]);
    await_end(child.pid);
    assert_eq!(
        usage::activity(child.pid).unwrap().state,
        usage::RunState::Ended
    );
    let gone = child.pid;
    child.wait();
    assert!(usage::activity(gone).is_err());
}
