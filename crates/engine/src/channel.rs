//! One worker as the parent sees it: its socket, its ledger page and what is lent to it.
//!
//! Owned by the pool's state, under its lock. A channel moves bytes and descriptors; what they mean
//! for the pool is not decided here.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use loky_core::effect::{KillReason, Verdict};
use loky_core::ids::{TaskId, WorkerId};
use loky_shm::{AtomicWords, Inlet, Ledger, ShmError};
use loky_sys::socket;
use loky_wire::{Body, Decoder, Frame, Header, Role, Ticket, WireError, encode, encode_body};

use crate::capture::Capture;
use crate::rings::Outlet;
use crate::stacks::Sighting;

/// Frames that wait to be written, each with the descriptors that travel with its first byte.
#[derive(Default)]
pub(crate) struct Outbox {
    parcels: VecDeque<Parcel>,
    /// How many bytes have ever been put in.
    assigned: u64,
}

struct Parcel {
    bytes: Vec<u8>,
    written: usize,
    descriptors: Vec<Arc<OwnedFd>>,
}

/// Small frames are joined up to this many bytes, so that one write carries them.
const JOIN_MAX: usize = 64 * 1024;

impl Outbox {
    /// Appends a frame without a body.
    pub(crate) fn push(&mut self, header: &Header) -> Result<(), WireError> {
        self.append(Vec::new(), |out| encode(header, &[], out))
    }

    /// Appends a frame whose body is bytes.
    pub(crate) fn push_bytes(&mut self, header: &Header, body: &[u8]) -> Result<(), WireError> {
        self.append(Vec::new(), |out| encode(header, &[body], out))
    }

    /// Appends a frame with a body, and descriptors beside it.
    pub(crate) fn push_body(
        &mut self,
        header: Header,
        body: &impl Body,
        descriptors: Vec<Arc<OwnedFd>>,
    ) -> Result<(), WireError> {
        let count = u16::try_from(descriptors.len()).unwrap_or(u16::MAX);
        self.append(descriptors, |out| {
            encode_body(&header.with_fds(count), body, out)
        })
    }

    fn append(
        &mut self,
        descriptors: Vec<Arc<OwnedFd>>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if descriptors.is_empty()
            && let Some(last) = self.parcels.back_mut()
            && last.descriptors.is_empty()
            && last.bytes.len() < JOIN_MAX
        {
            let before = last.bytes.len();
            write(&mut last.bytes)?;
            self.assigned += last.bytes.len().saturating_sub(before) as u64;
            return Ok(());
        }
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        self.assigned += bytes.len() as u64;
        self.parcels.push_back(Parcel {
            bytes,
            written: 0,
            descriptors,
        });
        Ok(())
    }

    /// Writes what the socket takes now. A peer that is gone takes everything: its end is told by
    /// end-of-file and by its reaper, not by a failing write.
    pub(crate) fn flush(&mut self, to: BorrowedFd<'_>) -> io::Result<()> {
        while let Some(parcel) = self.parcels.front_mut() {
            let rest = parcel.bytes.get(parcel.written..).unwrap_or_default();
            let descriptors: Vec<BorrowedFd<'_>> =
                parcel.descriptors.iter().map(AsFd::as_fd).collect();
            match socket::send(to, &[IoSlice::new(rest)], &descriptors) {
                Ok(count) => {
                    drop(descriptors);
                    parcel.written += count;
                    parcel.descriptors.clear();
                    if parcel.written >= parcel.bytes.len() {
                        self.parcels.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_peer_gone(&error) => {
                    self.parcels.clear();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How many bytes have ever been put in, written or not.
    pub(crate) const fn assigned(&self) -> u64 {
        self.assigned
    }

    /// Whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }
}

fn is_peer_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

/// Bytes that come in, as frames with their descriptors.
pub(crate) struct Intake {
    decoder: Decoder,
    descriptors: VecDeque<Option<OwnedFd>>,
    /// The ring beside the socket, where there is one.
    pub(crate) inlet: Option<Inlet<Arc<Page>>>,
}

/// A frame and what travelled with it: `None` in the place of a descriptor that was lost.
pub(crate) type Received = (Frame, Vec<Option<OwnedFd>>);

/// What one read found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    /// Bytes; there may be more.
    Some,
    /// Nothing at the moment.
    Empty,
    /// The other side is closed.
    End,
}

impl Intake {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            decoder: Decoder::new(role),
            descriptors: VecDeque::new(),
            inlet: None,
        }
    }

    /// Reads once into `scratch` and hands the bytes to the decoder.
    pub(crate) fn read(&mut self, from: BorrowedFd<'_>, scratch: &mut [u8]) -> io::Result<Read> {
        loop {
            return match socket::recv(from, scratch, &mut self.descriptors) {
                Ok(0) => Ok(Read::End),
                Ok(count) => {
                    self.decoder.push(scratch.get(..count).unwrap_or_default());
                    Ok(Read::Some)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Empty),
                Err(error) if is_peer_gone(&error) => Ok(Read::End),
                Err(error) => Err(error),
            };
        }
    }

    /// The next whole frame and its descriptors, `None` in the place of one that was lost because
    /// the file table was full.
    pub(crate) fn next(&mut self) -> Result<Option<Received>, ShmError> {
        if let Some(inlet) = &mut self.inlet
            && let Some(frame) = inlet.frame()?
        {
            return Ok(Some((frame, Vec::new())));
        }
        let Some(frame) = self.decoder.next()? else {
            return Ok(None);
        };
        if let Some(inlet) = &mut self.inlet {
            inlet.note_socket(&frame);
        }
        let count = usize::from(frame.header.fds).min(self.descriptors.len());
        let descriptors = self.descriptors.drain(..count).collect();
        Ok(Some((frame, descriptors)))
    }
}

/// The ledger page of a worker, mapped here.
pub(crate) type Page = AtomicWords<loky_sys::memory::Words>;

/// How far a worker has come, for the engine's own book-keeping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Ordered from the launcher, no process known yet.
    Ordered,
    /// There is a process.
    Running,
}

/// What the pool thinks of a worker. The order is the order of severity: the worse word wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Standing {
    /// It serves.
    Serving,
    /// It was told to leave, or said that it would.
    Leaving,
    /// The pool ordered its death.
    Killed,
    /// It broke the protocol: nothing more is read from it, and it is killed.
    Condemned,
}

/// A task that was interrupted, or is about to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struck {
    pub(crate) task: TaskId,
    pub(crate) verdict: Verdict,
    /// When it had begun.
    pub(crate) started_ns: u64,
    /// Where its stack begins in the memory file.
    pub(crate) stack_from: u64,
}

/// A worker and everything that the parent holds of it.
pub(crate) struct Channel {
    pub(crate) worker: WorkerId,
    pub(crate) index: u32,
    pub(crate) pid: i32,
    pub(crate) stage: Stage,
    pub(crate) socket: Arc<OwnedFd>,
    pub(crate) ledger: Ledger<Arc<Page>>,
    pub(crate) slots_free: Vec<u16>,
    pub(crate) outbox: Outbox,
    pub(crate) intake: Intake,
    /// The ring to the worker, where there is one.
    pub(crate) outlet: Option<Outlet>,
    /// The memory file into which its fault handler writes.
    pub(crate) stack: Arc<OwnedFd>,
    /// What comes before in that file has been asked for and read.
    pub(crate) stack_from: u64,
    /// A stack that has been asked for.
    pub(crate) sighting: Option<Sighting>,
    pub(crate) struck: Option<Struck>,
    /// Why the pool killed it.
    pub(crate) killed_for: Option<KillReason>,
    /// Interrupts that have been ordered and not been confirmed: whether the pool wanted them.
    pub(crate) interrupts: VecDeque<bool>,
    /// Segments of the parent that the worker may have mapped, named once for each frame that
    /// carried them: the worker tells of each frame once that it is done with.
    pub(crate) lent: Vec<u32>,
    pub(crate) standing: Standing,
    /// Its end of the socket is closed.
    pub(crate) ended: bool,
    /// When to kill it if its end is not reported by then, once its socket has ended.
    pub(crate) condemn_at_ns: Option<u64>,
    /// The launcher has said that it is made, and so has closed its own copies of the worker's descriptors.
    pub(crate) announced: bool,
    /// It has said that tasks may come.
    pub(crate) ready: bool,
    /// The signals that this pool has had sent to it, a bit each.
    pub(crate) signals_sent: u64,
    /// The cgroups that it is in.
    pub(crate) membership: Option<Arc<str>>,
    /// Its standard error, where the pool was asked to keep its end.
    pub(crate) capture: Option<Capture>,
    /// What it had too much of, where it is being killed for that.
    pub(crate) excess: Option<String>,
}

impl Channel {
    /// The worker is done with a segment that one frame carried; false where it has none such.
    pub(crate) fn take_back(&mut self, segment: u32) -> bool {
        let at = self.lent.iter().position(|lent| *lent == segment);
        at.map(|at| self.lent.swap_remove(at)).is_some()
    }

    /// Whether the poll loop should look for bytes.
    pub(crate) fn wants_read(&self) -> bool {
        !self.ended && self.standing < Standing::Condemned
    }

    /// Whether what it says does not count any more.
    pub(crate) fn is_deaf(&self) -> bool {
        self.standing == Standing::Condemned || self.killed_for == Some(KillReason::Memory)
    }

    /// Gives a slot back whose task is over for this worker. A slot that a wild worker has garbled
    /// is left alone for the rest of its life.
    pub(crate) fn free_slot(&mut self, ticket: Ticket) {
        if self.ledger.release(ticket).is_ok() {
            self.slots_free.push(ticket.slot);
        }
    }

    /// Thinks no better of it than before.
    pub(crate) fn downgrade(&mut self, standing: Standing) {
        self.standing = self.standing.max(standing);
    }

    /// Notes that this signal goes to it by order of the pool.
    pub(crate) fn note_signal(&mut self, signal: u32) {
        self.signals_sent |= 1_u64.checked_shl(signal).unwrap_or(0);
    }

    /// Whether the pool had this signal sent to it.
    pub(crate) fn was_sent(&self, signal: i32) -> bool {
        let bit = 1_u64.checked_shl(signal.unsigned_abs()).unwrap_or(0);
        self.signals_sent & bit != 0
    }
}
