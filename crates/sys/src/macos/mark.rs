//! There is nothing that a process hands on and another can read.

use std::io;

pub use crate::contract::Mark;

/// Always `ENOTSUP`.
pub fn put(_pid: i32, _mark: Mark) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}

/// Always `ENOTSUP`: nobody has one.
pub fn bearers(_mark: Mark) -> io::Result<Vec<i32>> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}

/// Never sends anything: nobody has one.
pub fn signal(_pid: i32, _mark: Mark, _signal: i32) -> io::Result<bool> {
    Ok(false)
}

/// Never.
pub fn is_possible() -> bool {
    false
}
