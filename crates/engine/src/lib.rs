//! The parent side of a pool: poll loop, effects and segments.
//!
//! The engine joins the core's decisions to sockets, ledgers, segments and the launcher. It knows
//! no language: payloads come in as bytes, and ends go out through `front::Front`.
#![forbid(unsafe_code)]

pub mod activity;
pub mod answer;
mod capture;
mod channel;
pub mod config;
mod content;
mod copies;
mod driver;
mod effects;
mod ends;
pub mod error;
mod evidence;
mod frames;
pub mod front;
pub mod inbox;
mod launcher;
mod library;
pub mod look;
pub mod machine;
mod memory;
pub mod numbers;
mod parts;
pub mod pool;
mod recognise;
pub mod report;
mod rings;
mod segments;
mod setting_up;
mod stacks;
pub mod standby;
mod state;
mod strays;
mod strike;
mod submit;
pub mod tally;
mod vigil;
mod waiting;

pub use loky_core::Statistics;
pub use loky_core::effect::{Departure, Notice};
pub use loky_core::event::{LeaveReason, ShutdownMode};
pub use loky_core::ids::{TaskId, WorkerId};
pub use loky_core::options::{RetryBackoff, TaskOptions};
pub use loky_core::outcome::BreakReason;
pub use loky_sys::usage::{Activity, RunState};

/// Buffers of at least this many bytes are worth their place beside the stream.
pub const BUFFER_MIN_BYTES: u64 = loky_wire::limits::BUFFER_MIN as u64;

/// The signal on which workers write their stacks, for `config::PoolConfig::stack_signal`.
pub const STACK_SIGNAL: i32 = loky_sys::signal::STACK_SIGNAL;

/// The name of a signal, such as `SIGSEGV`.
pub fn signal_name(signal: i32) -> Option<&'static str> {
    loky_sys::signal::signal_name(signal)
}
