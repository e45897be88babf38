//! The zygote's event loop: orders of the parent, ends of children, and the end of everything.
//!
//! Owned by the one thread of the zygote process. It makes workers on request and waits for them;
//! it never decides whether there should be one, runs no task, and installs no signal handler.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use loky_sys::fork::{self, Fork, fork_alone};
use loky_sys::poll::{Interest, poll};
use loky_sys::{clock, descriptor, errno, process, signal, socket};
use loky_wire::{ExitedBody, Header, Kind, Role, SPAWN_EXEC, ToZygote, encode, encode_body};

use crate::channel::{Channel, Filled, Incoming, Written};
use crate::error::WorkerError;
use crate::exec::ExecTemplate;
use crate::groups::GroupOptions;
use crate::lifeline::ParentWatch;
use crate::reap::{Death, Family};
use crate::seed::{Seed, SpawnOrder};

/// `EBUSY`: a fork is refused because of other threads; the same worker can be asked for by exec.
pub const FORK_REFUSED_ERRNO: i32 = errno::EBUSY;

/// How long a stopping zygote waits for children that do not end, and then for a parent that does
/// not read. A killed child can only take long inside the kernel.
const STOP_NS_MAX: u64 = 10_000_000_000;

/// What the front tells the zygote at its start.
#[derive(Clone, Debug)]
pub struct ZygoteOptions {
    /// The process whose end is this process's end.
    pub parent_pid: i32,
    /// How to execute a worker, where that can be asked for.
    pub exec: Option<ExecTemplate>,
    /// Where to make a memory cgroup for each worker, where that is wanted.
    pub groups: Option<GroupOptions>,
}

/// What the front has to do.
#[derive(Debug)]
pub enum Order {
    /// Fork; then [`Zygote::forked`] or [`Zygote::fork_failed`] in this process and
    /// [`Zygote::into_worker`] in the child.
    Fork(Seed),
    /// Load what these bytes name.
    Preload(Vec<u8>),
    /// End this process with this code; nobody is left below it.
    Exit(i32),
}

/// Who this process is after [`Zygote::fork_here`].
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, taken apart at once"
)]
pub enum Forked {
    /// The zygote, as before.
    Zygote(Zygote),
    /// The new worker.
    Worker(Seed),
}

enum Stage {
    Serving,
    /// Everybody has been killed; what remains is waited for until the deadline.
    Stopping {
        deadline_ns: u64,
    },
    Stopped,
}

/// The process that makes and reaps the workers of one pool.
pub struct Zygote {
    channel: Channel,
    outbox: Vec<u8>,
    parent: ParentWatch,
    family: Family,
    exec: Option<ExecTemplate>,
    stage: Stage,
    unfit_said: bool,
    /// The parent reads no more, so nothing is said any more.
    parent_closed: bool,
}

/// What a wait found, beyond children.
struct Woken {
    control: bool,
}

impl Zygote {
    /// Takes up the part of the zygote: from here on orphans of workers fall to this process, and
    /// an interrupt from the terminal leaves it alone.
    pub fn adopt(control: OwnedFd, options: ZygoteOptions) -> Result<Self, WorkerError> {
        process::set_child_subreaper().map_err(WorkerError::begin("become a subreaper"))?;
        signal::ignore(signal::SIGINT)
            .map_err(WorkerError::begin("ignore the interrupt signal"))?;
        signal::unblock(signal::SIGINT);
        // Where the owner ignores this one, the kernel would reap the workers and keep their ends.
        signal::reset(signal::SIGCHLD)
            .map_err(WorkerError::begin("be told of the end of a worker"))?;
        // Stopped, it would outlive its owner for as long as nobody continues it. The end of a mere thread of
        // the owner sends this too, and changes nothing. Where the system has no such signal it is left open.
        drop(process::set_parent_death_signal(signal::SIGCONT));
        socket::set_nonblocking(&control).map_err(WorkerError::begin("set up its socket"))?;
        let mut zygote = Self {
            channel: Channel::new(control, Role::ParentToZygote),
            outbox: Vec::new(),
            parent: ParentWatch::new(options.parent_pid),
            family: Family::new(options.groups),
            exec: options.exec,
            stage: Stage::Serving,
            unfit_said: false,
            parent_closed: false,
        };
        zygote.say(
            &Header::bare(Kind::Hello, process::pid().cast_unsigned()),
            &[],
        )?;
        zygote.flush()?;
        Ok(zygote)
    }

    /// As [`Self::adopt`], with the control descriptor under the number that the parent gave it.
    /// Takes that over, so it succeeds once in a process.
    pub fn adopt_inherited(control: RawFd, options: ZygoteOptions) -> Result<Self, WorkerError> {
        let control =
            descriptor::own(control).map_err(WorkerError::begin("take over a descriptor"))?;
        Self::adopt(control, options)
    }

    /// Serves until the front has something to do. It blocks; no call of it returns for a signal.
    ///
    /// After an error nobody is left below this process, and all it can do is to end.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not tell a failure from the end"
    )]
    pub fn next(&mut self) -> Result<Order, WorkerError> {
        loop {
            let order = match self.stage {
                Stage::Serving => match self.serve() {
                    Ok(order) => order,
                    Err(error) => return Err(self.end_after(error)),
                },
                Stage::Stopping { deadline_ns } => self.stop(deadline_ns)?,
                Stage::Stopped => Some(Order::Exit(0)),
            };
            if let Some(order) = order {
                return Ok(order);
            }
        }
    }

    /// Whatever ends the service ends the family.
    fn end_after(&mut self, error: WorkerError) -> WorkerError {
        self.begin_stop();
        while let Stage::Stopping { deadline_ns } = self.stage {
            if self.stop(deadline_ns).is_err() {
                break;
            }
        }
        error
    }

    /// The front has forked: this child is the worker of `seed`.
    pub fn forked(&mut self, seed: Seed, pid: i32) -> Result<(), WorkerError> {
        self.worker_made(&seed, pid)?;
        drop(seed);
        self.flush()
    }

    /// The front could not fork.
    pub fn fork_failed(&mut self, seed: Seed, errno: i32) -> Result<(), WorkerError> {
        self.spawn_failed(seed.worker, errno)?;
        drop(seed);
        self.flush()
    }

    /// Obeys [`Order::Fork`] for a front that has nothing to do of its own around a fork. The thread
    /// count is looked at once more; a fork that is refused or fails is told to the parent.
    pub fn fork_here(mut self, seed: Seed) -> Result<Forked, WorkerError> {
        match fork_alone() {
            Ok(Fork::Child) => return Ok(Forked::Worker(self.into_worker(seed))),
            Ok(Fork::Parent(pid)) => self.forked(seed, pid)?,
            Err(error) => {
                self.fork_failed(seed, error.raw_os_error().unwrap_or(errno::ENOMEM))?;
            }
        }
        Ok(Forked::Zygote(self))
    }

    /// In the forked child: closes all that is the zygote's, and leaves the worker's. Nothing of it
    /// reaches the zygote, the parent or a sibling.
    pub fn into_worker(self, seed: Seed) -> Seed {
        drop(self);
        seed
    }

    /// One round of service: frames that have been read, then a wait.
    fn serve(&mut self) -> Result<Option<Order>, WorkerError> {
        while let Some(incoming) = self.channel.frame()? {
            let order = self.obey(incoming)?;
            if order.is_some() || !matches!(self.stage, Stage::Serving) {
                self.flush()?;
                return Ok(order);
            }
        }
        self.flush()?;
        let woken = self.wait(None)?;
        self.reap()?;
        if self.parent.is_gone() {
            self.begin_stop();
        } else if woken.control {
            match self.channel.fill()? {
                Filled::Bytes | Filled::Interrupted | Filled::Empty => {}
                Filled::End => self.begin_stop(),
            }
        }
        Ok(None)
    }

    fn obey(&mut self, incoming: Incoming) -> Result<Option<Order>, WorkerError> {
        let header = incoming.frame.header;
        match ToZygote::of(header.kind) {
            Some(ToZygote::Spawn) => return self.spawn(incoming),
            Some(ToZygote::Kill) => {
                // Whoever has just ended by itself must not be taken for one that was killed.
                self.reap()?;
                self.family.signal(header.task, header.aux.cast_signed());
                // The end of whoever is killed tells of itself; other signals change nothing that
                // the parent could see.
                if header.aux.cast_signed() != signal::SIGKILL {
                    let sent = Header::for_worker(Kind::Signalled, header.task, header.aux);
                    self.say(&sent, &[])?;
                }
            }
            Some(ToZygote::Stop) => self.begin_stop(),
            Some(ToZygote::Preload) => return Ok(Some(Order::Preload(incoming.frame.body))),
            None => {
                return Err(WorkerError::Protocol {
                    kind: header.kind,
                    what: "no business with a zygote",
                });
            }
        }
        Ok(None)
    }

    fn spawn(&mut self, incoming: Incoming) -> Result<Option<Order>, WorkerError> {
        let header = incoming.frame.header;
        let (mut seed, environment) = match SpawnOrder::read(incoming, process::pid())? {
            SpawnOrder::Seed(seed, environment) => (seed, environment),
            SpawnOrder::DescriptorsLost => {
                self.spawn_failed(header.task, errno::EMFILE)?;
                return Ok(None);
            }
        };
        if let Err(error) = self.family.before_spawn() {
            self.spawn_refused(seed.worker, &error)?;
            return Ok(None);
        }
        seed.door = self.family.make_group(seed.worker);
        if header.flags & SPAWN_EXEC != 0 {
            self.execute(&seed, &environment)?;
            return Ok(None);
        }
        match self.count_threads() {
            Ok(1) => return Ok(Some(Order::Fork(seed))),
            Ok(threads) => {
                self.say_unfit(threads)?;
                self.spawn_failed(seed.worker, FORK_REFUSED_ERRNO)?;
            }
            Err(error) => self.spawn_refused(seed.worker, &error)?,
        }
        Ok(None)
    }

    /// How many threads there are, without those that numerical libraries keep and end at a fork.
    fn count_threads(&self) -> io::Result<usize> {
        match process::thread_count()? {
            1 => Ok(1),
            threads if self.unfit_said => Ok(threads),
            _ => fork::retire_threads(),
        }
    }

    fn execute(&mut self, seed: &Seed, environment: &[u8]) -> Result<(), WorkerError> {
        let Some(template) = &self.exec else {
            return self.spawn_failed(seed.worker, errno::ENOSYS);
        };
        match template.execute(seed, environment) {
            Ok(pid) => self.worker_made(seed, pid),
            Err(error) => self.spawn_refused(seed.worker, &error),
        }
    }

    fn worker_made(&mut self, seed: &Seed, pid: i32) -> Result<(), WorkerError> {
        self.family.add_worker(seed.worker, pid);
        self.say(
            &Header::for_worker(Kind::Spawned, seed.worker, pid.cast_unsigned()),
            &[],
        )
    }

    fn spawn_failed(&mut self, worker: u64, errno: i32) -> Result<(), WorkerError> {
        self.family.forget_group(worker);
        self.say(
            &Header::for_worker(Kind::SpawnFailed, worker, errno.cast_unsigned()),
            &[],
        )
    }

    fn spawn_refused(&mut self, worker: u64, error: &io::Error) -> Result<(), WorkerError> {
        self.spawn_failed(worker, error.raw_os_error().unwrap_or(errno::ENOMEM))
    }

    fn say_unfit(&mut self, threads: usize) -> Result<(), WorkerError> {
        if std::mem::replace(&mut self.unfit_said, true) {
            return Ok(());
        }
        let reason =
            format!("the zygote has {threads} threads, and a fork would copy only one of them");
        self.say(&Header::bare(Kind::Unfit, 0), reason.as_bytes())
    }

    /// Waits for ended children and tells the parent about those that were workers.
    fn reap(&mut self) -> Result<(), WorkerError> {
        let mut deaths = Vec::new();
        let reaped = self
            .family
            .reap(&mut deaths)
            .map_err(WorkerError::begin("wait for its children"));
        for death in deaths {
            self.say_exited(&death)?;
        }
        reaped
    }

    fn say_exited(&mut self, death: &Death) -> Result<(), WorkerError> {
        let body = ExitedBody {
            max_rss_bytes: death.reaped.max_rss_bytes,
            user_ns: death.reaped.user_ns,
            system_ns: death.reaped.system_ns,
            killed_on_request: death.requested,
            passed_limit: death.passed_limit,
        };
        let status = death.reaped.status.raw().cast_unsigned();
        if !self.parent_closed {
            encode_body(
                &Header::for_worker(Kind::Exited, death.worker, status),
                &body,
                &mut self.outbox,
            )?;
        }
        Ok(())
    }

    /// Appends a frame to what waits to be written. The parent bounds it: a frame is said only in
    /// answer to one of its own, or for the end of a worker that it asked for.
    fn say(&mut self, header: &Header, body: &[u8]) -> Result<(), WorkerError> {
        if !self.parent_closed {
            encode(header, &[body], &mut self.outbox)?;
        }
        Ok(())
    }

    /// Writes what the socket takes now. The rest waits for the next poll, so that a parent that
    /// does not read cannot keep this process from reaping or from its own end.
    fn flush(&mut self) -> Result<(), WorkerError> {
        while !self.outbox.is_empty() {
            match self.channel.write_some(&self.outbox, &[])? {
                Written::Bytes(count) => drop(self.outbox.drain(..count.min(self.outbox.len()))),
                Written::Full => break,
                Written::End => {
                    self.parent_closed = true;
                    self.outbox.clear();
                }
            }
        }
        Ok(())
    }

    fn begin_stop(&mut self) {
        self.family.kill_all();
        self.stage = Stage::Stopping {
            deadline_ns: clock::monotonic_ns().saturating_add(STOP_NS_MAX),
        };
    }

    /// One round of the end: whoever has ended is waited for, and whoever falls to this process
    /// by that is killed, until nobody is left and the parent has been told.
    fn stop(&mut self, deadline_ns: u64) -> Result<Option<Order>, WorkerError> {
        self.reap()?;
        self.flush()?;
        let over = self.family.is_over() && self.outbox.is_empty();
        let left_ns = deadline_ns.saturating_sub(clock::monotonic_ns());
        if over || left_ns == 0 {
            self.stage = Stage::Stopped;
            return Ok(Some(Order::Exit(0)));
        }
        self.wait(Some(left_ns))?;
        Ok(None)
    }

    /// Waits until there is something to do, or for the shortest interval that somebody needs.
    fn wait(&mut self, timeout_ns: Option<u64>) -> Result<Woken, WorkerError> {
        let serving = matches!(self.stage, Stage::Serving);
        let writing = !self.outbox.is_empty();
        let mut interests: Vec<Interest<'_>> = Vec::new();
        // An ended parent stays readable for ever: once that is known it must not wake anybody.
        let control = (serving || writing).then_some(self.channel.as_fd());
        interests.extend(control.map(|fd| Interest::new(fd, serving, writing)));
        let parent = self.parent.as_fd().filter(|_| serving);
        interests.extend(parent.map(|fd| Interest::new(fd, true, false)));
        interests.extend(
            self.family
                .pidfds()
                .map(|fd| Interest::new(fd, true, false)),
        );
        let intervals = [
            timeout_ns,
            self.family.interval_ns(),
            self.parent.interval_ns(),
        ];
        let found = poll(&mut interests, intervals.into_iter().flatten().min());
        let mut ready = interests.iter().map(|interest| interest.ready.any());
        let woken = Woken {
            control: control.is_some() && ready.next().unwrap_or(false),
        };
        let parent_ended = parent.is_some() && ready.next().unwrap_or(false);
        match found {
            Ok(_) => {
                if parent_ended {
                    self.parent.process_ended();
                }
                Ok(woken)
            }
            // Everything is asked again after an interruption.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Ok(Woken { control: false })
            }
            Err(error) => Err(WorkerError::Begin {
                what: "wait for events",
                source: error,
            }),
        }
    }
}
