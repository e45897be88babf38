//! The standard error of workers, where the pool was asked to keep its end: read, kept, passed on.
//!
//! Each worker has a pipe in the place of its descriptor 2. The poll loop reads it, keeps the last
//! bytes, and gives all of them to one thread that writes them to this process's own standard error:
//! that may wait, and the loop never does. Without the wish for it, nothing of this exists.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use loky_sys::wake::Wake;
use loky_sys::{descriptor, signal};

/// What is kept of a worker's last output.
const TAIL_BYTES: usize = 4096;

/// How much may wait to be passed on before workers are made to wait.
const WAITING_MAX_BYTES: usize = 1 << 20;

/// How much one turn takes from one worker.
const READ_MAX_BYTES: usize = 64 * 1024;

/// How long the end of a pool waits for a standard error that takes nothing.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The reading end of one worker's standard error.
pub(crate) struct Capture {
    pub(crate) pipe: Arc<OwnedFd>,
    tail: VecDeque<u8>,
    /// Nobody has the writing end any more, or it cannot be read.
    pub(crate) ended: bool,
}

impl Capture {
    /// A pipe; the second is the end for the worker.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = descriptor::pipe()?;
        descriptor::set_nonblocking(&ours)?;
        let capture = Self {
            pipe: Arc::new(ours),
            tail: VecDeque::new(),
            ended: false,
        };
        Ok((capture, theirs))
    }

    /// Takes what is there, at most so many bytes, and passes it on.
    pub(crate) fn read(&mut self, scratch: &mut [u8], passing: &Passing) {
        let mut left = READ_MAX_BYTES;
        while left > 0 && !self.ended {
            match descriptor::read(self.pipe.as_fd(), scratch) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    let bytes = scratch.get(..count).unwrap_or_default();
                    self.keep(bytes);
                    passing.push(bytes);
                    left = left.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.ended = true,
            }
        }
    }

    /// Takes all that a worker has written before its end. A descendant that goes on writing cannot
    /// keep this going: no more is read than a pipe holds at the most.
    pub(crate) fn read_rest(&mut self, scratch: &mut [u8], passing: &Passing) {
        for _ in 0..PIPE_ROUNDS {
            self.read(scratch, passing);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend(bytes);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }

    /// The last that was written, from the beginning of a character on.
    pub(crate) fn tail(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let cut = if bytes.len() < TAIL_BYTES {
            0
        } else {
            bytes
                .iter()
                .position(|byte| byte & 0xc0 != 0x80)
                .unwrap_or(0)
        };
        String::from_utf8_lossy(bytes.get(cut..).unwrap_or_default()).into_owned()
    }
}

/// A pipe can be enlarged to a mebibyte by whoever has it.
const PIPE_ROUNDS: usize = 16;

/// Bytes on their way to this process's standard error.
#[derive(Default)]
pub(crate) struct Passing {
    state: Mutex<Waiting>,
    changed: Condvar,
    /// Rung when there is room again.
    wake: Mutex<Option<Arc<Wake>>>,
}

#[derive(Default)]
struct Waiting {
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
    writing: bool,
    runs: bool,
    closed: bool,
}

impl Passing {
    /// Starts the thread that writes, where it does not run.
    pub(crate) fn start(self: &Arc<Self>, wake: Option<Arc<Wake>>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.runs {
            return Ok(());
        }
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = wake;
        let passing = Arc::clone(self);
        // Not joined: it may wait for ever for a terminal that is stopped, and it holds nothing.
        std::thread::Builder::new()
            .name("loky-stderr".to_owned())
            .spawn(move || passing.run())?;
        state.runs = true;
        Ok(())
    }

    /// Whether workers may go on writing.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes < WAITING_MAX_BYTES
    }

    fn push(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes += bytes.len();
        state.pieces.push_back(bytes.to_vec());
        drop(state);
        self.changed.notify_all();
    }

    fn run(&self) {
        signal::block_all_in_this_thread();
        loop {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            while state.pieces.is_empty() && !state.closed {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let Some(piece) = state.pieces.pop_front() else {
                return;
            };
            state.writing = true;
            drop(state);
            // A standard error that is closed takes nothing; the tail is kept all the same.
            drop(descriptor::write_to_stderr(&piece));
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let was_full = state.bytes >= WAITING_MAX_BYTES;
            state.writing = false;
            state.bytes = state.bytes.saturating_sub(piece.len());
            let room_again = was_full && state.bytes < WAITING_MAX_BYTES;
            drop(state);
            self.changed.notify_all();
            if room_again && let Some(wake) = self.wake().as_ref() {
                wake.ring();
            }
        }
    }

    fn wake(&self) -> Option<Arc<Wake>> {
        self.wake
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits, bounded, until everything has been written, and ends the thread.
    pub(crate) fn close(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.runs {
            return;
        }
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, CLOSE_MAX, |state| {
                state.writing || !state.pieces.is_empty()
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.runs = false;
        drop(state);
        *self.wake.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture_of(bytes: &[u8]) -> Capture {
        let (mut capture, _theirs) = Capture::new().unwrap();
        capture.keep(bytes);
        capture
    }

    #[test]
    fn the_tail_is_the_end_and_no_more() {
        let text = "x".repeat(TAIL_BYTES) + "end";
        let tail = capture_of(text.as_bytes()).tail();
        assert_eq!(tail.len(), TAIL_BYTES);
        assert!(tail.ends_with("xend"));
        assert_eq!(capture_of(b"short").tail(), "short");
    }

    #[test]
    fn the_tail_begins_with_a_whole_character() {
        let text = "é".repeat(TAIL_BYTES / 2) + "!";
        let tail = capture_of(text.as_bytes()).tail();
        assert!(tail.starts_with('é') && tail.ends_with('!'), "{tail}");
    }
}
