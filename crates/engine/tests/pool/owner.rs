//! The owner's side of the tests: a pool, its inbox, and waits that turn a hang into a failure.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use loky_engine::answer::{Answer, AnswerStream};
use loky_engine::config::{CoreConfig, Launcher, LauncherCommand, OnCrash, PoolConfig, Transport};
use loky_engine::front::{Buffer, Delivery, Front, TaskEnd, TaskPayload};
use loky_engine::inbox::Inbox;
use loky_engine::pool::Pool;
use loky_engine::report::Breakage;
use loky_engine::{ShutdownMode, TaskId, TaskOptions};
use loky_sys::{poll, process};

use crate::front;

/// Far more than anything here takes; whoever waits longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A pool and what it has delivered.
pub struct Owner {
    pub pool: Pool,
    inbox: Arc<Inbox>,
    ends: HashMap<TaskId, TaskEnd>,
    pub broke: usize,
    gone: usize,
    pub slow: Vec<(TaskId, String)>,
    pub stopped: bool,
    setup: Option<Vec<u8>>,
    witness: File,
    signs: OwnedFd,
}

/// How the pools of a run are made.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub launcher: Launcher,
    pub transport: Transport,
}

impl Setting {
    pub const ALL: [Self; 4] = [
        Self::of(Launcher::Zygote, Transport::Ring),
        Self::of(Launcher::Zygote, Transport::Socket),
        Self::of(Launcher::Exec, Transport::Ring),
        Self::of(Launcher::Exec, Transport::Socket),
    ];

    const fn of(launcher: Launcher, transport: Transport) -> Self {
        Self {
            launcher,
            transport,
        }
    }

    pub fn name(self) -> &'static str {
        match (self.launcher, self.transport) {
            (Launcher::Zygote, Transport::Ring) => "zygote",
            (Launcher::Zygote, Transport::Socket) => "zygote_by_socket",
            (Launcher::Exec, Transport::Ring) => "exec",
            (Launcher::Exec, Transport::Socket) => "exec_by_socket",
        }
    }

    pub fn config(self, workers: u32) -> PoolConfig {
        PoolConfig {
            core: CoreConfig {
                workers,
                ..CoreConfig::default()
            },
            launcher: self.launcher,
            transport: self.transport,
            command: LauncherCommand {
                program: std::env::current_exe().unwrap(),
                arguments: vec![front::ZYGOTE_ROLE.into(), process::pid().to_string().into()],
                environment: None,
            },
            segment_budget_bytes: 1 << 30,
            stack_signal: None,
            capture_stderr: false,
            memory_limit_bytes: None,
        }
    }
}

impl Owner {
    pub fn new(setting: Setting, workers: u32) -> Self {
        Self::with(setting.config(workers))
    }

    pub fn breaking(setting: Setting, workers: u32) -> Self {
        let mut config = setting.config(workers);
        config.core.on_crash = OnCrash::Break;
        Self::with(config)
    }

    pub fn with(config: PoolConfig) -> Self {
        let inbox = Arc::new(Inbox::new());
        let pool = Pool::new(config, Arc::clone(&inbox) as Arc<dyn Front>);
        let (reader, writer) = std::io::pipe().unwrap();
        Self {
            pool,
            inbox,
            ends: HashMap::new(),
            broke: 0,
            gone: 0,
            slow: Vec::new(),
            stopped: false,
            setup: Some(b"good".to_vec()),
            witness: File::from(OwnedFd::from(reader)),
            signs: writer.into(),
        }
    }

    /// What workers find as their setup; `None`: it cannot be described.
    pub fn set_setup(&mut self, setup: Option<&[u8]>) {
        self.setup = setup.map(<[u8]>::to_vec);
    }

    pub fn submit(&mut self, words: &str) -> TaskId {
        self.submit_with(words, Vec::new())
    }

    pub fn submit_with(&mut self, words: &str, buffers: Vec<Vec<u8>>) -> TaskId {
        let buffers = buffers
            .into_iter()
            .map(|buffer| Box::new(buffer) as Box<dyn Buffer>)
            .collect();
        let payload = TaskPayload {
            stream: words.as_bytes().to_vec(),
            buffers,
        };
        let task = self.pool.submit(payload).unwrap();
        self.answer_setup();
        task
    }

    /// A task for which something is asked.
    pub fn submit_asking(&mut self, words: &str, options: TaskOptions) -> TaskId {
        let payload = TaskPayload {
            stream: words.as_bytes().to_vec(),
            buffers: Vec::new(),
        };
        let task = self
            .pool
            .submit_with(payload, Some(Box::new(options)))
            .unwrap();
        self.answer_setup();
        task
    }

    /// Waits until a task has been told of as slow.
    pub fn wait_slow(&mut self, task: TaskId) {
        self.pump(|owner| owner.slow.iter().any(|(slow, _)| *slow == task));
    }

    pub fn answer_setup(&self) {
        if !self.pool.setup_wanted() {
            return;
        }
        match &self.setup {
            None => self.pool.setup_failed().unwrap(),
            Some(setup) => {
                let witness = self.signs.as_fd().try_clone_to_owned().unwrap();
                self.pool
                    .provide_setup(setup, vec![(witness, front::WITNESS)], &[])
                    .unwrap();
            }
        }
    }

    /// Takes deliveries until `done`.
    pub fn pump(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "nothing came for {PATIENCE:?}");
            let inbox = Arc::clone(&self.inbox);
            for delivery in inbox.take_within(Duration::from_millis(100)) {
                self.take(delivery);
            }
        }
    }

    fn take(&mut self, delivery: Delivery) {
        assert!(!self.stopped, "something came after the end");
        match delivery {
            Delivery::Ended { task, end } => {
                assert!(self.ends.insert(task, end).is_none(), "{task} ended twice");
            }
            Delivery::SetupWanted => self.answer_setup(),
            Delivery::Broke(_) => self.broke += 1,
            Delivery::Stopped => self.stopped = true,
            Delivery::WorkerGone { .. } => self.gone += 1,
            Delivery::Slow { task, stack, .. } => self.slow.push((task, stack)),
            Delivery::Discarded(_) | Delivery::Notice(_) => {}
        }
    }

    /// How a task ended; waits for it.
    pub fn end(&mut self, task: TaskId) -> TaskEnd {
        self.pump(|owner| owner.ends.contains_key(&task));
        self.ends.remove(&task).unwrap()
    }

    /// The text of a value; anything else fails the test.
    pub fn value(&mut self, task: TaskId) -> String {
        match self.end(task) {
            TaskEnd::Value(answer) => text(&answer),
            other => panic!("{task} has no value: {}", name(&other)),
        }
    }

    /// What broke the pool of a task; any other end fails the test.
    pub fn breakage(&mut self, task: TaskId) -> Arc<Breakage> {
        match self.end(task) {
            TaskEnd::Broken(breakage) => breakage,
            other => panic!("{task} is not broken: {}", name(&other)),
        }
    }

    /// Waits until a worker has told that it got to a place.
    pub fn sign(&mut self) -> u8 {
        let mut interests = [poll::Interest::new(self.witness.as_fd(), true, false)];
        let patience_ns = u64::try_from(PATIENCE.as_nanos()).unwrap();
        assert_eq!(
            poll::poll(&mut interests, Some(patience_ns)).unwrap(),
            1,
            "no worker signed"
        );
        let mut byte = [0];
        self.witness.read_exact(&mut byte).unwrap();
        byte[0]
    }

    /// Whether no worker has told anything.
    pub fn is_quiet(&self) -> bool {
        let mut interests = [poll::Interest::new(self.witness.as_fd(), true, false)];
        poll::poll(&mut interests, Some(0)).unwrap() == 0
    }

    /// Waits until so many workers more are over.
    pub fn wait_gone(&mut self, count: usize) {
        self.pump(|owner| owner.gone >= count);
        self.gone -= count;
    }

    /// The process of the zygote: the one child of this one.
    pub fn zygote_pid() -> i32 {
        let children = process::children_of_self().unwrap();
        assert_eq!(children.len(), 1, "{children:?}");
        children[0]
    }

    /// Ends the pool and waits for that.
    pub fn shut_down(&mut self, mode: ShutdownMode) {
        self.pool.shut_down(mode).unwrap();
        self.pump(|owner| owner.stopped);
        assert!(self.pool.wait_stopped(PATIENCE).unwrap());
        assert!(self.pool.workers().is_empty());
    }
}

pub fn text(answer: &Answer) -> String {
    match &answer.stream {
        AnswerStream::Inline(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        AnswerStream::InSegment(view) => format!("{} bytes in a segment", view.len()),
    }
}

/// The name of an end, for messages.
pub fn name(end: &TaskEnd) -> &'static str {
    match end {
        TaskEnd::Value(_) => "value",
        TaskEnd::Raised(_) => "raised",
        TaskEnd::Died(_) => "died",
        TaskEnd::Broken(_) => "broken",
        TaskEnd::Cancelled => "cancelled",
        TaskEnd::TimedOut(_) => "timed out",
        TaskEnd::Expired { .. } => "expired",
        TaskEnd::ShutDown => "shut down",
        TaskEnd::Undeliverable { .. } => "undeliverable",
    }
}

/// The descriptors that are open here.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter(|entry| {
            // The directory that is being read is one itself.
            !entry
                .as_ref()
                .unwrap()
                .path()
                .read_link()
                .is_ok_and(|target| target.starts_with("/proc"))
        })
        .count()
}
