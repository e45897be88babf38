//! Waiting for descriptors. It never retries: an interruption is the caller's to judge.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

pub use crate::contract::{Interest, Ready};

/// The longest wait: some systems count milliseconds in 31 bits.
const TIMEOUT_MAX_NS: u64 = 24 * 24 * 3600 * 1_000_000_000;

/// Waits until something is ready, the time is over (`None`: for ever) or a signal handler ran
/// (`EINTR`). A wait of more than 24 days may end early with nothing. Answers how many interests
/// found something.
pub fn poll(interests: &mut [Interest<'_>], timeout_ns: Option<u64>) -> io::Result<usize> {
    let mut polled: Vec<PollFd<'_>> = interests
        .iter()
        .map(|interest| {
            PollFd::from_borrowed_fd(interest.fd, wanted(interest.readable, interest.writable))
        })
        .collect();
    let timeout = timeout_ns
        .and_then(|ns| Timespec::try_from(Duration::from_nanos(ns.min(TIMEOUT_MAX_NS))).ok());
    let count = rustix::event::poll(&mut polled, timeout.as_ref())?;
    for (interest, polled) in interests.iter_mut().zip(&polled) {
        interest.ready = found(polled.revents());
    }
    Ok(count)
}

fn wanted(readable: bool, writable: bool) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, readable);
    flags.set(PollFlags::OUT, writable);
    flags
}

fn found(flags: PollFlags) -> Ready {
    Ready {
        readable: flags.contains(PollFlags::IN),
        writable: flags.contains(PollFlags::OUT),
        ended: flags.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
    }
}
