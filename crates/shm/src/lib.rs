//! The ledger and the segments, over regions that somebody else mapped.
//!
//! Owner: which process may start a task (the ledger) and which segment may be written again (the
//! pool). `README.md` holds the words, the feared races and the argument.
//!
//! It never makes a system call, never waits, never decides how much may be held, and never trusts
//! what another process wrote into a page further than to report it.

mod error;
mod ledger;
mod pool;
mod primitive;
mod region;
mod segment;
mod words;

pub use error::ShmError;
pub use ledger::{Ledger, SlotView};
pub use pool::{SegmentPool, Taken};
pub use region::{HeapRegion, Region};
pub use segment::{Holder, PAGE_LEN, size_for};
#[cfg(loom)]
pub use words::ModelWords;
pub use words::Words;
#[cfg(not(loom))]
pub use words::{AtomicWords, RegionWords};
