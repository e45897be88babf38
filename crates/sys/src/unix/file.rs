//! Reading and writing the whole of a file by its descriptor. It never moves the file's position.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::fstat;
use rustix::io::{Errno, pread, pwrite};

/// One read asks for at most this many bytes.
const READ_BYTES: usize = 64 * 1024;

/// How long a file is.
pub fn file_len<Fd: AsFd>(file: Fd) -> io::Result<u64> {
    Ok(u64::try_from(fstat(file)?.st_size).unwrap_or(0))
}

/// The first bytes of a file, `max` at the most.
pub fn read_file<Fd: AsFd>(file: Fd, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0_u8; READ_BYTES.min(max)];
    while bytes.len() < max {
        let wanted = chunk.len().min(max - bytes.len());
        let Some(place) = chunk.get_mut(..wanted) else {
            break;
        };
        match pread(&file, &mut *place, bytes.len() as u64) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(place.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
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
