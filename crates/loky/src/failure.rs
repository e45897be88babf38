//! Why a worker has no result for a task, as it travels.
//!
//! Written in the worker, read by the parent, which makes an [`Error`](crate::Error) of it.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Sent};

/// Why there is no result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The task panicked.
    Panicked {
        /// What it said, and where.
        message: String,
        /// Where it was.
        backtrace: String,
    },
    /// The result cannot be written.
    Encode(String),
    /// The arguments cannot be read.
    Decode(String),
    /// The worker knows no such task.
    Unknown,
    /// The worker cannot have the bytes of the task, or has no room for those of the result: the
    /// system's error number.
    Resource(i32),
    /// The worker's program has other tasks than the parent's.
    OtherProgram,
    /// The directory of the parent cannot be entered: the path and the system's words.
    Directory(String),
}

impl Failure {
    /// As it travels. A failure is made of text and numbers, so this does not fail; if it did, it
    /// would be read as an answer that makes no sense.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        codec::encode(&[], self)
            .map(|encoded| encoded.stream)
            .unwrap_or_default()
    }

    /// What has travelled.
    pub(crate) fn from_bytes(stream: &[u8]) -> Result<Self, codec::DecodeError> {
        codec::decode(Sent {
            stream,
            buffers: Vec::new(),
        })
    }
}
