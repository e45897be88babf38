//! Waking a thread that polls. What a bell is made of stands in the system's `wake`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, read, write};

use super::descriptor::above_streams;
use crate::platform::wake as system;

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
        let (heard, rung) = system::bell()?;
        Ok(Self {
            heard: above_streams(heard)?,
            rung: rung.map(above_streams).transpose()?,
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

    /// Whether the bell is a pipe: the fall-back, where there is something better.
    pub fn is_pipe(&self) -> bool {
        self.rung.is_some()
    }
}
