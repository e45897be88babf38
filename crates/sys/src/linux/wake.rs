//! Waking a thread that polls.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::force::{Switch, is_forced};
use crate::unix::descriptor::above_streams;

/// A bell. Any number of rings before a [`Wake::drain`] are one. In a forked child it is still the
/// bell of the parent: the child must leave it alone.
#[derive(Debug)]
pub struct Wake {
    heard: OwnedFd,
    /// The other end, where the bell is a pipe.
    rung: Option<OwnedFd>,
}

impl Wake {
    /// A bell that has not been rung.
    pub fn new() -> io::Result<Self> {
        if !is_forced(Switch::NoEventfd) {
            match eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK) {
                Ok(heard) => {
                    return Ok(Self {
                        heard: above_streams(heard)?,
                        rung: None,
                    });
                }
                Err(Errno::NOSYS | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (heard, rung) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self {
            heard: above_streams(heard)?,
            rung: Some(above_streams(rung)?),
        })
    }

    /// Makes [`Wake::as_fd`] readable. Never waits: a bell too full to be rung is ringing.
    pub fn ring(&self) {
        let bell = self.rung.as_ref().unwrap_or(&self.heard);
        while let Err(Errno::INTR) = write(bell, &1_u64.to_ne_bytes()) {}
    }

    /// Makes it unreadable until the next ring.
    pub fn drain(&self) {
        let mut bytes = [0_u8; 512];
        loop {
            match read(&self.heard, &mut bytes) {
                // A whole buffer of a pipe may have more behind it; a counter is eight bytes.
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

    /// Whether the bell is a pipe, the fall-back.
    pub fn is_pipe(&self) -> bool {
        self.rung.is_some()
    }
}
