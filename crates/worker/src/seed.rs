//! What a worker is made from: its numbers and its descriptors.
//!
//! Made by the zygote from a Spawn frame, or by an executed worker from its command line
//! ([`crate::exec`]); consumed by [`crate::run::Worker::begin`].

use std::os::fd::{OwnedFd, RawFd};

use loky_sys::memory;

use crate::channel::Incoming;
use crate::error::WorkerError;

/// A worker before it begins.
#[derive(Debug)]
pub struct Seed {
    /// Its number, never used again in the life of its pool.
    pub worker: u64,
    /// Its place in the pool.
    pub index: u32,
    /// Its end of the socket to the parent.
    pub socket: OwnedFd,
    /// The memory file of its ledger page.
    pub ledger: OwnedFd,
    /// The memory file with what the front needs to set itself up.
    pub setup: OwnedFd,
    /// How many bytes of it count.
    pub setup_len: u32,
    /// The memory file for the fault handler's stack.
    pub stack: OwnedFd,
    /// Descriptors that the worker must have, each with the number that it must have.
    pub extra: Vec<(OwnedFd, RawFd)>,
    /// What lets it into a memory cgroup of its own, where it has one.
    pub door: Option<OwnedFd>,
    /// Its parent process.
    pub zygote_pid: i32,
}

impl Seed {
    /// What the front needs to set itself up. The zygote may look at it before it forks.
    pub fn setup_bytes(&self) -> Result<Vec<u8>, WorkerError> {
        read_setup(&self.setup, self.setup_len)
    }
}

/// The bytes of a setup file that count.
pub(crate) fn read_setup(file: &OwnedFd, len: u32) -> Result<Vec<u8>, WorkerError> {
    let promised = usize::try_from(len).unwrap_or(usize::MAX);
    let failed = WorkerError::begin("read its setup");
    let bytes = memory::read_file(file, promised).map_err(failed)?;
    if bytes.len() == promised {
        Ok(bytes)
    } else {
        Err(WorkerError::SetupShort {
            bytes: bytes.len(),
            promised,
        })
    }
}

/// A Spawn frame, read.
pub(crate) enum SpawnOrder {
    /// Everything is here; the bytes are the environment to execute it with, empty for one's own.
    Seed(Seed, Vec<u8>),
    /// The kernel could not install all descriptors in the table of this process.
    DescriptorsLost,
}

impl SpawnOrder {
    pub(crate) fn read(incoming: Incoming, zygote_pid: i32) -> Result<Self, WorkerError> {
        let Incoming {
            frame,
            descriptors,
            lost,
        } = incoming;
        let body = frame.spawn_body()?;
        if lost {
            return Ok(Self::DescriptorsLost);
        }
        let mut descriptors = descriptors.into_iter();
        let missing = WorkerError::Protocol {
            kind: frame.header.kind,
            what: "too few descriptors",
        };
        let (Some(socket), Some(ledger), Some(setup), Some(stack)) = (
            descriptors.next(),
            descriptors.next(),
            descriptors.next(),
            descriptors.next(),
        ) else {
            return Err(missing);
        };
        let environment = body.rest.to_vec();
        let seed = Seed {
            worker: frame.header.task,
            index: frame.header.aux,
            socket,
            ledger,
            setup,
            setup_len: body.setup_len,
            stack,
            extra: descriptors.zip(body.targets.iter().copied()).collect(),
            door: None,
            zygote_pid,
        };
        Ok(Self::Seed(seed, environment))
    }
}
