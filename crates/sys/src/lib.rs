//! Every system call of the project, behind one contract.
//!
//! Each mechanism is a module with the same functions on every system; the types they share and
//! the check that a platform has all of them stand in `contract`. Errors are [`std::io::Error`]
//! with the number that the kernel gave. This crate never decides anything: no frame kinds, no
//! Python, no policy, and it never touches the user's signal handlers, signal masks or environment
//! unless a function says so in its name.
//!
//! `unix` holds what is the same on all systems, `linux` and `macos` what is not.

mod contract;
pub mod force;
mod unix;

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod platform;

#[cfg(target_os = "macos")]
#[path = "macos/mod.rs"]
mod platform;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("only Linux and macOS are supported");

pub use platform::{cgroup, lifeline, mark, memory, pidfd, process, usage};
pub use unix::{clock, descriptor, errno, faults, fork, limits, poll, signal, socket, spawn, wake};
