//! How much memory a process uses, and whether it has its processor to itself. It never guesses: what the kernel does not tell is an error.

use std::fs;
use std::io;

/// What the process has resident now, shared pages included.
pub fn resident_bytes(pid: i32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok());
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
    pages
        .map(|pages| pages.saturating_mul(page_bytes))
        .ok_or_else(unreadable)
}

/// The most it ever had resident. A process that has ended but was not waited for has none.
pub fn peak_bytes(pid: i32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_ascii_whitespace().next())
        .and_then(|word| word.parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(1024))
        .ok_or_else(unreadable)
}

/// How often this thread has had to give up its processor to somebody else before it was
/// done. 0 where the kernel does not tell.
pub fn preemptions() -> u64 {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the place has the right type and is writable for the call.
    let told = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) } == 0;
    let count = if told { usage.ru_nivcsw } else { 0 };
    u64::try_from(count).unwrap_or(0)
}

fn unreadable() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}
