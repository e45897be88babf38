//! Large bytes on their way into segments: compared with what is there, and copied where they are
//! new. Small ones under the lock, large ones by the loop without it.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use loky_core::event::Event;
use loky_core::ids::TaskId;
use loky_sys::errno;
use loky_sys::memory::Mapping;
use loky_wire::{Extent, Layout};

use crate::content::{Content, Print, Source};
use crate::front::{Buffer, Delivery};
use crate::library::{BlobId, Home, LARGE_MIN};
use crate::parts::{BLOBS_MAX, Placed, StreamPiece, TaskBuffer, blobs_of};
use crate::recognise::{STREAM_BLOBS_MAX, is_any_of, release};
use crate::segments::Acquired;
use crate::state::{Received, State, TaskEntry};
use crate::waiting::Followers;

/// Copies up to this size are made by whoever holds the lock: a hand-over to the loop costs more.
const COPY_AT_ONCE_MAX: u64 = 1 << 20;

/// What is to be done for a task, without looking at the state.
pub(crate) enum Job {
    /// Its buffers are compared with what is known.
    Compare(CompareJob),
    /// What is new is copied.
    Copy(CopyJob),
}

impl Job {
    /// Does it.
    pub(crate) fn run(self) -> Self {
        match self {
            Self::Compare(mut job) => {
                job.run();
                Self::Compare(job)
            }
            Self::Copy(mut job) => {
                job.run();
                Self::Copy(job)
            }
        }
    }
}

/// What comes next for a task.
enum Step {
    Run(Job),
    /// It has to wait for room, or for a copy that is under way.
    Wait,
    Done,
}

/// A buffer that may be one of these, and which it is.
struct Suspect {
    index: usize,
    candidates: Vec<(BlobId, Content)>,
    found: Option<BlobId>,
    followers: Option<Followers>,
}

/// Buffers to be compared.
pub(crate) struct CompareJob {
    task: TaskId,
    buffers: Vec<TaskBuffer>,
    suspects: Vec<Suspect>,
}

impl CompareJob {
    fn run(&mut self) {
        for suspect in &mut self.suspects {
            if let Some(TaskBuffer::Held(buffer)) = self.buffers.get(suspect.index) {
                suspect.found = is_any_of(&suspect.candidates, buffer.bytes());
            }
        }
    }
}

/// Bytes to be copied.
pub(crate) struct CopyJob {
    task: TaskId,
    /// Byte strings that others may need as well, and their segment.
    blobs: Vec<(BlobId, Source, Extent)>,
    blobs_at: Option<Acquired>,
    /// The buffers of the task; those that are held go into the second segment, in order.
    buffers: Vec<TaskBuffer>,
    extents: Vec<Extent>,
    buffers_at: Option<Acquired>,
    /// The prints of what was copied there.
    prints: Vec<Option<Print>>,
    /// Who wants each of them as well.
    followers: Vec<Option<Followers>>,
}

impl CopyJob {
    fn run(&mut self) {
        if let Some(acquired) = &self.blobs_at {
            for (_, source, extent) in &self.blobs {
                write(&acquired.pages, *extent, source.bytes());
            }
        }
        let Some(acquired) = &self.buffers_at else {
            return;
        };
        for (buffer, extent) in held_of(&self.buffers).zip(&self.extents) {
            write(&acquired.pages, *extent, buffer.bytes());
            self.prints.push(print_of(&acquired.pages, *extent));
        }
    }
}

/// The extents were computed from these very lengths, and the segment was made for them.
fn write(pages: &Mapping, extent: Extent, bytes: &[u8]) {
    let written =
        usize::try_from(extent.offset).is_ok_and(|offset| pages.write_at(offset, bytes).is_ok());
    debug_assert!(written, "an extent lies outside of its segment");
}

/// The print of what was copied, where it is large. The buffer itself may have changed meanwhile.
fn print_of(pages: &Arc<Mapping>, extent: Extent) -> Option<Print> {
    let (at, len) = (
        usize::try_from(extent.offset).ok()?,
        usize::try_from(extent.len).ok()?,
    );
    let pages = Arc::clone(pages);
    (len >= LARGE_MIN).then(|| Content::Pages { pages, at, len }.print())
}

impl TaskEntry {
    /// A task as it was submitted.
    pub(crate) fn new(stream: Vec<u8>, pieces: Vec<StreamPiece>, buffers: Vec<TaskBuffer>) -> Self {
        Self {
            stream,
            pieces,
            buffers,
            own_segment: None,
            compared: false,
            placed: None,
            placement: None,
            copying: false,
            received: None,
            report: None,
            watched: None,
        }
    }

    fn may_match_another(&self) -> bool {
        !self.compared && self.buffers.iter().any(is_large_held)
    }
}

fn is_large_held(buffer: &TaskBuffer) -> bool {
    matches!(buffer, TaskBuffer::Held(buffer) if buffer.bytes().len() >= LARGE_MIN)
}

impl State {
    /// Copies a task's large bytes now, or leaves them to the loop.
    pub(crate) fn copy_or_queue(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get(&task) else {
            return;
        };
        let at_once = self.copies.is_empty() && self.fresh_len(entry) <= COPY_AT_ONCE_MAX;
        if at_once {
            loop {
                match self.step(task) {
                    Step::Run(job) => self.end_job(job.run()),
                    Step::Wait => break,
                    Step::Done => return,
                }
            }
        }
        self.copies.push_back(task);
        self.stir = true;
    }

    /// The bytes of a task that are not in a segment, as far as is known.
    fn fresh_len(&self, entry: &TaskEntry) -> u64 {
        let held = held_of(&entry.buffers).map(|buffer| buffer.bytes().len() as u64);
        let library = &self.segments.library;
        let blobs = entry.blobs().map(|blob| {
            let source = library
                .source(blob)
                .filter(|_| library.home(blob).is_none());
            source.map_or(0, |source| source.bytes().len() as u64)
        });
        held.chain(blobs).fold(0, u64::saturating_add)
    }

    /// Further bytes are within the budget, or no task is in flight whose end could give any back.
    fn within_budget(&self, len: u64) -> bool {
        let in_use = self.segments.bytes_in_use();
        in_use == 0
            || in_use.saturating_add(len) <= self.segments.pool.budget()
            || !self
                .tasks
                .values()
                .any(|entry| entry.placed.is_some() && entry.placement.is_some())
    }

    /// Whether the next task in the queue can go on.
    pub(crate) fn can_begin_copy(&self) -> bool {
        self.copies
            .front()
            .is_some_and(|task| match self.tasks.get(task) {
                None => true,
                Some(entry) => {
                    entry.may_match_another() || self.within_budget(self.fresh_len(entry))
                }
            })
    }

    /// The next job of the queue, where there is one and the budget allows it.
    pub(crate) fn begin_job(&mut self) -> Option<Job> {
        while let Some(&task) = self.copies.front() {
            match self.step(task) {
                Step::Wait => return None,
                Step::Done => drop(self.copies.pop_front()),
                // It stays in front until it has been copied.
                Step::Run(job @ Job::Compare(_)) => return Some(job),
                Step::Run(job @ Job::Copy(_)) => {
                    self.copies.pop_front();
                    return Some(job);
                }
            }
        }
        None
    }

    fn step(&mut self, task: TaskId) -> Step {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return Step::Done;
        };
        if entry.placement.is_none() || entry.copying || !entry.needs_segment() {
            return Step::Done;
        }
        if entry.may_match_another() {
            entry.compared = true;
            if let Some(job) = self.start_comparison(task) {
                return Step::Run(Job::Compare(job));
            }
        }
        let Some(entry) = self.tasks.get(&task) else {
            return Step::Done;
        };
        let copying = &self.segments.copying;
        if entry.blobs().any(|blob| copying.contains(&blob))
            || !self.within_budget(self.fresh_len(entry))
        {
            return Step::Wait;
        }
        match self.start_copy(task) {
            Ok(Some(job)) => Step::Run(Job::Copy(job)),
            Ok(None) => Step::Done,
            Err(error) => {
                self.undeliverable(task, error.raw_os_error().unwrap_or(errno::EINVAL));
                Step::Done
            }
        }
    }

    /// Collects what the buffers of a task may be; `None` where nothing is known that is like them.
    fn start_comparison(&mut self, task: TaskId) -> Option<CompareJob> {
        let entry = self.tasks.get_mut(&task)?;
        let mut blobs_left = BLOBS_MAX.saturating_sub(entry.blobs().count());
        let mut suspects = Vec::new();
        for (index, buffer) in entry.buffers.iter().enumerate() {
            let TaskBuffer::Held(buffer) = buffer else {
                continue;
            };
            if blobs_left == 0 || buffer.bytes().len() < LARGE_MIN {
                continue;
            }
            let candidates = self.segments.candidates(Print::of(buffer.bytes()));
            if !candidates.is_empty() {
                blobs_left -= 1;
                suspects.push(Suspect {
                    index,
                    candidates,
                    found: None,
                    followers: self.waiting.take(task, &**buffer),
                });
            }
        }
        if suspects.is_empty() {
            return None;
        }
        entry.copying = true;
        Some(CompareJob {
            task,
            buffers: std::mem::take(&mut entry.buffers),
            suspects,
        })
    }

    /// Takes over what a job has done.
    pub(crate) fn end_job(&mut self, job: Job) {
        match job {
            Job::Compare(job) => self.end_comparison(job),
            Job::Copy(job) => self.end_copy(job),
        }
    }

    fn end_comparison(&mut self, job: CompareJob) {
        let CompareJob {
            task,
            mut buffers,
            suspects,
        } = job;
        let mut discarded = Vec::new();
        for suspect in suspects {
            match (suspect.found, suspect.followers) {
                (Some(blob), Some(followers)) => self.have_follow(followers, blob),
                (None, Some(followers)) => self.waiting.put_back(followers),
                (_, None) => {}
            }
            if let Some(blob) = suspect.found
                && let Some(buffer) = buffers.get_mut(suspect.index)
            {
                self.segments.hold(blob);
                if let TaskBuffer::Held(held) = std::mem::replace(buffer, TaskBuffer::Known(blob)) {
                    self.segments.traffic.bytes_recognised += held.bytes().len() as u64;
                    discarded.push(held);
                }
            }
            release(suspect.candidates, &mut self.segments);
        }
        self.discard(discarded);
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.copying = false;
            entry.buffers = buffers;
        } else {
            self.wait_no_more(task, &buffers);
            self.give_up(buffers, None);
        }
    }

    /// What a task needs and is in no segment yet gets a place. `None`: there is nothing to copy.
    fn start_copy(&mut self, task: TaskId) -> io::Result<Option<CopyJob>> {
        let Some(entry) = self.tasks.get(&task) else {
            return Ok(None);
        };
        let wrong = |_| io::Error::from_raw_os_error(errno::EINVAL);
        let library = &self.segments.library;
        let mut seen = HashSet::new();
        let fresh: Vec<(BlobId, Source)> = entry
            .blobs()
            .filter(|blob| library.home(*blob).is_none() && seen.insert(*blob))
            .filter_map(|blob| Some((blob, Arc::clone(library.source(blob)?))))
            .collect();
        let held = held_of(&entry.buffers).map(|buffer| buffer.bytes().len());
        let lens = fresh.iter().map(|(_, source)| source.bytes().len());
        let for_blobs = Layout::of(0, lens).map_err(wrong)?;
        let for_buffers = Layout::of(0, held).map_err(wrong)?;
        let blobs_at = self.acquire(for_blobs.segment_len)?;
        let buffers_at = match self.acquire(for_buffers.segment_len) {
            Ok(acquired) => acquired,
            Err(error) => {
                if let Some(acquired) = blobs_at {
                    self.segments.let_go(acquired.segment);
                }
                return Err(error);
            }
        };
        if blobs_at.is_none() && buffers_at.is_none() {
            self.place_and_send(task);
            return Ok(None);
        }
        let places = fresh.into_iter().zip(for_blobs.buffers);
        let blobs: Vec<(BlobId, Source, Extent)> = places
            .map(|((blob, source), extent)| (blob, source, extent))
            .collect();
        for (blob, ..) in &blobs {
            self.segments.hold(*blob);
            self.segments.copying.insert(*blob);
        }
        self.segments.traffic.bytes_copied += bytes_of(&for_buffers.buffers)
            + blobs.iter().map(|(_, _, extent)| extent.len).sum::<u64>();
        let Some(entry) = self.tasks.get_mut(&task) else {
            return Ok(None);
        };
        entry.copying = true;
        let followers = held_of(&entry.buffers).map(|buffer| self.waiting.take(task, buffer));
        Ok(Some(CopyJob {
            task,
            followers: followers.collect(),
            blobs,
            blobs_at,
            buffers: std::mem::take(&mut entry.buffers),
            extents: for_buffers.buffers,
            buffers_at,
            prints: Vec::new(),
        }))
    }

    fn acquire(&mut self, len: u64) -> io::Result<Option<Acquired>> {
        if len == 0 {
            return Ok(None);
        }
        self.segments.acquire(len).map(Some)
    }

    /// Takes over a copy that has been made, and sends the task where it belongs by now.
    fn end_copy(&mut self, job: CopyJob) {
        if let Some(acquired) = job.blobs_at {
            for (blob, _, extent) in job.blobs {
                self.segments.copying.remove(&blob);
                self.segments.settle(blob, acquired.segment, extent);
                self.segments.release(blob);
            }
            self.segments.let_go(acquired.segment);
            self.discard(Vec::new());
        }
        let mut buffers = job.buffers;
        let mut own_segment = None;
        if let Some(acquired) = job.buffers_at {
            let blobs = blobs_of(&buffers).count();
            let mut blobs_left = BLOBS_MAX.saturating_sub(blobs + STREAM_BLOBS_MAX);
            let mut discarded = Vec::new();
            let held = buffers.iter_mut().filter(is_held);
            let prints = job.prints.into_iter().zip(job.followers);
            for ((buffer, extent), (print, followers)) in held.zip(job.extents).zip(prints) {
                let copied = match print {
                    Some(print) if blobs_left > 0 => {
                        blobs_left -= 1;
                        let blob = self.segments.add_copy(print, acquired.segment, extent);
                        if let Some(followers) = followers {
                            self.have_follow(followers, blob);
                        }
                        TaskBuffer::Known(blob)
                    }
                    Some(_) | None => {
                        own_segment = Some(acquired.segment);
                        let segment = acquired.segment;
                        TaskBuffer::Own(Home { segment, extent })
                    }
                };
                if let TaskBuffer::Held(held) = std::mem::replace(buffer, copied) {
                    discarded.push(held);
                }
            }
            if own_segment.is_none() {
                self.segments.let_go(acquired.segment);
            }
            self.discard(discarded);
        }
        let Some(entry) = self.tasks.get_mut(&job.task) else {
            self.give_up(buffers, own_segment);
            return;
        };
        entry.copying = false;
        entry.buffers = buffers;
        entry.own_segment = own_segment;
        self.place_and_send(job.task);
    }

    fn place_and_send(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        entry.placed = Placed::of(entry, &self.segments);
        if entry.placement.is_none() {
            return;
        }
        if entry.placed.is_some() {
            self.send(task);
        } else {
            debug_assert!(false, "{task} has been copied and cannot be placed");
            self.undeliverable(task, errno::EINVAL);
        }
    }

    /// Lets go of all that a task needed.
    pub(crate) fn let_go_of(&mut self, entry: &mut TaskEntry) {
        for piece in std::mem::take(&mut entry.pieces) {
            if let StreamPiece::Known { blob, .. } = piece {
                self.segments.release(blob);
            }
        }
        let buffers = std::mem::take(&mut entry.buffers);
        self.give_up(buffers, entry.own_segment.take());
    }

    fn give_up(&mut self, buffers: Vec<TaskBuffer>, own_segment: Option<u32>) {
        let mut discarded = Vec::new();
        for buffer in buffers {
            match buffer {
                TaskBuffer::Held(held) => discarded.push(held),
                TaskBuffer::Known(blob) => self.segments.release(blob),
                TaskBuffer::Own(_) => {}
            }
        }
        if let Some(segment) = own_segment {
            self.segments.let_go(segment);
        }
        self.discard(discarded);
    }

    /// Has the front drop what is not needed any more.
    pub(crate) fn discard(&mut self, mut discarded: Vec<Box<dyn Buffer>>) {
        discarded.append(&mut self.segments.discarded);
        if !discarded.is_empty() {
            self.front.deliver(Delivery::Discarded(discarded));
        }
    }

    /// A task that cannot be handed over for lack of a resource ends with that.
    pub(crate) fn undeliverable(&mut self, task: TaskId, errno: i32) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        if let Some(placement) = entry.placement.take() {
            entry.received = Some(Received::Undeliverable(errno));
            self.feed_later(Event::TaskFinished {
                worker: placement.worker,
                task,
                attempt: placement.attempt,
                run_ns: 0,
                retry_wanted: false,
            });
        }
    }
}

fn is_held(buffer: &&mut TaskBuffer) -> bool {
    matches!(buffer, TaskBuffer::Held(_))
}

/// The buffers that have not been copied.
pub(crate) fn held_of(buffers: &[TaskBuffer]) -> impl Iterator<Item = &dyn Buffer> {
    buffers.iter().filter_map(|buffer| match buffer {
        TaskBuffer::Held(buffer) => Some(&**buffer),
        TaskBuffer::Known(_) | TaskBuffer::Own(_) => None,
    })
}

fn bytes_of(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.len).sum()
}
