//! The only source of atomics. Owner: the choice between the machine's and the model checker's.
//!
//! Never holds logic: what is checked in the model must be what runs.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};
