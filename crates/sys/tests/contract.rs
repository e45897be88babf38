//! One suite over the contract, for every system and every forced fall-back.
//!
//! Processes that a test needs are this same binary: `child` takes over before the test runner
//! starts, so that they have one thread and nothing in their descriptors.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

#[path = "contract/child.rs"]
mod child;
#[path = "contract/events.rs"]
mod events;
#[path = "contract/forced.rs"]
mod forced;
#[path = "contract/given.rs"]
mod given;
#[path = "contract/lifeline.rs"]
mod lifeline;
#[path = "contract/mark.rs"]
mod mark;
#[path = "contract/memory.rs"]
mod memory;
#[path = "contract/process.rs"]
mod process;
#[path = "contract/socket.rs"]
mod socket;
#[path = "contract/spawn.rs"]
mod spawn;
