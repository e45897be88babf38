//! The ledger, the rings and the segments, over pages that somebody else mapped.
//!
//! Owner: which process may start a task (the ledger), which bytes have been committed (the rings)
//! and which segment may be written again (the pool). `README.md` holds the words, the feared races and the argument.
//!
//! It never makes a system call, never waits, never decides how much may be held, and never trusts
//! what another process wrote into a page further than to report it.
#![forbid(unsafe_code)]

mod error;
mod inlet;
mod ledger;
mod patience;
mod pool;
mod primitive;
mod ring;
mod segment;
mod spin;
mod words;

pub use error::ShmError;
pub use inlet::{Inlet, Look};
pub use ledger::{Ledger, SlotView};
pub use patience::Patience;
pub use pool::{SegmentPool, Taken};
pub use ring::{RingReader, RingWriter};
pub use segment::{Holder, PAGE_LEN, size_for};
pub use spin::{Spin, Step};
#[cfg(not(loom))]
pub use words::AtomicWords;
#[cfg(loom)]
pub use words::ModelWords;
pub use words::Words;
