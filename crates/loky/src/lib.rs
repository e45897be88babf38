//! A pool of worker processes that survives its tasks.
//!
//! Tasks run in other processes, and their results are waited for here. A task that panics costs its
//! own result; one that aborts, is killed, overflows its stack or runs out of memory costs its worker,
//! which is replaced, and the error says what truly happened. Nothing hangs, and nothing outlives the
//! program.
//!
//! ```
//! use loky::{Error, ProcessPoolExecutor};
//!
//! #[loky::task]
//! fn divide(a: i64, b: i64) -> i64 {
//!     a / b
//! }
//!
//! fn main() -> Result<(), Error> {
//!     loky::init();
//!     let pool = ProcessPoolExecutor::new(2)?;
//!     assert_eq!(pool.submit(divide::call(42, 6))?.wait()?, 7);
//!     let failed = pool.submit(divide::call(1, 0))?.wait();
//!     assert!(matches!(failed, Err(Error::Panicked { .. })));
//!     pool.shutdown()
//! }
//! ```
//!
//! # The three rules
//!
//! 1. **Call [`init`] first in `main`.** Workers are this very program, executed again; `init` is
//!    where they leave its path. Without it no pool is made, and the error says which line is missing.
//! 2. **Mark tasks with [`#[loky::task]`](macro@task).** They are plain functions of owned arguments
//!    that serde can write, and stay what they are; `name::call(..)` is a call for a pool. A closure
//!    that captures is refused by the compiler.
//! 3. **Pass large bytes as [`Buffer`]** (or [`Bytes`]): they travel in shared memory, unwritten.
//!
//! # What to know
//!
//! - Values are written in the [postcard] format, which says less than it knows: types that ask what
//!   comes next (`#[serde(untagged)]`, `#[serde(flatten)]`, `serde_json::Value`) cannot be read back,
//!   and that is an [`Error::Decode`] or [`Error::Encode`].
//! - A worker starts where `init` is called, with the arguments, statics and files of a program that
//!   has just begun: nothing that `main` does later is there. [`Builder::initializer`] and
//!   [`Builder::preload`] are the places for it.
//! - With `panic = "abort"` a panic is the death of the worker, and its words stand in the report.
//! - Rust cannot change the environment of a process that has begun without risk, so workers have
//!   that of this program at the time when the first of them was needed.
//!
//! # Tests
//!
//! A test program under the usual harness has no `main` of its own. One line beside the tests makes up
//! for it:
//!
//! ```
//! loky::enable_test_support!();
//! # fn main() {}
//! ```
//!
//! # Platforms
//!
//! Linux. The minimum supported Rust version is 1.90; a new one is a new minor version.
//!
//! [postcard]: https://docs.rs/postcard
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod answer;
mod buffer;
mod builder;
mod child;
mod codec;
mod courier;
mod error;
mod executor;
mod failure;
mod future;
mod launch;
mod map;
mod memory;
mod number;
mod observed;
mod options;
mod panics;
mod report;
mod reusable;
mod setup;
mod slot;
mod slow;
mod task;
mod view;

pub use buffer::{Buffer, Bytes};
pub use builder::{Builder, Launcher, OnCrash};
pub use error::{BreakCause, DecodeError, EncodeError, Error};
pub use executor::{ProcessPoolExecutor, WorkerProcess};
pub use future::{TaskFuture, TaskState};
pub use loky_macros::task;
pub use map::{Map, Unordered};
pub use memory::MemoryMechanism;
pub use number::Number;
pub use observed::{RunState, Statistics, WorkerState};
pub use options::TaskOptions;
pub use report::{CrashReport, DeathCause};
pub use reusable::get_reusable_executor;
pub use slow::SlowTask;
pub use task::{Call, TaskCall};
pub use view::WithOptions;

/// Makes this program able to be its own worker. Call it as the first line of `main`.
///
/// In a process that is meant to be a worker it never returns: there the tasks run, and the rest of
/// `main` does not. In any other it returns at once.
///
/// Workers are forked if the program has one thread at this place, and executed if not.
pub fn init() {
    launch::enter_main();
    if let Some(role) = launch::Role::of_main() {
        child::play(role);
    }
}

/// Makes a test program under the usual harness able to be its own worker. Write it once, beside the
/// tests; it adds a test that does nothing.
#[macro_export]
macro_rules! enable_test_support {
    () => {
        #[cfg(test)]
        mod loky_test_support {
            #[test]
            fn entry() {
                $crate::__private::enter_test();
            }

            #[$crate::__private::linkme::distributed_slice($crate::__private::TEST_ENTRIES)]
            #[linkme(crate = $crate::__private::linkme)]
            static ENTRY: &str = ::core::concat!(::core::module_path!(), "::entry");
        }
    };
}

/// What the macros write refers to. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::launch::TEST_ENTRIES;
    pub use crate::task::{Entry, Ran, Received, TASKS, call};
    pub use linkme;

    /// The entry of workers in a test program.
    pub fn enter_test() {
        if let Some(role) = crate::launch::Role::of_test() {
            crate::child::play(role);
        }
    }
}

/// The programs of the guide, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide-rust.md")]
mod guide {}
