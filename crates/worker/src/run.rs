//! A worker: one task after the other, each claimed before it is handed out and answered once.
//!
//! Owned by the one thread of the worker that runs tasks. It knows nothing of what a task is, and
//! decides nothing about the pool.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use loky_sys::poll::{Interest, poll};
use loky_sys::{cgroup, clock, descriptor, faults, fork, lifeline, process, signal};
use loky_wire::ledger::LAST_WORDS_AT;
use loky_wire::{
    DONE_RAISED, DONE_RETRY, DoneBody, Header, Kind, LeaveReason, PayloadRef, Role, SegmentRef,
    Ticket, ToWorker, WireError, encode, encode_body,
};

use crate::channel::{Channel, Filled, Incoming, Written};
use crate::error::WorkerError;
use crate::ledger::{Ledger, LedgerPage, Shared, open_shared};
use crate::rings::Sight;
use crate::seed::{Seed, read_setup};
use crate::segments::{Outgoing, ResultSegments};
use crate::task::{Opened, TaskIn, open_task};
use crate::view::{FreedNotice, FreedSegments};

/// What the front has to do next.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Run this and reply.
    Task(TaskIn),
    /// This task has been claimed but its bytes cannot be had: reply with an error of this number.
    Lost {
        /// Its number.
        task: u64,
        /// Which attempt this is.
        attempt: u32,
        /// The system's error.
        errno: i32,
    },
    /// The parent wants this worker to end cleanly; everything earlier has been answered.
    Leave,
    /// What the front keeps under this name is not needed any more.
    Forget(Vec<u8>),
    /// The parent is over, or has closed its end.
    ParentGone,
    /// A signal handler ran while the worker waited. Look after it and ask again.
    Interrupted,
}

/// A claimed task that has not been answered.
struct Held {
    task: u64,
    attempt: u32,
    slot: u16,
    started_ns: u64,
    turn: Turn,
}

/// What has been read and waits for its turn.
enum Queued {
    Task(Incoming),
    Leave,
    Forget(Vec<u8>),
}

/// The worker's side of its connection.
pub struct Worker {
    id: u64,
    index: u32,
    setup: OwnedFd,
    setup_len: u32,
    stack: OwnedFd,
    ledger: Ledger,
    /// The page of the ledger, in whose head the last words have their place.
    page: Arc<LedgerPage>,
    channel: Channel,
    queue: VecDeque<Queued>,
    held: Option<Held>,
    /// The last answer, which may be repeated without effect.
    answered: Option<(u64, u32)>,
    results: ResultSegments,
    freed: Arc<FreedSegments>,
    /// Small frames that travel with the next write.
    outbox: Vec<u8>,
    leaving: bool,
    parent_gone: bool,
    /// Which fork it lives in.
    generation: u64,
}

impl Worker {
    /// Takes up the part of a worker: dies with the zygote from here on, keeps its own orphans
    /// below itself. Interrupts are still ignored: the front takes them when it can.
    pub fn begin(mut seed: Seed) -> Result<Self, WorkerError> {
        fork::watch_forks();
        lifeline::arm_lifeline(seed.zygote_pid)
            .map_err(WorkerError::begin("tie its life to the zygote's"))?;
        if let Some(door) = seed.door.take() {
            // Where it cannot be entered the limit is kept by looking, as everywhere.
            drop(cgroup::enter(door));
        }
        process::set_child_subreaper().map_err(WorkerError::begin("become a subreaper"))?;
        // Blocked in a worker that was executed, ignored in every one.
        signal::unblock(signal::SIGINT);
        // The parent's numbers count: whoever else may have one here (a preloaded module) loses it.
        let extra = std::mem::take(&mut seed.extra);
        descriptor::place(
            extra,
            &mut [
                &mut seed.socket,
                &mut seed.ledger,
                &mut seed.setup,
                &mut seed.stack,
            ],
        )
        .map_err(WorkerError::begin("put its descriptors in place"))?;
        let Shared {
            ledger,
            page,
            rings,
        } = open_shared(&seed.ledger)?;
        Ok(Self {
            id: seed.worker,
            index: seed.index,
            setup: seed.setup,
            setup_len: seed.setup_len,
            stack: seed.stack,
            ledger,
            page,
            channel: Channel::new(seed.socket, Role::ParentToWorker).with_rings(rings),
            queue: VecDeque::new(),
            held: None,
            answered: None,
            results: ResultSegments::new(),
            freed: Arc::default(),
            outbox: Vec::new(),
            leaving: false,
            parent_gone: false,
            generation: fork::fork_generation(),
        })
    }

    /// The worker's number in the life of its pool.
    pub fn worker_id(&self) -> u64 {
        self.id
    }

    /// The worker's place in the pool.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Whether this process is a fork of the worker, made by a task by the C library: it must not answer. No
    /// system call is made for it.
    pub fn is_copy(&self) -> bool {
        fork::fork_generation() != self.generation
    }

    /// What the front needs to set itself up.
    pub fn setup_bytes(&self) -> Result<Vec<u8>, WorkerError> {
        read_setup(&self.setup, self.setup_len)
    }

    /// Where the fault handler writes the stack.
    pub fn stack_fd(&self) -> BorrowedFd<'_> {
        self.stack.as_fd()
    }

    /// Has what the kernel says about a fault of this process kept for the parent. To be called
    /// once, after the front's own handlers of faults have been installed: they come after it.
    pub fn keep_last_words(&self) -> Result<(), WorkerError> {
        let first = LAST_WORDS_AT / size_of::<u64>();
        faults::watch(Arc::clone(&self.page), first)
            .map_err(WorkerError::begin("watch for its own faults"))
    }

    /// Tells the parent that tasks may come.
    pub fn ready(&mut self) -> Result<(), WorkerError> {
        self.say(&Header::bare(Kind::Ready, process::pid().cast_unsigned()))?;
        self.flush()
    }

    /// Tells the parent that the worker will leave by itself after what it has claimed.
    pub fn leaving(&mut self, reason: LeaveReason) -> Result<(), WorkerError> {
        self.say(&Header::bare(Kind::Leaving, reason.code()))?;
        self.flush()
    }

    /// The next thing to do; waits for it. As long as a task has not been answered it is that task
    /// again, so a front that was interrupted on the way may ask twice.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not tell a failure from the end"
    )]
    pub fn next(&mut self) -> Result<Turn, WorkerError> {
        loop {
            if let Some(held) = &self.held {
                return Ok(held.turn.clone());
            }
            if self.parent_gone {
                return Ok(Turn::ParentGone);
            }
            if self.leaving {
                return Ok(Turn::Leave);
            }
            match self.queue.pop_front() {
                Some(Queued::Task(incoming)) => self.claim(incoming)?,
                Some(Queued::Leave) => self.leaving = true,
                Some(Queued::Forget(name)) => return Ok(Turn::Forget(name)),
                None => {
                    self.flush()?;
                    if self.wait()? == Filled::Interrupted {
                        return Ok(Turn::Interrupted);
                    }
                }
            }
        }
    }

    /// Waits for frames and sorts them: looks for a while where that pays, then sleeps.
    fn wait(&mut self) -> Result<Filled, WorkerError> {
        match self.channel.look()? {
            Sight::Found => self.sort()?,
            // The front looks after signals that came meanwhile; the next wait sleeps at once.
            Sight::Vain => return Ok(Filled::Interrupted),
            Sight::Untried => {}
        }
        if !self.queue.is_empty() || !self.channel.may_sleep()? {
            self.sort()?;
            return Ok(Filled::Bytes);
        }
        let slept = self.sleep();
        let something = matches!(slept, Ok(Filled::Bytes));
        self.channel.awake(something);
        slept
    }

    /// Sleeps until there are bytes and reads them. A worker that sleeps for long gives up its free
    /// segments.
    fn sleep(&mut self) -> Result<Filled, WorkerError> {
        while let Some(interval_ns) = self.results.trim_interval_ns() {
            let mut interests = [Interest::new(self.channel.as_fd(), true, false)];
            match poll(&mut interests, Some(interval_ns)) {
                Ok(0) => self.results.trim(),
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    return Ok(Filled::Interrupted);
                }
                Err(error) => return Err(WorkerError::Socket(error)),
            }
        }
        self.read()
    }

    /// Reads once and sorts what has come.
    fn read(&mut self) -> Result<Filled, WorkerError> {
        let filled = self.channel.fill()?;
        self.parent_gone |= filled == Filled::End;
        self.sort()?;
        Ok(filled)
    }

    /// Sorts what has come: a freed segment is of use at once, the rest in order.
    fn sort(&mut self) -> Result<(), WorkerError> {
        while let Some(incoming) = self.channel.frame()? {
            let header = incoming.frame.header;
            match ToWorker::of(header.kind) {
                Some(ToWorker::Task) => self.queue.push_back(Queued::Task(incoming)),
                Some(ToWorker::Leave) => self.queue.push_back(Queued::Leave),
                Some(ToWorker::Forget) => self.queue.push_back(Queued::Forget(incoming.frame.body)),
                Some(ToWorker::SegmentFreed) => self.results.freed(header.aux)?,
                // The channel has heard the bell.
                Some(ToWorker::Bell) | None => {
                    return Err(WorkerError::Protocol {
                        kind: header.kind,
                        what: "no business with a worker",
                    });
                }
            }
        }
        Ok(())
    }

    /// Reads what has come already, so that segments which the parent has freed can be used.
    fn read_waiting(&mut self) -> Result<(), WorkerError> {
        self.sort()?;
        loop {
            let mut interests = [Interest::new(self.channel.as_fd(), true, false)];
            // An interruption here costs at most one more segment.
            let found = poll(&mut interests, Some(0)).unwrap_or(0);
            if found == 0 || self.parent_gone || self.read()? != Filled::Bytes {
                return Ok(());
            }
        }
    }

    /// Claims a task that has come. One that the parent has withdrawn is told so and left alone.
    fn claim(&mut self, incoming: Incoming) -> Result<(), WorkerError> {
        let header = incoming.frame.header;
        let (task, attempt, kind) = (header.task, header.attempt, header.kind);
        let slot = u16::try_from(header.aux).map_err(|_| WorkerError::Protocol {
            kind,
            what: "no slot",
        })?;
        let body = incoming.frame.task_body()?;
        let ticket = Ticket {
            slot,
            generation: body.generation,
        };
        // Whatever becomes of the task, the parent is told exactly once for this frame and each
        // segment of it that it is not needed here any more: by its notice, or by the last view, which
        // takes that.
        let notices = body
            .payload
            .segments
            .iter()
            .map(|segment| FreedNotice::new(segment.id, Arc::clone(&self.freed)))
            .collect();
        let started_ns = clock::monotonic_ns();
        if !self.ledger.claim(ticket, started_ns) {
            return self.say(&Header::for_task(Kind::Revoked, task, attempt, slot));
        }
        let turn = match open_task(incoming, notices)? {
            Opened::Task(task) => Turn::Task(task),
            Opened::Lost(errno) => Turn::Lost {
                task,
                attempt,
                errno,
            },
        };
        self.held = Some(Held {
            task,
            attempt,
            slot,
            started_ns,
            turn,
        });
        Ok(())
    }

    /// Answers the task that is held. A second answer for the same attempt changes nothing.
    ///
    /// Where the error [leaves the worker usable](WorkerError::leaves_worker_usable), nothing was
    /// sent, the task is held as before, and another answer may follow.
    pub fn reply(
        &mut self,
        task: u64,
        attempt: u32,
        outgoing: &Outgoing<'_>,
    ) -> Result<(), WorkerError> {
        let Some(held) = self
            .held
            .as_ref()
            .filter(|held| (held.task, held.attempt) == (task, attempt))
        else {
            let repeated = self.answered == Some((task, attempt));
            return if repeated {
                Ok(())
            } else {
                Err(WorkerError::NotHeld { task, attempt })
            };
        };
        let run_ns = clock::monotonic_ns().saturating_sub(held.started_ns);
        let flags = if outgoing.raised { DONE_RAISED } else { 0 }
            | if outgoing.retry_wanted { DONE_RETRY } else { 0 };
        let header = Header::for_task(Kind::Done, task, attempt, held.slot).with_flags(flags);
        self.answer(&header, outgoing, |header, payload, out| {
            encode_body(header, &DoneBody { run_ns, payload }, out)
        })?;
        self.answered = Some((task, attempt));
        self.held = None;
        Ok(())
    }

    /// Tells the parent that the initializer raised; `outgoing` is the exception.
    pub fn initializer_failed(&mut self, outgoing: &Outgoing<'_>) -> Result<(), WorkerError> {
        let header = Header::bare(Kind::InitializerFailed, 0);
        self.answer(&header, outgoing, |header, payload, out| {
            encode_body(header, &payload, out)
        })
    }

    /// Sends a frame with a payload, and all small frames before it, in one write.
    fn answer<E>(
        &mut self,
        header: &Header,
        outgoing: &Outgoing<'_>,
        encode: E,
    ) -> Result<(), WorkerError>
    where
        E: FnOnce(&Header, PayloadRef<'_>, &mut Vec<u8>) -> Result<(), WireError>,
    {
        if outgoing.is_large() {
            self.read_waiting()?;
        }
        let packed = self.results.pack(outgoing)?;
        let (segment, payload) = (packed.segment, packed.payload);
        self.say_freed()?;
        let said = self.outbox.len();
        let header = header.with_fds(u16::from(segment.is_some()));
        let written = match encode(&header, payload, &mut self.outbox) {
            Ok(()) => self.write_with(segment),
            Err(error) => Err(WorkerError::Unsendable(error)),
        };
        if let Err(error) = written {
            self.outbox.truncate(said);
            if let Some(SegmentRef { id, .. }) = segment {
                self.results.unsent(id)?;
            }
            return Err(error);
        }
        self.outbox.clear();
        if let Some(SegmentRef { id, .. }) = segment {
            self.results.sent(id)?;
        }
        self.results.trim();
        Ok(())
    }

    /// Writes the outbox with the descriptor of a segment. Where the kernel refuses to carry a
    /// descriptor, not a byte has left.
    fn write_with(&mut self, segment: Option<SegmentRef>) -> Result<(), WorkerError> {
        if segment.is_none() {
            self.parent_gone |= !self.channel.post(&self.outbox)?;
            return Ok(());
        }
        let attached = segment.and_then(|segment| self.results.descriptor(segment.id));
        match (
            self.channel.write_some(&self.outbox, attached.as_slice()),
            segment,
        ) {
            (Ok(Written::Bytes(count)), _) => {
                let rest = self.outbox.get(count..).unwrap_or_default();
                self.parent_gone |= !self.channel.write_all(rest)?;
                Ok(())
            }
            // Whoever is gone needs no answer; the next turn tells.
            (Ok(Written::End), _) => {
                self.parent_gone = true;
                Ok(())
            }
            (Ok(Written::Full), _) => Err(WorkerError::Socket(ErrorKind::WouldBlock.into())),
            (Err(WorkerError::Socket(source)), Some(segment)) => Err(WorkerError::Segment {
                needed_bytes: segment.size,
                source,
            }),
            (Err(error), _) => Err(error),
        }
    }

    /// Appends a small frame to what travels with the next write.
    fn say(&mut self, header: &Header) -> Result<(), WorkerError> {
        Ok(encode(header, &[], &mut self.outbox)?)
    }

    /// Appends the news of segments whose last view has died.
    fn say_freed(&mut self) -> Result<(), WorkerError> {
        for segment in self.freed.take() {
            self.say(&Header::bare(Kind::SegmentFreed, segment))?;
        }
        Ok(())
    }

    /// Writes what has been said.
    fn flush(&mut self) -> Result<(), WorkerError> {
        self.say_freed()?;
        if !self.outbox.is_empty() {
            self.parent_gone |= !self.channel.post(&self.outbox)?;
            self.outbox.clear();
        }
        Ok(())
    }
}
