//! What a handler of faults needs of the kernel. Nothing is known of the stack pointer here.

use std::ffi::{c_int, c_void};

/// Not known.
pub(crate) fn stack_pointer(_context: *mut c_void) -> u64 {
    0
}

/// Not known.
pub(crate) fn system_call(_info: *mut libc::siginfo_t) -> c_int {
    0
}

/// Sends a signal to the thread that calls.
pub(crate) fn send_to_this_thread(signal: c_int) {
    // SAFETY: both calls are allowed in a signal handler and touch no memory of ours.
    unsafe { libc::pthread_kill(libc::pthread_self(), signal) };
}
