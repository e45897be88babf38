//! The worker's ends of its two rings, and how long it looks before it sleeps.
//!
//! Owned by the worker's channel. It moves frames; the socket, which is also the bell, stays with
//! the channel. A worker whose page has no rings has none of this.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::yield_now;

use loky_shm::{Inlet, Look, Patience, RingWriter, Spin, Step, Words};
use loky_sys::{clock, process};
use loky_wire::ring::{SPIN_AT, TO_PARENT, TO_WORKER};
use loky_wire::{Frame, Role};

use crate::error::WorkerError;
use crate::ledger::LedgerPage;

/// The longest look, whatever the parent allows.
const LOOK_MAX_NS: u64 = 250_000;

/// Looks between two readings of the clock.
const LOOKS: u32 = 32;

pub(crate) struct Rings {
    page: Arc<LedgerPage>,
    inlet: Inlet<Arc<LedgerPage>>,
    writer: RingWriter<Arc<LedgerPage>>,
    /// How many bytes have been written to the socket.
    written: u64,
    patience: Patience,
    /// Since when there has been nothing to do.
    waiting_since_ns: Option<u64>,
    /// How often this thread had been made to give up its processor before the last wait, where that was
    /// asked.
    preemptions: Option<u64>,
    /// A look in vain is not repeated in the same wait.
    looked: bool,
}

/// What came of looking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sight {
    /// There is something: in the ring, or on its way by the socket.
    Found,
    /// There was nothing for as long as it was looked.
    Vain,
    /// It was not looked: it would not pay.
    Untried,
}

impl Rings {
    pub(crate) fn over(page: &Arc<LedgerPage>) -> Result<Self, WorkerError> {
        Ok(Self {
            page: Arc::clone(page),
            inlet: Inlet::over(Arc::clone(page), TO_WORKER, Role::ParentToWorker)?,
            writer: RingWriter::over(Arc::clone(page), TO_PARENT)?,
            written: 0,
            patience: Patience::default(),
            waiting_since_ns: None,
            preemptions: None,
            looked: false,
        })
    }

    /// The next frame that has its turn before any more of the socket.
    pub(crate) fn frame(&mut self) -> Result<Option<Frame>, WorkerError> {
        Ok(self.inlet.frame()?)
    }

    /// A frame of the socket is being taken.
    pub(crate) fn note_socket(&mut self, frame: &Frame) {
        self.inlet.note_socket(frame);
    }

    /// Bytes are about to be written to the socket.
    pub(crate) fn will_write(&mut self) {
        self.writer.will_wake();
    }

    /// Bytes have been written to the socket.
    pub(crate) fn wrote(&mut self, count: usize) {
        self.written = self.written.wrapping_add(count as u64);
    }

    /// Whether the parent has to be woken anyway, so that bytes on the socket are as good.
    pub(crate) fn parent_seems_asleep(&self) -> bool {
        self.writer.reader_seems_asleep()
    }

    /// Commits whole frames. False: there is no room.
    pub(crate) fn commit(&mut self, frames: &[u8]) -> Result<bool, WorkerError> {
        Ok(self.writer.push(self.written, frames)?)
    }

    /// After a commit: whether the parent has to be woken.
    pub(crate) fn must_ring(&mut self) -> bool {
        self.writer.must_ring()
    }

    /// Looks for a short time, where the waits before were short and the parent sees room for it.
    pub(crate) fn look(&mut self) -> Result<Sight, WorkerError> {
        if self.inlet.look()? != Look::Nothing {
            self.found();
            return Ok(Sight::Found);
        }
        let limit_ns = self.limit_ns();
        if limit_ns == 0 {
            return Ok(Sight::Untried);
        }
        let begun_ns = clock::monotonic_ns();
        self.waiting_since_ns.get_or_insert(begun_ns);
        if self.has_been_preempted(limit_ns) && self.patience.is_ready() {
            self.patience.disturbed();
        }
        let begun = self.patience.begin(begun_ns, limit_ns);
        let Some(mut spin) = begun.filter(|_| !self.looked) else {
            return Ok(Sight::Untried);
        };
        self.looked = true;
        let found = self.spin(&mut spin, begun_ns)?;
        self.patience.end(spin, clock::monotonic_ns(), found);
        if !found {
            return Ok(Sight::Vain);
        }
        self.found();
        Ok(Sight::Found)
    }

    fn spin(&mut self, spin: &mut Spin, mut now_ns: u64) -> Result<bool, WorkerError> {
        loop {
            match spin.step(now_ns) {
                Step::Look => {}
                Step::Yield => yield_now(),
                Step::Stop => return Ok(false),
            }
            for _ in 0..LOOKS {
                if self.inlet.look()? != Look::Nothing {
                    return Ok(true);
                }
                spin_loop();
            }
            now_ns = clock::monotonic_ns();
        }
    }

    /// Says that the worker is about to sleep on the socket. False: there is a frame, it must not.
    pub(crate) fn may_sleep(&mut self) -> Result<bool, WorkerError> {
        self.inlet.arm();
        let nothing = self.inlet.look()? != Look::Frame;
        if !nothing {
            self.inlet.disarm();
        }
        Ok(nothing)
    }

    /// The worker is awake, with something to do or not.
    pub(crate) fn awake(&mut self, something: bool) {
        self.inlet.disarm();
        if something {
            self.found();
        }
    }

    /// Whether somebody else wanted the processor since the last wait: looking on would be at his
    /// expense, and he would be served at ours, in the middle of a task. Not asked where tasks come one by
    /// one: that look offers the processor, and who wanted it may well be the parent, woken for an answer.
    fn has_been_preempted(&mut self, limit_ns: u64) -> bool {
        let now = (!Spin::offers(limit_ns)).then(process::preemptions);
        let before = std::mem::replace(&mut self.preemptions, now);
        before.is_some() && now.is_some() && before != now
    }

    fn found(&mut self) {
        self.looked = false;
        if let Some(since_ns) = self.waiting_since_ns.take() {
            let waited_ns = clock::monotonic_ns().saturating_sub(since_ns);
            self.patience.learn(waited_ns, self.limit_ns());
        }
    }

    /// For how long the parent lets this worker look.
    fn limit_ns(&self) -> u64 {
        let allowed = self.page.word(SPIN_AT);
        allowed.map_or(0, |word| word.load(Ordering::Relaxed).min(LOOK_MAX_NS))
    }
}
