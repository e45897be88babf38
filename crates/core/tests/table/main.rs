//! The table of a pool: events by hand, orders compared whole. No time passes here but by hand,
//! and nothing is left to chance.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cancelling;
mod failing;
mod hand;
mod idling;
mod leaving;
mod options;
mod prefetching;
mod resizing;
mod spawning;
mod starting;
mod stopping;
