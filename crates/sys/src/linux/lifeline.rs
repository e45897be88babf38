//! Dying with the parent, and taking everything below along.
//!
//! The kernel can send a signal when the parent ends. SIGKILL would end this process at once, but
//! not its children, which would fall to a process that knows nothing of them. So it is a real-time
//! signal with a handler that kills whatever descends from this process, and then the process. The
//! README has the steps and the argument. It never returns to the program once the parent is gone.

use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::descendants::Descendants;
use super::{lineage, process};

/// The signal that tells of the parent's end. Real-time signals begin at 34 with glibc and at 35
/// with musl, libraries that want one take it from either end, and this one is in the middle.
pub const LIFELINE_SIGNAL: i32 = 58;

/// A process that was executed with this variable, and the number of the parent to which the lifeline
/// is tied as its value, is left alone, and so is what is below it.
pub const LET_LIVE_VARIABLE: &str = "LOKY_LET_LIVE";

/// What a zygote is executed with, and all that descends from it has: the name of that family.
pub const FAMILY_VARIABLE: &str = "LOKY_FAMILY";

/// How often the handler looks for descendants. Killed processes need a moment to end, and one that
/// sleeps in the kernel may need for ever: that one must not keep this process alive.
const ROUNDS_MAX: u32 = 2000;

/// The pause between two looks.
const PAUSE_NS: i64 = 1_000_000;

static EXPECTED_PARENT: AtomicI32 = AtomicI32::new(0);
static BY_SCAN: AtomicBool = AtomicBool::new(false);
static DYING: AtomicBool = AtomicBool::new(false);
static GROUND: Ground = Ground(UnsafeCell::new(Descendants::new()));

struct Ground(UnsafeCell<Descendants>);

// SAFETY: only the one thread that set `DYING` ever touches the content.
unsafe impl Sync for Ground {}

/// Ties the life of this process to that of `expected_parent`. To be called on the main thread, once
/// after each fork or exec. `ESRCH`: the parent is gone already; the caller ends itself.
///
/// The signal that is used must stay unblocked in at least one thread.
pub fn arm_lifeline(expected_parent: i32) -> io::Result<()> {
    EXPECTED_PARENT.store(expected_parent, Ordering::Relaxed);
    BY_SCAN.store(!lineage::has_children_lists(), Ordering::Relaxed);
    install()?;
    process::set_parent_death_signal(LIFELINE_SIGNAL)?;
    // A parent that ended before the call above sends nothing, but its child has another one now.
    if process::parent_pid() == expected_parent {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

fn install() -> io::Result<()> {
    let handler: extern "C" fn(c_int) = on_parent_end;
    // SAFETY: the structures are initialised before they are read and live for the calls; the handler
    // keeps to what is allowed in a signal handler.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        // On another stack if the thread has one, for the program may be out of stack; and with
        // nothing else delivered meanwhile.
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigfillset(&raw mut action.sa_mask);
        if libc::sigaction(LIFELINE_SIGNAL, &raw const action, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut open: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut open);
        libc::sigaddset(&raw mut open, LIFELINE_SIGNAL);
        match libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const open, std::ptr::null_mut()) {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

extern "C" fn on_parent_end(_signal: c_int) {
    // The signal also comes when a mere thread of the parent ends, or from anybody who sends it. The
    // kernel changes the parent before it sends, so an unchanged one is alive.
    // SAFETY: the call touches no memory.
    let parent = unsafe { libc::getppid() };
    if parent == EXPECTED_PARENT.load(Ordering::Relaxed) && !DYING.load(Ordering::Relaxed) {
        return;
    }
    if DYING.swap(true, Ordering::AcqRel) {
        // Another thread is at it and has sent this signal so that this one does nothing more.
        loop {
            pause(None);
        }
    }
    // SAFETY: the swap above lets one thread of the process through, once.
    let ground = unsafe { &mut *GROUND.0.get() };
    end_family(ground)
}

fn end_family(ground: &mut Descendants) -> ! {
    // SAFETY: plain system calls with numbers.
    let own = unsafe {
        // Whoever loses its parent from now on becomes a child of this process, where it is found.
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::getpid()
    };
    Descendants::make_room();
    ground.spare(
        LET_LIVE_VARIABLE.as_bytes(),
        EXPECTED_PARENT.load(Ordering::Relaxed),
    );
    let by_scan = BY_SCAN.load(Ordering::Relaxed);
    let mut empty_rounds = 0;
    for round in 0..ROUNDS_MAX {
        // A thread may be amid a fork the first time; it stops before it can begin another.
        if round < 2 {
            ground.signal_other_threads(LIFELINE_SIGNAL);
        }
        let found = ground.kill_below(own, by_scan);
        // Somebody who is left alone is still a child, and no reason to wait.
        let left = reap_all() && !ground.has_spared();
        empty_rounds = if found || left { 0 } else { empty_rounds + 1 };
        if empty_rounds == 2 {
            break;
        }
        if found || left {
            pause(Some(PAUSE_NS));
        }
    }
    loop {
        // SAFETY: plain system calls with numbers; the second is for a kernel that would refuse.
        unsafe {
            libc::syscall(libc::SYS_kill, own, libc::SIGKILL);
            libc::syscall(libc::SYS_exit_group, 128 + libc::SIGKILL);
        }
    }
}

/// Waits for every child that has ended, without blocking; whether any is left.
fn reap_all() -> bool {
    loop {
        let nobody = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: the kernel writes nothing where it is given null.
        let result = unsafe {
            libc::syscall(
                libc::SYS_wait4,
                -1,
                nobody,
                libc::WNOHANG | libc::__WALL,
                nobody,
            )
        };
        match result {
            0 => return true,
            -1 => return false,
            _ => {}
        }
    }
}

fn pause(ns: Option<i64>) {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: ns.unwrap_or(0),
    };
    let limit = if ns.is_some() {
        &raw const time
    } else {
        std::ptr::null()
    };
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: there is no set of descriptors, and the time lives for the call.
    unsafe { libc::syscall(libc::SYS_ppoll, nothing, 0, limit, nothing, 0) };
}
