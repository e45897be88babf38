//! Descriptors by number: taking over what an exec handed on, and putting some at a given number.
//!
//! It never closes a number that it was not told of.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};

use crate::contract::Interest;

/// Whether this is the error of a full table of descriptors, that of this process or that of the system.
pub fn is_table_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Takes over a descriptor that the process was born with, and closes it on the next exec.
///
/// Only a descriptor that would survive an exec is one that this process can have been born with:
/// all that this project and the standard library open would not. So a number is given out once; a
/// second call for it, or one for a number that something else here owns, is `EBUSY`. A number that
/// is not open is `EBADF`.
pub fn own(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the borrow lasts for the two calls below, which check that the number is open and do
    // not close it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed)?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
    // SAFETY: the number is open, and by the flag nobody has taken it over before.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The last of the standard streams, which whatever is executed inherits.
const STREAM_LAST: RawFd = 2;

/// Puts each descriptor at its number, replacing what is there; all but the standard streams close on
/// exec. What stands in
/// `apart` is moved out of the way where its number is wanted.
///
/// The caller knows that nothing else in this process owns one of the numbers. On an error some may
/// have been placed. They stay open until the process ends.
pub fn place(moves: Vec<(OwnedFd, RawFd)>, apart: &mut [&mut OwnedFd]) -> io::Result<()> {
    let targets: Vec<RawFd> = moves.iter().map(|(_, target)| *target).collect();
    for descriptor in apart.iter_mut() {
        if targets.contains(&descriptor.as_raw_fd()) {
            **descriptor = outside(&**descriptor, &targets)?;
        }
    }
    let mut sources = Vec::with_capacity(moves.len());
    for (source, target) in moves {
        let source = if targets.contains(&source.as_raw_fd()) {
            outside(&source, &targets)?
        } else {
            source
        };
        sources.push((source, target));
    }
    for (source, target) in &sources {
        crate::platform::process::duplicate_onto(source, *target)?;
        if *target <= STREAM_LAST {
            // SAFETY: the number has just been opened; the borrow lasts for one call.
            let stream = unsafe { BorrowedFd::borrow_raw(*target) };
            fcntl_setfd(stream, FdFlags::empty())?;
        }
    }
    Ok(())
}

/// A copy of a descriptor whose number is none of `taken`.
pub(crate) fn outside(descriptor: &impl AsFd, taken: &[RawFd]) -> io::Result<OwnedFd> {
    // The copies that hit a taken number are kept until one does not, so each try is another number.
    let mut refused = Vec::new();
    loop {
        let copy = fcntl_dupfd_cloexec(descriptor, 3)?;
        if !taken.contains(&copy.as_raw_fd()) {
            return Ok(copy);
        }
        refused.push(copy);
    }
}

/// A pipe, closed on exec: the end to read from, and the one to write to.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = crate::platform::process::pipe()?;
    Ok((above_streams(read)?, above_streams(write)?))
}

/// The descriptor under a number that no standard stream has. Where a program has closed one of its
/// streams, the kernel gives its number to whatever is opened next: workers would be handed that as
/// their output.
pub(crate) fn above_streams(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() > STREAM_LAST {
        Ok(descriptor)
    } else {
        Ok(fcntl_dupfd_cloexec(&descriptor, STREAM_LAST + 1)?)
    }
}

/// Reads once.
pub fn read<Fd: AsFd>(descriptor: Fd, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(descriptor, bytes)?)
}

/// Writes all bytes to the standard error of this process, however long it takes.
pub fn write_to_stderr(bytes: &[u8]) -> io::Result<()> {
    let errors = io::stderr();
    let errors = errors.as_fd();
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(errors, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody has made the terminal or the pipe non-blocking.
            Err(Errno::AGAIN) => {
                let mut interests = [Interest::new(errors, false, true)];
                match crate::poll::poll(&mut interests, None) {
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes reads and writes fail with `EAGAIN` instead of waiting. It holds for every copy of the
/// descriptor in every process; the two ends of a socket are apart.
pub fn set_nonblocking<Fd: AsFd>(descriptor: Fd) -> io::Result<()> {
    let flags = fcntl_getfl(&descriptor)?;
    Ok(fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK)?)
}
