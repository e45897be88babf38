//! This system has no cgroups: nothing is counted, nothing is limited.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

pub use crate::contract::{GroupVersion, MemoryCounters};

/// A group of which there is none here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemoryGroup {}

impl MemoryGroup {
    /// There is none.
    pub fn of(_pid: i32) -> Option<Self> {
        None
    }

    /// There is none.
    pub fn from_membership(_membership: &str) -> Option<Self> {
        None
    }

    /// There is none.
    pub fn at(_folder: &Path) -> Option<Self> {
        None
    }

    /// Never called.
    pub fn version(&self) -> GroupVersion {
        match *self {}
    }

    /// Never called.
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// Never called.
    pub fn folder(&self) -> &Path {
        match *self {}
    }

    /// Never called.
    pub fn counters(&self) -> MemoryCounters {
        match *self {}
    }

    /// Never called.
    pub fn limit_bytes(&self) -> Option<u64> {
        match *self {}
    }

    /// Never called.
    pub fn usage_bytes(&self) -> Option<u64> {
        match *self {}
    }

    /// Never called.
    pub fn make_below(&self, _name: &str, _max_bytes: u64) -> io::Result<Self> {
        match *self {}
    }

    /// Never called.
    pub fn set_limit(&self, _max_bytes: u64) -> io::Result<()> {
        match *self {}
    }

    /// Never called.
    pub fn door(&self) -> io::Result<OwnedFd> {
        match *self {}
    }

    /// Never called.
    pub fn remove(&self) -> io::Result<()> {
        match *self {}
    }
}

/// There is no group to enter.
pub fn enter(_door: OwnedFd) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Nobody is in a group.
pub fn membership(_pid: i32) -> io::Result<String> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Nobody counts.
pub fn kernel_kills() -> Option<u64> {
    None
}
