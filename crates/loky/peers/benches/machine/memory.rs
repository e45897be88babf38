//! A word to another process and back, through a page that both have: the least that any transport
//! between two processes costs, by how they wait.

use std::hint::spin_loop;
use std::os::fd::AsFd;
use std::os::unix::process::parent_id;
use std::process::{Child, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use loky_sys::memory::{HalfWords, Mapping, memfd};
use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

const SPIN: &str = "machine-spin";
const SLEEP: &str = "machine-sleep";
const BYTES: usize = 4096;
/// The words are cache lines apart.
const THERE: usize = 0;
const BACK: usize = 64;
/// Tells the other process to end.
const CLOSED: u32 = u32::MAX;
/// So often somebody who spins looks whether the other one lives.
const SPINS: u32 = 1 << 20;
const SECOND: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// How both processes wait for each other.
#[derive(Clone, Copy)]
pub enum Wait {
    /// They look until something is there.
    Spin,
    /// They sleep until they are woken.
    Sleep,
}

impl Wait {
    fn send(self, word: &AtomicU32, value: u32) {
        word.store(value, Release);
        if let Self::Sleep = self {
            futex::wake(word, Flags::empty(), 1).unwrap();
        }
    }

    /// The next value after `last`. `check` is called from time to time, and panics if none will come.
    fn next(self, word: &AtomicU32, last: u32, mut check: impl FnMut()) -> u32 {
        let mut spins = 0;
        loop {
            let value = word.load(Acquire);
            if value != last {
                return value;
            }
            match self {
                Self::Spin => {
                    spin_loop();
                    spins = (spins + 1) % SPINS;
                    if spins == 0 {
                        check();
                    }
                }
                Self::Sleep => match futex::wait(word, Flags::empty(), last, Some(&SECOND)) {
                    Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(Errno::TIMEDOUT) => check(),
                    Err(error) => panic!("{error}"),
                },
            }
        }
    }
}

/// Plays the other process, which sends back what comes; returns where that is not its role.
pub fn play(role: &str) {
    let wait = match role {
        SPIN => Wait::Spin,
        SLEEP => Wait::Sleep,
        _ => return,
    };
    let (words, parent) = (map(std::io::stdin()), parent_id());
    let (there, back) = (&words.as_ref()[THERE], &words.as_ref()[BACK]);
    let mut last = 0;
    while last != CLOSED {
        last = wait.next(there, last, || {
            assert_eq!(parent_id(), parent, "the one that measures has gone");
        });
        wait.send(back, last);
    }
    std::process::exit(0);
}

fn map(file: impl AsFd) -> HalfWords {
    Mapping::shared(file, BYTES).unwrap().into_half_words()
}

/// A process that shares a page with this one, and sends back what comes.
pub struct Pair {
    child: Child,
    words: HalfWords,
    wait: Wait,
    last: u32,
}

impl Pair {
    pub fn start(wait: Wait) -> Self {
        let file = memfd(c"floor", BYTES as u64).unwrap();
        let words = map(&file);
        let role = match wait {
            Wait::Spin => SPIN,
            Wait::Sleep => SLEEP,
        };
        let mut command = super::this_program(role);
        let child = command.stdin(Stdio::from(file)).spawn().unwrap();
        Self {
            child,
            words,
            wait,
            last: 0,
        }
    }

    pub fn round_trip(&mut self) {
        let sent = self.last + 1;
        assert_eq!(self.exchange(sent), sent);
    }

    fn exchange(&mut self, sent: u32) -> u32 {
        let (child, words) = (&mut self.child, self.words.as_ref());
        self.wait.send(&words[THERE], sent);
        let last = std::mem::replace(&mut self.last, sent);
        self.wait.next(&words[BACK], last, || {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the other process has gone"
            );
        })
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.wait.send(&self.words.as_ref()[THERE], CLOSED);
        assert!(self.child.wait().unwrap().success());
    }
}
