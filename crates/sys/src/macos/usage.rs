//! How much memory a process uses, and what it is doing. It never guesses: what the kernel does not tell is an error.

use std::ffi::{c_int, c_void};
use std::io;

pub use crate::contract::{Activity, RunState};

/// What the process has resident now.
pub fn resident_bytes(pid: i32) -> io::Result<u64> {
    Ok(task_info(pid)?.pti_resident_size)
}

/// The largest footprint that it ever had, which is what this system accounts for.
pub fn peak_bytes(pid: i32) -> io::Result<u64> {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut usage: libc::rusage_info_v4 = unsafe { std::mem::zeroed() };
    let place = (&raw mut usage).cast::<libc::rusage_info_t>();
    // SAFETY: the place has the type that belongs to this version and is writable for the call.
    match unsafe { libc::proc_pid_rusage(pid, libc::RUSAGE_INFO_V4, place) } {
        0 => Ok(usage.ri_lifetime_max_phys_footprint),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What the process is doing now. This system does not say in what it waits.
pub fn activity(pid: i32) -> io::Result<Activity> {
    let info = task_info(pid)?;
    Ok(Activity {
        state: if info.pti_numrunning > 0 {
            RunState::Running
        } else {
            RunState::Sleeping
        },
        cpu_ns: info.pti_total_user.saturating_add(info.pti_total_system),
        resident_bytes: info.pti_resident_size,
        threads: u32::try_from(info.pti_threadnum).unwrap_or(0),
        waits_in: None,
    })
}

pub(crate) fn task_info(pid: i32) -> io::Result<libc::proc_taskinfo> {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut info: libc::proc_taskinfo = unsafe { std::mem::zeroed() };
    let bytes = c_int::try_from(size_of::<libc::proc_taskinfo>()).unwrap_or(0);
    let place = (&raw mut info).cast::<c_void>();
    // SAFETY: the place is writable and has so many bytes.
    let filled = unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, place, bytes) };
    if filled == bytes {
        Ok(info)
    } else {
        Err(io::Error::last_os_error())
    }
}
