//! Memory files and their pages. There are no seals, and no files without a name: a name lives
//! between two calls.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, ftruncate};
use rustix::shm;

use crate::unix::descriptor::above_streams;
pub use crate::unix::file::{empty_file, file_len, read_file, read_file_at, write_file};
pub use crate::unix::mapping::{HalfWords, Mapping, Words};

/// A file of exactly so many zero bytes, to be mapped: it can be neither read nor written.
pub fn memfd(_name: &CStr, len: u64) -> io::Result<OwnedFd> {
    let name = format!("/{}", unique());
    let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
    let file = shm::open(&name, flags, Mode::RUSR | Mode::WUSR)?;
    shm::unlink(&name)?;
    ftruncate(&file, len)?;
    above_streams(file)
}

/// A file that may grow and shrink; it has `len` zero bytes now.
pub fn growing_memfd(_name: &CStr, len: u64) -> io::Result<OwnedFd> {
    let file = create_unlinked()?;
    file.set_len(len)?;
    above_streams(file.into())
}

/// A file of exactly these bytes.
pub fn memfd_of(_name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = create_unlinked()?;
    write_file(&file, bytes)?;
    above_streams(file.into())
}

/// Never: there are no seals.
pub fn is_sealed<Fd: AsFd>(_file: Fd) -> io::Result<bool> {
    Ok(false)
}

fn create_unlinked() -> io::Result<File> {
    let path = std::env::temp_dir().join(unique());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Names of shared memory have 31 bytes at the most.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "loky-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}
