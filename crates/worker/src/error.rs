//! What the child side may fail with, and what of it a worker survives.
//!
//! Owned by this crate. Failures of a task's own code are not here: those are answers.

use std::io;

use loky_shm::ShmError;
use loky_wire::{Kind, WireError};

/// A failure of a zygote or a worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The socket to the parent refused a call for a reason other than the parent's end.
    #[error("the socket to the parent failed: {0}")]
    Socket(#[source] io::Error),
    /// The bytes from the parent are no frame.
    #[error("the parent broke the protocol: {0}")]
    Wire(#[from] WireError),
    /// A frame came that contradicts itself or what came before.
    #[error("the parent broke the protocol: a {kind:?} frame has {what}")]
    Protocol {
        /// The frame.
        kind: Kind,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The ledger page is none, or the parent gave back a segment that it does not have.
    #[error("the shared memory is not as agreed: {0}")]
    Shared(#[from] ShmError),
    /// A call of the system failed while the process took up its part.
    #[error("the process cannot {what}: {source}")]
    Begin {
        /// What was tried, as a verb phrase.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The setup file is shorter than the parent said.
    #[error("the setup has {bytes} bytes instead of {promised}")]
    SetupShort {
        /// How many bytes there are.
        bytes: usize,
        /// How many there should be.
        promised: usize,
    },
    /// The arguments of an executed worker are not what the zygote appends.
    #[error("the worker's command line is not one that a zygote makes: {what}")]
    Arguments {
        /// What is missing or wrong.
        what: &'static str,
    },
    /// No segment could be had for a result. The task is still held: another reply may follow.
    #[error("no segment of {needed_bytes} bytes can be had for the result: {source}")]
    Segment {
        /// How large it had to be.
        needed_bytes: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// The result does not fit any frame: it has too many or too large parts. The task is still
    /// held: another reply may follow.
    #[error("the result cannot be put into a frame: {0}")]
    Unsendable(#[source] WireError),
    /// A reply names a task that this worker does not hold.
    #[error(
        "attempt {attempt} of task {task} is not held by this worker, so it cannot be answered"
    )]
    NotHeld {
        /// The task.
        task: u64,
        /// The attempt.
        attempt: u32,
    },
}

impl WorkerError {
    /// Whether the worker goes on as if the call had not been made. Where this is false, its
    /// connection is unusable and it has to end.
    pub fn leaves_worker_usable(&self) -> bool {
        match self {
            Self::Segment { .. } | Self::Unsendable(_) | Self::NotHeld { .. } => true,
            Self::Socket(_)
            | Self::Wire(_)
            | Self::Protocol { .. }
            | Self::Shared(_)
            | Self::Begin { .. }
            | Self::SetupShort { .. }
            | Self::Arguments { .. } => false,
        }
    }

    /// The system's error number, where the system was asked.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket(source) | Self::Begin { source, .. } | Self::Segment { source, .. } => {
                source.raw_os_error()
            }
            Self::Wire(_)
            | Self::Protocol { .. }
            | Self::Shared(_)
            | Self::SetupShort { .. }
            | Self::Arguments { .. }
            | Self::Unsendable(_)
            | Self::NotHeld { .. } => None,
        }
    }

    pub(crate) fn begin(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Begin { what, source }
    }
}
