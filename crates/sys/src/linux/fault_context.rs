//! What a handler of faults needs of the processor and the kernel.
//!
//! It is called in signal handlers: no memory, no lock, raw system calls alone.

use std::ffi::{c_int, c_void};

/// The stack pointer at the fault.
pub(crate) fn stack_pointer(context: *mut c_void) -> u64 {
    let context = context.cast::<libc::ucontext_t>();
    if context.is_null() {
        return 0;
    }
    // SAFETY: the kernel gives a valid context to a handler that is installed with `SA_SIGINFO`.
    unsafe { register_of(context) }
}

/// # Safety
/// The context is one that the kernel gave to a handler.
#[cfg(target_arch = "x86_64")]
unsafe fn register_of(context: *mut libc::ucontext_t) -> u64 {
    let place = usize::try_from(libc::REG_RSP).unwrap_or(usize::MAX);
    // SAFETY: by the promise of the caller.
    let registers = unsafe { (*context).uc_mcontext.gregs };
    registers
        .get(place)
        .map_or(0, |register| register.cast_unsigned())
}

/// # Safety
/// The context is one that the kernel gave to a handler.
#[cfg(target_arch = "aarch64")]
unsafe fn register_of(context: *mut libc::ucontext_t) -> u64 {
    // SAFETY: by the promise of the caller.
    unsafe { (*context).uc_mcontext.sp }
}

/// # Safety
/// None is needed.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn register_of(_context: *mut libc::ucontext_t) -> u64 {
    0
}

/// The number of the system call that a filter refused. The structure has it behind the address of
/// the call.
pub(crate) fn system_call(info: *mut libc::siginfo_t) -> c_int {
    const HEAD_WORDS: usize = if size_of::<usize>() == 8 { 6 } else { 4 };
    // SAFETY: the structure is that of a SIGSYS, so the number stands there; it is 128 bytes long.
    unsafe { info.cast::<c_int>().add(HEAD_WORDS).read() }
}

/// Sends a signal to the thread that calls.
pub(crate) fn send_to_this_thread(signal: c_int) {
    // SAFETY: plain system calls with numbers.
    unsafe {
        let process = libc::syscall(libc::SYS_getpid);
        let thread = libc::syscall(libc::SYS_gettid);
        libc::syscall(libc::SYS_tgkill, process, thread, signal);
    }
}
