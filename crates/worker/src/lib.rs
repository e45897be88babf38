//! The child side of a pool: the zygote that makes and reaps workers, and the worker's task loop.
//!
//! Owner: everything that happens in the processes below the parent, up to the door of the language
//! front. `README.md` tells the life and death of the family.
//!
//! It never decides what the pool does, never runs a task, starts no thread, and knows nothing of
//! the language that the tasks are written in.
#![forbid(unsafe_code)]

mod channel;
mod error;
mod exec;
mod groups;
mod ledger;
mod lifeline;
mod reap;
mod rings;
mod run;
mod seed;
mod segments;
mod task;
mod view;
mod zygote;

pub use error::WorkerError;
pub use exec::ExecTemplate;
pub use groups::GroupOptions;
pub use loky_wire::LeaveReason;
pub use run::{Turn, Worker};
pub use seed::Seed;
pub use segments::Outgoing;
pub use task::TaskIn;
pub use view::{TaskStream, View};
pub use zygote::{FORK_REFUSED_ERRNO, Forked, Order, Zygote, ZygoteOptions};
