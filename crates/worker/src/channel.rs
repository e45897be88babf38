//! A socket to the parent as frames with their descriptors.
//!
//! Owned by the zygote (which never waits in it) and by the worker (which does, and has rings beside
//! it). It knows frames, not what they mean.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use loky_sys::socket;
use loky_wire::{Decoder, Frame, Header, Kind, Role};

use crate::error::WorkerError;
use crate::rings::{Rings, Sight};

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
    /// The faster way for small frames, where there is one.
    rings: Option<Rings>,
}

impl Channel {
    pub(crate) fn new(socket: OwnedFd, role: Role) -> Self {
        Self {
            socket,
            decoder: Decoder::new(role),
            descriptors: VecDeque::new(),
            scratch: vec![0; READ_BYTES],
            rings: None,
        }
    }

    /// Uses rings beside the socket from here on. Nothing has been read or written yet.
    pub(crate) fn with_rings(mut self, rings: Option<Rings>) -> Self {
        self.rings = rings;
        self
    }

    /// Looks for frames for as long as that is likely to pay.
    pub(crate) fn look(&mut self) -> Result<Sight, WorkerError> {
        self.rings.as_mut().map_or(Ok(Sight::Untried), Rings::look)
    }

    /// To be asked before a wait on the socket. False: there is a frame already.
    pub(crate) fn may_sleep(&mut self) -> Result<bool, WorkerError> {
        self.rings.as_mut().map_or(Ok(true), Rings::may_sleep)
    }

    /// To be told after a wait on the socket: whether it brought anything.
    pub(crate) fn awake(&mut self, something: bool) {
        if let Some(rings) = &mut self.rings {
            rings.awake(something);
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
        let Some(frame) = self.next_frame()? else {
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

    /// Frames of the ring that have their turn, then one of the socket, and so on.
    fn next_frame(&mut self) -> Result<Option<Frame>, WorkerError> {
        loop {
            let in_ring = self.rings.as_mut().map_or(Ok(None), Rings::frame)?;
            let from_socket = in_ring.is_none();
            let Some(frame) =
                in_ring.map_or_else(|| self.decoder.next(), |frame| Ok(Some(frame)))?
            else {
                return Ok(None);
            };
            if let Some(rings) = self.rings.as_mut().filter(|_| from_socket) {
                rings.note_socket(&frame);
            }
            if frame.header.kind != Kind::Bell {
                return Ok(Some(frame));
            }
        }
    }

    /// Sends whole frames that carry no descriptors, whichever way. False: the parent's end is closed.
    ///
    /// A task may have closed the socket under this worker. What is in the ring then is read by the
    /// parent when this process ends, as it will: the next wait fails.
    pub(crate) fn post(&mut self, frames: &[u8]) -> Result<bool, WorkerError> {
        let Some(rings) = &mut self.rings else {
            return self.write_all(frames);
        };
        if !rings.parent_seems_asleep() && rings.commit(frames)? {
            if !rings.must_ring() {
                return Ok(true);
            }
            return match self.write_all(&Header::bare(Kind::Bell, 0).to_bytes()) {
                Err(WorkerError::Socket(_)) => Ok(true),
                rung => rung,
            };
        }
        match self.write_all(frames) {
            Err(WorkerError::Socket(error)) => {
                let committed = match &mut self.rings {
                    Some(rings) => rings.commit(frames)?,
                    None => false,
                };
                committed.then_some(true).ok_or(WorkerError::Socket(error))
            }
            written => written,
        }
    }

    /// Writes once, with `descriptors` attached to the first byte.
    pub(crate) fn write_some(
        &mut self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Written, WorkerError> {
        if let Some(rings) = &mut self.rings {
            rings.will_write();
        }
        let written = self.send(bytes, descriptors)?;
        if let (Some(rings), Written::Bytes(count)) = (&mut self.rings, written) {
            rings.wrote(count);
        }
        Ok(written)
    }

    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<Written, WorkerError> {
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
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> Result<bool, WorkerError> {
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
