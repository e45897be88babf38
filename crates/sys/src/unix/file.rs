//! Reading and writing the whole of a file by its descriptor. It never moves the file's position.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{fstat, ftruncate};
use rustix::io::{Errno, pread, pwrite};

/// One read asks for at most this many bytes.
const READ_BYTES: usize = 64 * 1024;

/// How long a file is.
pub fn file_len<Fd: AsFd>(file: Fd) -> io::Result<u64> {
    Ok(u64::try_from(fstat(file)?.st_size).unwrap_or(0))
}

/// The first bytes of a file, `max` at the most.
pub fn read_file<Fd: AsFd>(file: Fd, max: usize) -> io::Result<Vec<u8>> {
    read_file_at(file, 0, max)
}

/// The bytes of a file from `offset` on, `max` at the most.
pub fn read_file_at<Fd: AsFd>(file: Fd, offset: u64, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0_u8; READ_BYTES.min(max)];
    while bytes.len() < max {
        let wanted = chunk.len().min(max - bytes.len());
        let Some(place) = chunk.get_mut(..wanted) else {
            break;
        };
        let at = offset.saturating_add(bytes.len() as u64);
        match pread(&file, &mut *place, at) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(place.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// Gives back the room of everything in a file. Whoever writes on at his own position leaves a gap
/// before it, which takes none.
pub fn empty_file<Fd: AsFd>(file: Fd) -> io::Result<()> {
    Ok(ftruncate(file, 0)?)
}

/// Writes all bytes from the beginning of a file on.
pub fn write_file<Fd: AsFd>(file: Fd, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match pwrite(&file, rest, written as u64) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
