//! The last words of a process: what the kernel said about the fault that ends it.
//!
//! A status tells the signal and nothing else. The handler of a fault is told more: the address, the
//! kind, the stack pointer, or who sent the signal. It is written into a page that the parent has
//! mapped too, then the handler that was there before gets the fault as if nothing had been here. It
//! never ends a process that would have lived, and never runs in a fork of the process.
//!
//! The end of the C library's `exit` is noted as well, for a status cannot tell it from `_exit`.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use crate::contract::LastWords;

/// Signals whose default ends the process and that code causes by itself.
const WATCHED: [c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGSYS,
];

/// The first of the words, in memory that stays mapped until the process ends.
static WORDS: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// The process that is watched, which its forks are not.
static WATCHED_PROCESS: AtomicI32 = AtomicI32::new(0);
/// Somebody has begun to write.
static SPOKEN: AtomicBool = AtomicBool::new(false);
static BEFORE: Before = Before(UnsafeCell::new([const { None }; WATCHED.len()]));

/// The actions that the handler took the place of.
struct Before(UnsafeCell<[Option<libc::sigaction>; WATCHED.len()]>);

// SAFETY: it is written by `watch`, which runs once a process while no handler is installed, and only
// read afterwards.
unsafe impl Sync for Before {}

/// Has the last words written into `page`, from the word `first` on. To be called once in a process
/// or in a fork of one, on its main thread, after every other handler of faults has been installed.
///
/// `EINVAL`: there are not so many words. The page is kept for ever.
pub fn watch<P>(page: Arc<P>, first: usize) -> io::Result<()>
where
    P: AsRef<[AtomicU64]> + Send + Sync + 'static,
{
    let page: &'static Arc<P> = Box::leak(Box::new(page));
    let words = (**page).as_ref().get(first..).unwrap_or_default();
    if words.len() < LastWords::WORDS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    WORDS.store(words.as_ptr().cast_mut(), Ordering::Release);
    SPOKEN.store(false, Ordering::Release);
    WATCHED_PROCESS.store(crate::platform::process::pid(), Ordering::Release);
    note_stack(words);
    watch_exit();
    for (place, signal) in WATCHED.into_iter().enumerate() {
        install(place, signal)?;
    }
    Ok(())
}

/// Where the main thread's stack ends, by its limit. What lies above here is small against it.
fn note_stack(words: &[AtomicU64]) {
    let here = ptr::from_ref(&words).addr() as u64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    if let (Some(limit_bytes), [end, limit]) = (limit, LastWords::stack_of(words)) {
        end.store(here.saturating_sub(limit_bytes), Ordering::Relaxed);
        limit.store(limit_bytes, Ordering::Relaxed);
    }
}

fn watch_exit() {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    // A fork inherits what is registered, and its number is compared there.
    REGISTERED.get_or_init(|| {
        // SAFETY: the function is there as long as the library, which is never unloaded.
        unsafe { libc::atexit(on_exit) };
    });
}

extern "C" fn on_exit() {
    if let Some(words) = own_words() {
        LastWords::mark_exit(words);
    }
}

/// The words, in the process that is watched.
fn own_words() -> Option<&'static [AtomicU64]> {
    let start = WORDS.load(Ordering::Acquire);
    // SAFETY: the call touches no memory.
    let own = unsafe { libc::getpid() };
    if start.is_null() || own != WATCHED_PROCESS.load(Ordering::Acquire) {
        return None;
    }
    // SAFETY: `watch` has seen that there are so many words from here on, and has leaked their owner.
    Some(unsafe { std::slice::from_raw_parts(start, LastWords::WORDS) })
}

fn install(place: usize, signal: c_int) -> io::Result<()> {
    type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    let handler: Handler = on_fault;
    // SAFETY: the structures are initialised before they are read and live for the calls; the handler
    // keeps to what is allowed in a signal handler. The place is written before the handler that
    // reads it is installed; where one is installed already, it is that of the process that this one
    // is a fork of, and holds what is written again.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, ptr::null(), &raw mut before) != 0 {
            return Err(io::Error::last_os_error());
        }
        if before.sa_sigaction == handler as *const () as libc::sighandler_t {
            return Ok(());
        }
        if let Some(kept) = (*BEFORE.0.get()).get_mut(place) {
            *kept = Some(before);
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        // On the other stack, where the thread has one: this one may be what is full.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        if libc::sigaction(signal, &raw const action, ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a valid structure to a handler that is installed with `SA_SIGINFO`.
    let code = unsafe { (*info).si_code };
    if let Some(words) = own_words().filter(|_| !SPOKEN.swap(true, Ordering::AcqRel)) {
        // SAFETY: as above; which of its fields are filled goes by signal and code, and all are plain
        // numbers.
        let (address, process) = unsafe { ((*info).si_addr().addr() as u64, (*info).si_pid()) };
        let sender = if signal == libc::SIGSYS && code > 0 {
            crate::platform::fault_context::system_call(info)
        } else {
            process
        };
        let stack_pointer = crate::platform::fault_context::stack_pointer(context);
        LastWords::write(words, signal, code, address, sender, stack_pointer);
    }
    hand_back(signal);
    // What a process sent does not happen again by itself, nor does a system call that a filter has
    // refused: the signal is sent again, and arrives when this handler has returned.
    if code <= 0 || signal == libc::SIGSYS {
        crate::platform::fault_context::send_to_this_thread(signal);
    }
}

/// Puts back what was there before, which gets the fault when the instruction is tried again.
fn hand_back(signal: c_int) {
    let place = WATCHED.iter().position(|watched| *watched == signal);
    // SAFETY: nobody writes after `install`; the action lives for the call, and is one that the
    // kernel gave.
    unsafe {
        let kept = place.and_then(|place| (*BEFORE.0.get()).get(place)?.as_ref());
        if let Some(before) = kept {
            libc::sigaction(signal, ptr::from_ref(before), ptr::null_mut());
        } else {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}
