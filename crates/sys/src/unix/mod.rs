//! What is the same on all systems, a file a mechanism.

pub mod clock;
pub mod descriptor;
pub mod errno;
pub mod faults;
pub(crate) mod file;
pub mod fork;
pub mod limits;
pub(crate) mod mapping;
pub mod poll;
pub(crate) mod process;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod wake;
