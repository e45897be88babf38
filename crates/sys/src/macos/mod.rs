//! macOS, for the exec launcher. Written after its manuals; neither built nor tested by the project.
//!
//! What it lacks, the README lists under "macOS".

pub mod cgroup;
pub(crate) mod fault_context;
pub(crate) mod inheritance;
pub mod lifeline;
pub mod mark;
pub mod memory;
pub mod pidfd;
pub mod process;
pub(crate) mod socket;
pub mod usage;
pub(crate) mod wake;
