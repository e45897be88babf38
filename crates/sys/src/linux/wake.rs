//! What [`crate::wake`] is made of on Linux: a counter of events, or a pipe where there is none.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::force::{Switch, is_forced};

/// What is heard, and what is rung where that is another end.
pub(crate) fn bell() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    if !is_forced(Switch::NoEventfd) {
        match eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK) {
            Ok(heard) => return Ok((heard, None)),
            Err(Errno::NOSYS | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (heard, rung) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok((heard, Some(rung)))
}
