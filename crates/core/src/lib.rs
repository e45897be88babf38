//! Every decision of a pool, pure: one event in, effects out.
//!
//! The engine tells [`pool::Pool`] what happened and when, and carries out what it answers. There
//! is no clock here, no chance, no input or output, and no thread; the same events give the same
//! effects. The README beside this crate has the table of states and events.
#![forbid(unsafe_code)]

pub mod config;
pub mod effect;
pub mod event;
pub mod ids;
pub mod invariants;
pub mod options;
pub mod outcome;
pub mod pool;
pub mod statistics;

mod agenda;
mod budget;
mod death;
mod dispatch;
mod idle;
mod leave;
mod queue;
mod resize;
mod retry;
mod roster;
mod sentence;
mod shutdown;
mod spawn;
mod task;
mod watch;
mod worker;

pub use config::{Backoff, Config, OnCrash, RestartBudget};
pub use effect::{Departure, Effect, KillReason, Notice, Verdict};
pub use event::{Event, LeaveReason, ShutdownMode};
pub use ids::{Attempt, TaskId, WorkerId};
pub use options::{RetryBackoff, TaskOptions};
pub use outcome::{BreakReason, Outcome};
pub use pool::Pool;
pub use statistics::Statistics;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
