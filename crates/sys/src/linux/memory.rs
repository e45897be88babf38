//! Memory files and their pages.
//!
//! Nothing made here has a name in a file system for longer than one call, so nothing can be left
//! behind. It never decides who may write when: see "Who may touch the bytes" in the README.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags, fallocate, fcntl_add_seals,
    fcntl_get_seals, ftruncate, memfd_create, open,
};
use rustix::io::Errno;

use crate::force::{Switch, is_forced};
use crate::unix::descriptor::above_streams;

pub use crate::unix::file::{empty_file, file_len, read_file, read_file_at, write_file};
pub use crate::unix::mapping::{HalfWords, Mapping, Words};

/// A file of exactly so many zero bytes, whose length nobody can change where the kernel has seals.
pub fn memfd(name: &CStr, len: u64) -> io::Result<OwnedFd> {
    let sealed = !is_forced(Switch::NoSeals);
    let file = create(name, sealed)?;
    set_len(&file, len)?;
    if sealed && file.is_memory {
        seal(&file)?;
    }
    Ok(file.descriptor)
}

/// A file that may grow and shrink; it has `len` zero bytes now.
pub fn growing_memfd(name: &CStr, len: u64) -> io::Result<OwnedFd> {
    let file = create(name, false)?;
    set_len(&file, len)?;
    Ok(file.descriptor)
}

/// A file of exactly these bytes, whose length nobody can change where the kernel has seals.
pub fn memfd_of(name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    let sealed = !is_forced(Switch::NoSeals);
    let file = create(name, sealed)?;
    write_file(&file.descriptor, bytes)?;
    if sealed && file.is_memory {
        seal(&file)?;
    }
    Ok(file.descriptor)
}

/// Whether the length of a file can never change again, so that its pages cannot vanish from under
/// a mapping.
pub fn is_sealed<Fd: AsFd>(file: Fd) -> io::Result<bool> {
    match fcntl_get_seals(file) {
        Ok(seals) => Ok(seals.contains(SealFlags::SHRINK | SealFlags::GROW)),
        Err(Errno::INVAL) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

struct Created {
    descriptor: OwnedFd,
    /// It is a `memfd`, not a file of a file system.
    is_memory: bool,
}

fn create(name: &CStr, sealable: bool) -> io::Result<Created> {
    if !is_forced(Switch::NoMemfd) {
        match create_memory(name, sealable) {
            Ok(descriptor) => {
                return Ok(Created {
                    descriptor: above_streams(descriptor)?,
                    is_memory: true,
                });
            }
            // No such call, or a filter or a security module that forbids it.
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Created {
        descriptor: above_streams(create_nameless()?)?,
        is_memory: false,
    })
}

/// Since 6.3 a system may refuse memory files that could be executed, and 6.3 is also the first to
/// know the flag that renounces it.
fn create_memory(name: &CStr, sealable: bool) -> Result<OwnedFd, Errno> {
    static RENOUNCE_EXECUTION: AtomicBool = AtomicBool::new(true);
    let base = MemfdFlags::CLOEXEC;
    // The flag below makes a file sealable, so a file that must not be goes without where it can.
    if sealable && RENOUNCE_EXECUTION.load(Ordering::Relaxed) {
        match memfd_create(
            name,
            base | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL,
        ) {
            Err(Errno::INVAL) => RENOUNCE_EXECUTION.store(false, Ordering::Relaxed),
            result => return result,
        }
    }
    if sealable {
        return memfd_create(name, base | MemfdFlags::ALLOW_SEALING);
    }
    match memfd_create(name, base) {
        Err(Errno::ACCESS) => memfd_create(name, base | MemfdFlags::NOEXEC_SEAL),
        result => result,
    }
}

fn seal(file: &Created) -> io::Result<()> {
    Ok(fcntl_add_seals(
        &file.descriptor,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?)
}

/// Memory files take pages when they are touched. A file system may be full by then, which would be
/// a SIGBUS, so there they are taken at once and a lack of room is an error.
fn set_len(file: &Created, len: u64) -> io::Result<()> {
    if !file.is_memory && len > 0 {
        match fallocate(&file.descriptor, FallocateFlags::empty(), 0, len) {
            Ok(()) => return Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ftruncate(&file.descriptor, len)?)
}

/// A file without a name, in memory where possible.
fn create_nameless() -> io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
    let temporary = std::env::temp_dir();
    for folder in [std::path::Path::new("/dev/shm"), &temporary] {
        if let Ok(file) = open(folder, flags, Mode::RUSR | Mode::WUSR) {
            return Ok(file);
        }
    }
    create_unlinked(&temporary)
}

/// For file systems that cannot make nameless files: the name lives between two calls.
fn create_unlinked(folder: &std::path::Path) -> io::Result<OwnedFd> {
    let stamp = crate::unix::clock::monotonic_ns();
    let path = folder.join(format!("loky-{}-{stamp:x}", std::process::id()));
    let mode = Mode::RUSR | Mode::WUSR;
    let file = open(
        &path,
        OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC,
        mode,
    )?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_last_fall_back_leaves_no_name() {
        let folder = std::env::temp_dir().join(format!("loky-sys-test-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let file = create_unlinked(&folder).unwrap();
        write_file(&file, b"bytes").unwrap();
        assert_eq!(read_file(file.as_fd(), 100).unwrap(), b"bytes");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(&folder).unwrap();
    }
}
