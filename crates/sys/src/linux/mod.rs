//! Linux 5.10 and later, a file a mechanism; what is older or forbidden has a fall-back.

pub mod cgroup;
mod descendants;
pub(crate) mod fault_context;
pub(crate) mod inheritance;
pub mod lifeline;
mod lineage;
pub mod mark;
pub mod memory;
pub mod pidfd;
pub mod process;
pub(crate) mod socket;
pub mod usage;
pub(crate) mod wake;
