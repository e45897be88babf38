//! What workers and the launcher say, turned into events.
//!
//! Whatever a worker sends that is not right condemns that worker and nobody else.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use loky_core::event::{Event, LeaveReason};
use loky_core::ids::{Attempt, TaskId, WorkerId};
use loky_sys::clock;
use loky_sys::memory::Mapping;
use loky_wire::{DONE_RAISED, DONE_RETRY, Frame, FromWorker, FromZygote, Part, PayloadRef, Piece};

use crate::answer::{Answer, AnswerSegment, AnswerStream, AnswerView};
use crate::channel::{Read, Stage, Standing};
use crate::ends::Ending;
use crate::rings::{FRAMES_MAX, RING_FRAMES_MAX};
use crate::state::{Received, State};

/// How long a worker whose socket has ended may take to be reported as over.
const END_GRACE_NS: u64 = 1_000_000_000;

/// A worker said something that the protocol does not allow.
pub(crate) struct Offence;

impl State {
    /// Reads what a worker has sent, until its socket is empty or `reads_max` reads are done.
    pub(crate) fn read_worker(&mut self, worker: WorkerId, scratch: &mut [u8], reads_max: usize) {
        for _ in 0..reads_max {
            let Some(channel) = self.channels.get_mut(&worker) else {
                return;
            };
            if !channel.wants_read() {
                // What was committed before the socket's end counts.
                self.take_frames(worker, RING_FRAMES_MAX);
                return;
            }
            let socket = Arc::clone(&channel.socket);
            match channel.intake.read(socket.as_fd(), scratch) {
                Ok(Read::Some) => self.take_frames(worker, RING_FRAMES_MAX),
                Ok(Read::Empty) => {
                    self.take_frames(worker, FRAMES_MAX);
                    return;
                }
                Ok(Read::End) => {
                    channel.ended = true;
                    if channel.standing < Standing::Leaving {
                        let by_ns = clock::monotonic_ns().saturating_add(END_GRACE_NS);
                        channel.condemn_at_ns = Some(by_ns);
                    }
                    self.take_frames(worker, RING_FRAMES_MAX);
                    return;
                }
                Err(_) => {
                    self.condemn(worker);
                    return;
                }
            }
        }
    }

    /// Takes at most so many frames that have come.
    pub(crate) fn take_frames(&mut self, worker: WorkerId, frames_max: usize) {
        for _ in 0..frames_max {
            let Some(channel) = self.channels.get_mut(&worker) else {
                return;
            };
            if channel.is_deaf() {
                return;
            }
            let taken = match channel.intake.next() {
                Ok(None) => return,
                Ok(Some((frame, descriptors))) => self.on_frame(worker, &frame, descriptors),
                Err(_) => Err(Offence),
            };
            if taken.is_err() {
                self.condemn(worker);
                return;
            }
        }
    }

    fn on_frame(
        &mut self,
        worker: WorkerId,
        frame: &Frame,
        descriptors: Vec<Option<OwnedFd>>,
    ) -> Result<(), Offence> {
        let header = &frame.header;
        match FromWorker::of(header.kind).ok_or(Offence)? {
            FromWorker::Ready => self.on_ready(worker, header.aux),
            FromWorker::Done => return self.on_done(worker, frame, descriptors),
            FromWorker::SegmentFreed => {
                let Some(channel) = self.channels.get_mut(&worker) else {
                    return Ok(());
                };
                if !channel.take_back(header.aux) {
                    return Err(Offence);
                }
                self.segments.give_back(header.aux, worker);
            }
            FromWorker::InitializerFailed => {
                let payload = PayloadRef::decode(&frame.body).map_err(|_| Offence)?;
                let failure = self.answer_of(worker, &payload, descriptors)?;
                if let Received::Value(answer) = failure {
                    self.initializer_failure = Some(answer);
                }
                self.feed(Event::InitializerFailed { worker });
            }
            FromWorker::Leaving => {
                if let Some(channel) = self.channels.get_mut(&worker) {
                    channel.downgrade(Standing::Leaving);
                }
                let reason = if header.aux == 1 {
                    LeaveReason::MemoryGrowth
                } else {
                    LeaveReason::Asked
                };
                self.feed(Event::WorkerLeaving { worker, reason });
            }
            FromWorker::Revoked | FromWorker::Bell => {}
        }
        Ok(())
    }

    fn on_ready(&mut self, worker: WorkerId, pid: u32) {
        if let Some(channel) = self.channels.get_mut(&worker) {
            channel.ready = true;
            // The launcher's word that it has a process may come later, or never, if the launcher is
            // killed in between.
            channel.stage = Stage::Running;
            channel.pid = i32::try_from(pid).unwrap_or(channel.pid);
        }
        self.meet(worker);
        self.feed(Event::WorkerReady { worker });
    }

    fn on_done(
        &mut self,
        worker: WorkerId,
        frame: &Frame,
        descriptors: Vec<Option<OwnedFd>>,
    ) -> Result<(), Offence> {
        let body = frame.done_body().map_err(|_| Offence)?;
        let (task, attempt) = (TaskId(frame.header.task), Attempt(frame.header.attempt));
        let answer = self.answer_of(worker, &body.payload, descriptors)?;
        let received = match answer {
            Received::Value(answer) if frame.header.flags & DONE_RAISED != 0 => {
                Received::Raised(answer)
            }
            other => other,
        };
        self.release_claim(worker, task, attempt);
        self.note_run(body.run_ns);
        let retry_wanted = frame.header.flags & DONE_RETRY != 0;
        if retry_wanted {
            self.note_raised(worker, task, body.run_ns);
        }
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.received = Some(received);
        }
        self.feed(Event::TaskFinished {
            worker,
            task,
            attempt,
            run_ns: body.run_ns,
            retry_wanted,
        });
        // A late or foreign answer was dropped by the core: its pages go back at once.
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.received = None;
            entry.report = None;
        }
        // What was kept of a task that was struck has been told, or nobody wants to know.
        if let Some(channel) = self.channels.get_mut(&worker)
            && channel
                .struck
                .take_if(|struck| struck.task == task)
                .is_some()
        {
            channel.forget_stack();
        }
        Ok(())
    }

    fn release_claim(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        let Some(placement) = entry.placement else {
            return;
        };
        if placement.worker == worker
            && placement.attempt == attempt
            && let Some(ticket) = placement.ticket
            && let Some(channel) = self.channels.get_mut(&worker)
        {
            channel.free_slot(ticket);
            entry.placement = None;
        }
    }

    /// The payload of a frame as an answer; a resource that is lacking here is the task's end, not
    /// the worker's.
    fn answer_of(
        &mut self,
        worker: WorkerId,
        payload: &PayloadRef<'_>,
        descriptors: Vec<Option<OwnedFd>>,
    ) -> Result<Received, Offence> {
        let mut descriptors = descriptors.into_iter();
        let segment = match payload.segments.as_slice() {
            [] => None,
            // A worker fills one segment for an answer.
            [_, _, ..] => return Err(Offence),
            [reference] => {
                let size = usize::try_from(reference.size).map_err(|_| Offence)?;
                let mapped = match descriptors.next() {
                    None => return Err(Offence),
                    Some(None) => Err(loky_sys::errno::EMFILE),
                    Some(Some(file)) => Mapping::private(file.as_fd(), size)
                        .map_err(|error| error.raw_os_error().unwrap_or(0)),
                };
                match mapped {
                    Ok(mapping) => {
                        let freed = Arc::clone(&self.freed);
                        Some(Arc::new(AnswerSegment::new(
                            mapping,
                            worker,
                            reference.id,
                            freed,
                        )))
                    }
                    Err(errno) => return Ok(Received::Undeliverable(errno)),
                }
            }
        };
        let view = |part: &Part| {
            segment
                .as_ref()
                .and_then(|segment| AnswerView::new(segment, part.extent))
                .ok_or(Offence)
        };
        let stream = match payload.pieces.as_slice() {
            [] => AnswerStream::Inline(payload.inline.to_vec()),
            [Piece::Placed(part)] => AnswerStream::InSegment(view(part)?),
            [_, ..] => return Err(Offence),
        };
        let buffers = payload
            .buffers
            .iter()
            .map(view)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Received::Value(Answer { stream, buffers }))
    }

    /// Reads what the launcher has sent. Its end, or a word that it may not say, is its death.
    pub(crate) fn read_launcher(&mut self, scratch: &mut [u8]) {
        loop {
            let Some(launcher) = &mut self.launcher else {
                return;
            };
            let control = Arc::clone(&launcher.control);
            match launcher.intake.read(control.as_fd(), scratch) {
                Ok(Read::Some) => {}
                Ok(Read::Empty) => return,
                Ok(Read::End) | Err(_) => {
                    self.on_launcher_end(scratch);
                    return;
                }
            }
            while let Some(launcher) = &mut self.launcher {
                match launcher.intake.next() {
                    Ok(None) => break,
                    Ok(Some((frame, _))) => self.on_launcher_frame(&frame, scratch),
                    Err(_) => {
                        self.on_launcher_end(scratch);
                        return;
                    }
                }
            }
        }
    }

    fn on_launcher_frame(&mut self, frame: &Frame, scratch: &mut [u8]) {
        let worker = WorkerId(frame.header.task);
        if let Some(launcher) = &mut self.launcher {
            launcher.note_word(frame.header.kind);
        }
        match FromZygote::of(frame.header.kind) {
            Some(FromZygote::Spawned) => {
                let Some(channel) = self.channels.get_mut(&worker) else {
                    return;
                };
                channel.stage = Stage::Running;
                channel.announced = true;
                channel.pid = i32::try_from(frame.header.aux).unwrap_or(0);
                self.meet(worker);
                self.feed(Event::WorkerSpawned { worker });
            }
            Some(FromZygote::SpawnFailed) => {
                if self.channels.remove(&worker).is_some() {
                    let errno = i32::try_from(frame.header.aux).unwrap_or(0);
                    self.feed(Event::SpawnFailed { worker, errno });
                }
            }
            Some(FromZygote::Exited) => {
                let usage = frame.exited_body().ok();
                let status = frame.header.aux.cast_signed();
                self.on_worker_end(worker, &Ending::Reaped { status, usage }, scratch);
            }
            Some(FromZygote::Unfit) => {
                if let Some(launcher) = &mut self.launcher {
                    launcher.unfit = true;
                }
            }
            Some(FromZygote::Signalled) => self.on_signalled(worker, frame.header.aux),
            Some(FromZygote::Hello) | None => {}
        }
    }
}
