//! Waking a thread that polls: a pipe.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, FdFlags, fcntl_setfd, read, write};
use rustix::pipe::pipe;

use crate::unix::descriptor::{above_streams, set_nonblocking};

/// A bell. Any number of rings before a [`Wake::drain`] are one.
#[derive(Debug)]
pub struct Wake {
    heard: OwnedFd,
    rung: OwnedFd,
}

impl Wake {
    /// A bell that has not been rung.
    pub fn new() -> io::Result<Self> {
        let (heard, rung) = pipe()?;
        for end in [&heard, &rung] {
            fcntl_setfd(end, FdFlags::CLOEXEC)?;
            set_nonblocking(end)?;
        }
        Ok(Self {
            heard: above_streams(heard)?,
            rung: above_streams(rung)?,
        })
    }

    /// Makes [`Wake::as_fd`] readable. Never waits: a bell too full to be rung is ringing.
    pub fn ring(&self) {
        while let Err(Errno::INTR) = write(&self.rung, &[1]) {}
    }

    /// Makes it unreadable until the next ring.
    pub fn drain(&self) {
        let mut bytes = [0_u8; 512];
        loop {
            match read(&self.heard, &mut bytes) {
                Ok(count) if count == bytes.len() => {}
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// What to poll for readability.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }

    /// Whether the bell is a pipe: always.
    pub fn is_pipe(&self) -> bool {
        true
    }
}
