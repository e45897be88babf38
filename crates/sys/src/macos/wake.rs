//! What [`crate::wake`] is made of on macOS: a pipe.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::pipe;

use crate::unix::descriptor::set_nonblocking;

/// What is heard, and what is rung.
pub(crate) fn bell() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (heard, rung) = pipe()?;
    for end in [&heard, &rung] {
        fcntl_setfd(end, FdFlags::CLOEXEC)?;
        set_nonblocking(end)?;
    }
    Ok((heard, Some(rung)))
}
