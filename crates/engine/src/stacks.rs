//! The stacks of workers that live: asked for by a signal, read from the memory file of the fault
//! handler once it has stopped growing.
//!
//! The handler runs inside the worker without its interpreter, so a task that holds every lock is
//! seen as well. Nobody waits under the lock: the loop looks again until there is something, for a
//! bounded time.

use std::collections::HashMap;

use loky_core::ids::{TaskId, WorkerId};
use loky_sys::{clock, memory};

use crate::channel::{Channel, Stage};
use crate::ends::stack_from;
use crate::front::Delivery;
use crate::pool::{WorkerProcess, WorkerStack};
use crate::state::State;

/// How often a stack that is being written is looked at.
const LOOK_INTERVAL_NS: u64 = 2_000_000;

/// So many looks without a change, and it is complete.
const LOOKS_SETTLED: u32 = 2;

/// A process that sleeps in the kernel writes nothing; after so long it is let be.
const GIVE_UP_NS: u64 = 150_000_000;

/// Who wants a stack.
#[derive(Clone, Copy)]
pub(crate) enum Wish {
    /// A caller, who waits for what stands under this number.
    Asked(u64),
    /// The owner, about a task that has been running for so long.
    Slow { task: TaskId, ran_ns: u64 },
}

/// A stack that is being written.
pub(crate) struct Sighting {
    wishes: Vec<Wish>,
    from: u64,
    end: u64,
    looks_settled: u32,
    next_look_ns: u64,
    give_up_ns: u64,
}

/// The stacks that callers have asked for.
#[derive(Default)]
pub(crate) struct Stacks {
    last: u64,
    /// What has been read and not yet been fetched.
    done: HashMap<u64, String>,
}

impl Stacks {
    pub(crate) fn is_done(&self, ticket: u64) -> bool {
        self.done.contains_key(&ticket)
    }

    /// The stack, `None` where there is nothing to be read in it.
    pub(crate) fn fetch(&mut self, ticket: u64) -> Option<String> {
        self.done.remove(&ticket).filter(|text| !text.is_empty())
    }
}

impl Channel {
    /// Where the next text of the fault handler will begin. The handler writes on where it stopped,
    /// also after the file has been emptied.
    pub(crate) fn stack_end(&self) -> u64 {
        let len = memory::file_len(&self.stack).unwrap_or(0);
        len.max(self.stack_from)
    }

    /// What the fault handler has written so far has been read. Whoever asks every second must not
    /// fill the memory.
    pub(crate) fn forget_stack(&mut self) {
        self.stack_from = self.stack_end();
        // An old text that stays is never read again.
        drop(memory::empty_file(&self.stack));
    }
}

impl State {
    /// Has a worker write its stack, where it knows how. Answers where in its file that begins.
    pub(crate) fn order_stack(&mut self, worker: WorkerId) -> u64 {
        let Some(channel) = self.channels.get(&worker) else {
            return 0;
        };
        let (from, able) = (channel.stack_end(), channel.ready);
        if let Some(signal) = self.config.stack_signal.filter(|_| able) {
            self.order_signal(worker, signal);
        }
        from
    }

    /// Asks for the stack of a worker on behalf of a caller; answers the number to fetch it by.
    pub(crate) fn ask_for_stack(&mut self, worker: WorkerId) -> u64 {
        self.stacks.last += 1;
        let ticket = self.stacks.last;
        self.sight(worker, Wish::Asked(ticket));
        ticket
    }

    /// Asks for the stack of a worker.
    pub(crate) fn sight(&mut self, worker: WorkerId, wish: Wish) {
        let able = self.config.stack_signal.is_some()
            && self
                .channels
                .get(&worker)
                .is_some_and(|channel| channel.ready && channel.stage == Stage::Running);
        if !able {
            let pid = self.channels.get(&worker).map_or(0, |channel| channel.pid);
            // Workers that write no stacks are looked at from outside.
            let text = match self.config.stack_signal {
                None => self.activity_text(worker),
                Some(_) => String::new(),
            };
            self.grant(wish, pid, text);
            return;
        }
        let from = self.order_stack(worker);
        let now_ns = clock::monotonic_ns();
        let Some(channel) = self.channels.get_mut(&worker) else {
            return;
        };
        let sighting = channel.sighting.get_or_insert_with(|| Sighting {
            wishes: Vec::new(),
            from,
            end: from,
            looks_settled: 0,
            next_look_ns: now_ns,
            give_up_ns: 0,
        });
        sighting.wishes.push(wish);
        sighting.looks_settled = 0;
        sighting.next_look_ns = now_ns.saturating_add(LOOK_INTERVAL_NS);
        sighting.give_up_ns = now_ns.saturating_add(GIVE_UP_NS);
        self.stir = true;
    }

    /// Asks for the stacks of all workers; answers the numbers to fetch them by, each with what is
    /// known of its worker.
    pub(crate) fn ask_for_all_stacks(&mut self) -> Vec<(u64, WorkerStack)> {
        let now_ns = clock::monotonic_ns();
        let mut running: HashMap<WorkerId, (TaskId, u64)> = HashMap::new();
        for &task in self.tasks.keys() {
            if let Some((worker, started_ns)) = self.start_of(task) {
                running.insert(worker, (task, now_ns.saturating_sub(started_ns)));
            }
        }
        let workers: Vec<(WorkerId, WorkerProcess)> = self
            .channels
            .values()
            .filter(|channel| channel.ready)
            .map(|channel| {
                let (index, pid) = (channel.index, channel.pid);
                (channel.worker, WorkerProcess { index, pid })
            })
            .collect();
        let ask = |(worker, process)| {
            let stack = WorkerStack {
                process,
                task: running.get(&worker).copied(),
                text: String::new(),
            };
            (self.ask_for_stack(worker), stack)
        };
        workers.into_iter().map(ask).collect()
    }

    fn grant(&mut self, wish: Wish, pid: i32, stack: String) {
        match wish {
            Wish::Asked(ticket) => drop(self.stacks.done.insert(ticket, stack)),
            Wish::Slow { task, ran_ns } => self.front.deliver(Delivery::Slow {
                task,
                ran_ns,
                pid,
                stack,
            }),
        }
    }

    pub(crate) fn next_stack_look_ns(&self) -> Option<u64> {
        self.channels
            .values()
            .filter_map(|channel| channel.sighting.as_ref())
            .map(|sighting| sighting.next_look_ns)
            .min()
    }

    /// Looks at the stacks that are being written.
    pub(crate) fn look_at_stacks(&mut self, now_ns: u64) {
        let due: Vec<WorkerId> = self
            .channels
            .values()
            .filter(|channel| {
                channel
                    .sighting
                    .as_ref()
                    .is_some_and(|sighting| sighting.next_look_ns <= now_ns)
            })
            .map(|channel| channel.worker)
            .collect();
        for worker in due {
            let Some(mut channel) = self.channels.remove(&worker) else {
                continue;
            };
            let end = channel.stack_end();
            if channel
                .sighting
                .as_mut()
                .is_some_and(|sighting| sighting.is_over(end, now_ns))
            {
                self.end_sighting(&mut channel);
            }
            self.channels.insert(worker, channel);
        }
    }

    /// Gives what has been written to all who asked for it.
    pub(crate) fn end_sighting(&mut self, channel: &mut Channel) {
        let Some(sighting) = channel.sighting.take() else {
            return;
        };
        let text = stack_from(channel, sighting.from);
        for wish in sighting.wishes {
            self.grant(wish, channel.pid, text.clone());
        }
        // A stack that belongs to a task which is to end stays until that is told.
        if channel.struck.is_none() {
            channel.forget_stack();
        }
    }
}

impl Sighting {
    /// Whether the text is complete, or has been waited for long enough.
    fn is_over(&mut self, end: u64, now_ns: u64) -> bool {
        self.looks_settled = if end == self.end {
            self.looks_settled + 1
        } else {
            0
        };
        self.end = end;
        self.next_look_ns = now_ns.saturating_add(LOOK_INTERVAL_NS);
        let complete = end > self.from && self.looks_settled >= LOOKS_SETTLED;
        complete || now_ns >= self.give_up_ns
    }
}
