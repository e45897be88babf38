//! There is no descriptor for a process that `poll` would take.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Always `None`.
pub fn open(pid: i32) -> io::Result<Option<OwnedFd>> {
    if pid > 0 {
        Ok(None)
    } else {
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// Always `ENOTSUP`.
pub fn signal(_process: impl AsFd, _signal: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}
