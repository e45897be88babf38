//! What a worker has to know of its parent's surroundings, as it travels.
//!
//! Described by the parent when workers are about to be made, taken up by each of them before its
//! first task.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::codec::{self, EncodeError, Sent};
use crate::failure::Failure;
use crate::task::sealed::Parts;
use crate::task::{self, Ran};

/// A call that another process runs before all others, and whose result nobody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prologue(Vec<u8>);

impl Prologue {
    /// The call; `None` where it cannot be written, or has large buffers, for which there is no way.
    pub(crate) fn new(parts: Result<Parts, EncodeError>) -> Option<Self> {
        let Parts(call) = parts.ok()?;
        call.buffers.is_empty().then_some(Self(call.stream))
    }

    /// As a word of a command line.
    pub(crate) fn to_word(&self) -> String {
        let digits = self.0.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }

    /// What `to_word` said.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let places = (0..word.len()).step_by(2);
        let bytes = places.map(|at| u8::from_str_radix(word.get(at..at + 2)?, 16).ok());
        bytes.collect::<Option<_>>().map(Self)
    }

    pub(crate) fn run(&self) -> Result<(), Failure> {
        let Ran(ran) = task::run_call(Sent {
            stream: &self.0,
            buffers: Vec::new(),
        });
        ran.map(drop)
    }
}

/// What does not change as long as the pool lives.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) initializer: Option<Prologue>,
}

/// The description.
#[derive(Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The parent's directory, where it has one.
    directory: Option<Vec<u8>>,
    initializer: Option<Vec<u8>>,
}

impl Surroundings {
    /// The description for workers that are made now.
    pub(crate) fn describe(&self) -> Option<Vec<u8>> {
        let directory = std::env::current_dir().ok();
        let setup = Setup {
            directory: directory.map(|path| path.as_os_str().as_bytes().to_vec()),
            initializer: self.initializer.clone().map(|Prologue(call)| call),
        };
        codec::encode(&[], &setup)
            .ok()
            .map(|encoded| encoded.stream)
    }
}

impl Setup {
    /// Takes up a description in a worker.
    pub(crate) fn take_up(blob: &[u8]) -> Result<(), Failure> {
        let setup: Self = codec::decode(Sent {
            stream: blob,
            buffers: Vec::new(),
        })
        .map_err(|error| Failure::Decode(error.to_string()))?;
        if let Some(directory) = setup.directory {
            enter(&PathBuf::from(std::ffi::OsString::from_vec(directory)))?;
        }
        setup
            .initializer
            .map_or(Ok(()), |call| Prologue(call).run())
    }
}

fn enter(directory: &Path) -> Result<(), Failure> {
    std::env::set_current_dir(directory)
        .map_err(|error| Failure::Directory(format!("{}: {error}", directory.display())))
}
