//! The parent's ends of a worker's two rings.
//!
//! Owned by the worker's channel, under the pool's lock. They move frames; what they mean for the
//! pool is not decided here. A pool that was told to use sockets has none of this.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use loky_shm::{Inlet, Look, RingWriter, ShmError, Words};
use loky_wire::limits::{LEDGER_LEN, LEDGER_SLOTS};
use loky_wire::ring::{RECORD_MAX, RINGS_LEN, SPIN_AT, TO_PARENT, TO_WORKER};
use loky_wire::{Body, Header, Kind, Role, WireError, encode, encode_body};

use crate::channel::{Channel, Page};
use crate::config::Transport;
use crate::state::State;
use loky_core::ids::WorkerId;

/// For how long a worker may look for its next task before it sleeps, where a processor is free.
const LOOK_NS: u64 = 40_000;

/// The same where tasks come one by one and are waited for: a worker that is awake when the next one comes
/// is what brings the time between two of them far below this.
const LONE_LOOK_NS: u64 = 250_000;

/// Frames that are taken from one ring before the other workers get their turn: as many as are sent
/// to a worker at the most, and their notices.
pub(crate) const FRAMES_MAX: usize = 256;

/// Far more frames than a ring and a read of the socket hold together. Whoever gives more writes while
/// it is read, and has no end.
pub(crate) const RING_FRAMES_MAX: usize = 1 << 16;

/// Bytes of the page that a worker shares with its parent.
pub(crate) const fn page_len(transport: Transport) -> usize {
    match transport {
        Transport::Ring => RINGS_LEN,
        Transport::Socket => LEDGER_LEN,
    }
}

/// The end that writes.
pub(crate) struct Outlet {
    page: Arc<Page>,
    writer: RingWriter<Arc<Page>>,
    frame: Vec<u8>,
    /// Something has been committed since the last look whether the worker sleeps.
    committed: bool,
    /// The worker slept when it was last sent something.
    slept: bool,
    /// What the worker has written into its words, if no worker writes that.
    fault: Option<ShmError>,
}

/// Both ends of a worker's rings; `None` where it has none.
pub(crate) type Ends = Option<(Outlet, Inlet<Arc<Page>>)>;

/// Makes the ends over a page that is long enough for them.
pub(crate) fn ends_over(page: &Arc<Page>, transport: Transport) -> Result<Ends, ShmError> {
    if transport == Transport::Socket {
        return Ok(None);
    }
    let outlet = Outlet {
        page: Arc::clone(page),
        writer: RingWriter::over(Arc::clone(page), TO_WORKER)?,
        frame: Vec::new(),
        committed: false,
        slept: false,
        fault: None,
    };
    let inlet = Inlet::over(Arc::clone(page), TO_PARENT, Role::WorkerToParent)?;
    Ok(Some((outlet, inlet)))
}

/// How much a worker has committed, to be read without the pool's lock. What lies there is only read
/// under it, by the one reader that there is.
pub(crate) struct Tail(Arc<Page>);

impl Tail {
    pub(crate) fn read(&self) -> u64 {
        let word = self.0.word(TO_PARENT.tail_at);
        word.map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

impl Outlet {
    /// Whether the worker slept when it was last sent something.
    pub(crate) const fn has_woken(&self) -> bool {
        self.slept
    }

    /// What tells of something new from the worker.
    pub(crate) fn tail(&self) -> Tail {
        Tail(Arc::clone(&self.page))
    }

    /// Commits a frame behind `after` bytes of the socket. False: it goes by the socket, because the
    /// worker sleeps and is woken by that, or because there is no room.
    fn commit(
        &mut self,
        after: u64,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<bool, WireError> {
        self.slept = self.writer.reader_seems_asleep();
        if self.fault.is_some() || self.slept {
            return Ok(false);
        }
        self.frame.clear();
        write(&mut self.frame)?;
        match self.writer.push(after, &self.frame) {
            Ok(committed) => {
                self.committed |= committed;
                Ok(committed)
            }
            Err(fault) => {
                self.fault = Some(fault);
                Ok(false)
            }
        }
    }

    /// Has a worker that looks into its ring look at the socket. One that sleeps does so anyway.
    fn point_to_socket(&mut self, after: u64) {
        let bell = Header::bare(Kind::Bell, 0).to_bytes();
        let pointed = self.commit(after, |out| {
            out.extend_from_slice(&bell);
            Ok(())
        });
        debug_assert!(pointed.is_ok(), "{pointed:?}");
    }
}

impl Channel {
    /// Sends a frame without a body, by whichever way.
    pub(crate) fn post(&mut self, header: &Header) -> Result<(), WireError> {
        if self.outbox.is_empty()
            && let Some(outlet) = &mut self.outlet
            && outlet.commit(self.outbox.assigned(), |out| encode(header, &[], out))?
        {
            return Ok(());
        }
        self.outbox.push(header)
    }

    /// Sends a frame with a body and without descriptors, by whichever way.
    pub(crate) fn post_body(&mut self, header: Header, body: &impl Body) -> Result<(), WireError> {
        if self.outbox.is_empty()
            && body.encoded_len() < RECORD_MAX
            && let Some(outlet) = &mut self.outlet
            && outlet.commit(self.outbox.assigned(), |out| {
                encode_body(&header, body, out)
            })?
        {
            return Ok(());
        }
        self.outbox.push_body(header, body, Vec::new())
    }

    /// Writes what waits, and wakes a worker that sleeps beside a ring in which something lies.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(outlet) = &mut self.outlet {
            if outlet.fault.is_some() {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            if self.outbox.is_empty() {
                let sleeps = std::mem::take(&mut outlet.committed) && outlet.writer.must_ring();
                if !sleeps {
                    return Ok(());
                }
                let rung = self.outbox.push(&Header::bare(Kind::Bell, 0));
                debug_assert!(rung.is_ok(), "{rung:?}");
            } else {
                outlet.point_to_socket(self.outbox.assigned());
                outlet.committed = false;
                outlet.writer.will_wake();
            }
        }
        self.outbox.flush(self.socket.as_fd())
    }

    /// Whether its ring has to be looked into: for a frame, or for what no worker writes.
    pub(crate) fn has_ring_frame(&mut self) -> bool {
        let wants = self.wants_read() && !self.is_deaf();
        let inlet = self.intake.inlet.as_mut().filter(|_| wants);
        inlet.is_some_and(|inlet| !matches!(inlet.look(), Ok(Look::Nothing | Look::Socket)))
    }

    /// Lets the worker look for its next frame for so long before it sleeps.
    fn allow_look(&self, limit_ns: u64) {
        if let Some(outlet) = &self.outlet
            && let Some(word) = outlet.page.word(SPIN_AT)
            && word.load(Ordering::Relaxed) != limit_ns
        {
            word.store(limit_ns, Ordering::Relaxed);
        }
    }

    /// Whether the worker has tasks.
    fn is_busy(&self) -> bool {
        self.slots_free.len() < usize::from(LEDGER_SLOTS)
    }
}

impl State {
    /// Says that the loop is about to sleep on the sockets. False: there are frames already.
    pub(crate) fn may_sleep(&mut self) -> bool {
        if self.lookers > 0 {
            // Whoever looks asks again when done, and wakes the loop if there is something.
            return true;
        }
        let mut nothing = true;
        for channel in self.channels.values_mut() {
            if let Some(inlet) = &mut channel.intake.inlet {
                inlet.arm();
                nothing &= !channel.has_ring_frame();
            }
        }
        nothing
    }

    /// Takes what lies in the rings. The loop looks again before it sleeps, so workers that have
    /// tasks need not ring until then.
    pub(crate) fn read_rings(&mut self) {
        if self.config.transport == Transport::Socket {
            return;
        }
        let mut found: Vec<WorkerId> = Vec::new();
        for channel in self.channels.values_mut() {
            if channel.is_busy()
                && let Some(inlet) = &mut channel.intake.inlet
            {
                inlet.disarm();
            }
            if channel.has_ring_frame() {
                found.push(channel.worker);
            }
        }
        for worker in found {
            self.take_frames(worker, FRAMES_MAX);
            self.dirty.push(worker);
        }
    }

    /// Whether a processor is left beside those of the busy workers.
    pub(crate) fn has_processor_left(&self) -> bool {
        let busy = self.channels.values().filter(|channel| channel.is_busy());
        busy.take(self.processors).count() < self.processors
    }

    /// Lets a worker that is being given a task look for the next one, where a processor is left for
    /// it beside those of the other busy workers and that of this process.
    pub(crate) fn allow_look(&self, worker: WorkerId) {
        if self.config.transport == Transport::Socket {
            return;
        }
        let limit_ns = if !self.has_processor_left() {
            0
        } else if self.tasks.len() == 1 && self.may_look() {
            LONE_LOOK_NS
        } else {
            LOOK_NS
        };
        if let Some(channel) = self.channels.get(&worker) {
            channel.allow_look(limit_ns);
        }
    }
}
