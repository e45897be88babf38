//! How much memory a process uses, and what it is doing. It never guesses: what the kernel does not tell is an error.

use std::fs;
use std::io;

pub use crate::contract::{Activity, RunState};

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

/// What the process is doing now.
pub fn activity(pid: i32) -> io::Result<Activity> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before it is the program's own choice, and may hold anything.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |place: usize| {
        let word = fields.get(place).and_then(|word| word.parse::<u64>().ok());
        word.ok_or_else(unreadable)
    };
    let ticks = number(11)?.saturating_add(number(12)?);
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let waits_in = fs::read_to_string(format!("/proc/{pid}/wchan")).ok();
    Ok(Activity {
        state: match fields.first() {
            Some(&"R") => RunState::Running,
            Some(&"S" | &"I") => RunState::Sleeping,
            Some(&"D") => RunState::Blocked,
            Some(&"T" | &"t") => RunState::Stopped,
            Some(&"Z" | &"X") => RunState::Ended,
            Some(_) | None => RunState::Other,
        },
        cpu_ns: ticks.saturating_mul(tick_ns),
        resident_bytes: resident_bytes(pid)?,
        threads: u32::try_from(number(17)?).unwrap_or(u32::MAX),
        // A process that computes is in none, and one that others may not look at tells none.
        waits_in: waits_in.filter(|name| !name.is_empty() && name != "0"),
    })
}

fn unreadable() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}
