//! A socket to the parent as frames with their descriptors.
//!
//! Owned by the zygote (which never waits in it) and by the worker (which does). It knows frames,
//! not what they mean.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use loky_sys::socket;
use loky_wire::{Decoder, Frame, Role};

use crate::error::WorkerError;

/// One read takes at most this many bytes.
const READ_BYTES: usize = 64 * 1024;

/// A frame from the parent.
pub(crate) struct Incoming {
    pub(crate) frame: Frame,
    /// The descriptors that came with it, in order.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// The kernel could not install all of them in the table of this process.
    pub(crate) lost: bool,
}

/// What one read found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filled {
    /// Bytes.
    Bytes,
    /// The parent's end is closed and everything has been read.
    End,
    /// A signal handler ran while the call waited.
    Interrupted,
    /// Nothing at the moment; only where the socket does not wait.
    Empty,
}

/// What one write did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Written {
    /// So many bytes were taken.
    Bytes(usize),
    /// The parent's end is closed.
    End,
    /// The socket is full; only where it does not wait.
    Full,
}

pub(crate) struct Channel {
    socket: OwnedFd,
    decoder: Decoder,
    descriptors: VecDeque<Option<OwnedFd>>,
    scratch: Vec<u8>,
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd, role: Role) -> Self {
        Self {
            socket,
            decoder: Decoder::new(role),
            descriptors: VecDeque::new(),
            scratch: vec![0; READ_BYTES],
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads once.
    pub(crate) fn fill(&mut self) -> Result<Filled, WorkerError> {
        match socket::recv(
            self.socket.as_fd(),
            &mut self.scratch,
            &mut self.descriptors,
        ) {
            Ok(0) => Ok(Filled::End),
            Ok(count) => {
                self.decoder
                    .push(self.scratch.get(..count).unwrap_or_default());
                Ok(Filled::Bytes)
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => Ok(Filled::Interrupted),
                ErrorKind::WouldBlock => Ok(Filled::Empty),
                _ if is_peer_gone(&error) => Ok(Filled::End),
                _ => Err(WorkerError::Socket(error)),
            },
        }
    }

    /// The next whole frame that has been read.
    pub(crate) fn frame(&mut self) -> Result<Option<Incoming>, WorkerError> {
        let Some(frame) = self.decoder.next()? else {
            return Ok(None);
        };
        let wanted = usize::from(frame.header.fds);
        let mut descriptors = Vec::with_capacity(wanted);
        let mut lost = false;
        // The kernel installs the descriptors of a message in order and stops at the first that
        // finds no place, so a gap stands for all that should have followed it in this frame.
        while descriptors.len() < wanted && !lost {
            match self.descriptors.pop_front() {
                Some(Some(descriptor)) => descriptors.push(descriptor),
                Some(None) => lost = true,
                None => {
                    return Err(WorkerError::Protocol {
                        kind: frame.header.kind,
                        what: "fewer descriptors than its header says",
                    });
                }
            }
        }
        Ok(Some(Incoming {
            frame,
            descriptors,
            lost,
        }))
    }

    /// Writes once, with `descriptors` attached to the first byte.
    pub(crate) fn write_some(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Written, WorkerError> {
        loop {
            return match socket::send(self.socket.as_fd(), &[IoSlice::new(bytes)], descriptors) {
                Ok(count) => Ok(Written::Bytes(count)),
                Err(error) => match error.kind() {
                    // A frame that was begun is finished: half of one would end the connection.
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock => Ok(Written::Full),
                    _ if is_peer_gone(&error) => Ok(Written::End),
                    _ => Err(WorkerError::Socket(error)),
                },
            };
        }
    }

    /// Writes everything, waiting for room. False: the parent's end is closed.
    pub(crate) fn write_all(&self, bytes: &[u8]) -> Result<bool, WorkerError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write_some(rest, &[])? {
                Written::Bytes(count) => rest = rest.get(count..).unwrap_or_default(),
                Written::End => return Ok(false),
                Written::Full => {
                    return Err(WorkerError::Socket(io::Error::from(ErrorKind::WouldBlock)));
                }
            }
        }
        Ok(true)
    }
}

fn is_peer_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected
    )
}
