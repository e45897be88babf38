//! The language front's side of the engine: payloads go in, deliveries come out.

use std::sync::Arc;

use loky_core::effect::{Departure, Notice};
use loky_core::ids::TaskId;

use crate::answer::Answer;
use crate::report::{Breakage, CrashReport};

/// A buffer that a task refers to. It is copied once, when the task is handed to a worker, unless
/// the same bytes are known already.
pub trait Buffer: Send + Sync {
    /// The bytes. They stay where they are while the buffer lives.
    fn bytes(&self) -> &[u8];

    /// Whether nobody can change the bytes while the buffer lives.
    fn is_constant(&self) -> bool {
        false
    }
}

impl Buffer for Arc<dyn Buffer> {
    fn bytes(&self) -> &[u8] {
        (**self).bytes()
    }

    fn is_constant(&self) -> bool {
        (**self).is_constant()
    }
}

impl Buffer for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// What the front submits: a stream that it encoded, and the large buffers beside it.
pub struct TaskPayload {
    /// The encoded call.
    pub stream: Vec<u8>,
    /// The buffers that the stream refers to, in order.
    pub buffers: Vec<Box<dyn Buffer>>,
}

/// How a task ended.
pub enum TaskEnd {
    /// Its function returned.
    Value(Answer),
    /// Its function raised, or its value could not be encoded.
    Raised(Answer),
    /// It was running on a worker that died.
    Died(Arc<CrashReport>),
    /// The pool broke before it ended.
    Broken(Arc<Breakage>),
    /// It never ran, by the owner's wish, or was ended by force.
    Cancelled,
    /// It had run for as long as it may, and was made to end.
    TimedOut(Arc<CrashReport>),
    /// It had not begun in time, and never will.
    Expired {
        /// How long it had waited, in nanoseconds.
        waited_ns: u64,
    },
    /// The pool was shut down before it ended.
    ShutDown,
    /// It could not be handed over, or its answer could not be received, for lack of a resource.
    Undeliverable {
        /// The system's error number.
        errno: i32,
    },
}

/// Something that the front is told.
pub enum Delivery {
    /// A task is over. Once a task.
    Ended {
        /// The task.
        task: TaskId,
        /// How.
        end: TaskEnd,
    },
    /// Buffers that the engine no longer needs and that the front may want to drop under its own lock.
    Discarded(Vec<Box<dyn Buffer>>),
    /// Workers are about to be made: the front should describe their surroundings now.
    SetupWanted,
    /// A worker is over.
    WorkerGone {
        /// Its process.
        pid: i32,
        /// Its place in the pool.
        index: u32,
        /// What that means.
        departure: Departure,
        /// What is known of its end.
        report: Arc<CrashReport>,
    },
    /// A task has been running for longer than its owner thought. It goes on.
    Slow {
        /// The task.
        task: TaskId,
        /// How long it has been running, in nanoseconds.
        ran_ns: u64,
        /// The process that runs it.
        pid: i32,
        /// The stacks of that process; empty where they cannot be had.
        stack: String,
    },
    /// Something that is no task's fault.
    Notice(Notice),
    /// The pool is broken.
    Broke(Arc<Breakage>),
    /// The pool's life is over. Nothing follows.
    Stopped,
}

/// Who takes the deliveries. Called with the pool's lock held, in order: it must not wait and must
/// not call the pool.
pub trait Front: Send + Sync {
    /// Takes a delivery.
    fn deliver(&self, delivery: Delivery);

    /// Nothing more follows at once: whoever waits for deliveries should be woken now. Called often
    /// without need.
    fn settle(&self) {}
}
