//! A descriptor that becomes readable when a process ends.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::force::{Switch, is_forced};
use crate::unix::descriptor::above_streams;

/// Opens one for a process that the caller knows to be alive or unreaped. `None`: the kernel does
/// not have it (before 5.3) or a filter forbids it. `ESRCH`: there is no such process.
pub fn open(pid: i32) -> io::Result<Option<OwnedFd>> {
    let pid = u32::try_from(pid).ok().and_then(|_| Pid::from_raw(pid));
    let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    if is_forced(Switch::NoPidfd) {
        return Ok(None);
    }
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => Ok(Some(above_streams(descriptor)?)),
        Err(Errno::NOSYS | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sends a signal to the process that a descriptor was opened for, and to no other that has its number
/// since.
pub fn signal(process: impl AsFd, signal: i32) -> io::Result<()> {
    let signal = Signal::from_named_raw(signal);
    let signal = signal.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    Ok(pidfd_send_signal(process, signal)?)
}
