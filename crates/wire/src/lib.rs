//! The protocol between the processes of a pool, as bytes and numbers.
//!
//! Owner: this crate owns what a frame looks like on a socket, how a ledger page is laid out, and
//! the numbers both ends must agree on. `README.md` is the protocol as text.
//!
//! It never reads or writes a descriptor, never looks at a clock, never decides what a frame means
//! for a task, and never allocates by a length that a peer merely claims.
#![forbid(unsafe_code)]

mod bytes;
mod decode;
mod encode;
mod environment;
mod error;
mod frame;
mod header;
pub mod ledger;
pub mod limits;
mod payload;
pub mod ring;
mod role;
mod rules;

pub use decode::Decoder;
pub use encode::{Body, encode, encode_body};
pub use environment::{Variable, decode_environment, encode_environment};
pub use error::{Field, WireError};
pub use frame::{DoneBody, ExitedBody, Frame, SpawnBody, TaskBody};
pub use header::{
    DONE_CANNOT_ENCODE, DONE_RAISED, DONE_RETRY, Header, Kind, LeaveReason, SPAWN_EXEC,
};
pub use ledger::{LedgerWord, SlotState, Ticket};
pub use payload::{Extent, Layout, Part, Payload, PayloadRef, Piece, SegmentRef};
pub use ring::RingPlace;
pub use role::{FromWorker, FromZygote, Role, ToWorker, ToZygote};
