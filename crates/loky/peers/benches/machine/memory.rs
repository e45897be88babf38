//! Two processes with a page in common: what a task would take if it were nothing but a word there and
//! back, with a thread at each end that looks without end, or that sleeps and is woken.

use std::hint::spin_loop;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use loky_sys::memory::{self, Mapping, Words};
use rustix::thread::futex;

use super::this_program;

/// The first word of the command line of the other process.
pub const ROLE: &str = "machine-memory";

const PAGE_LEN: usize = 4096;

/// Where the word to the other process is, and the one from it: far enough apart to be in cache lines of
/// their own.
const THERE_AT: usize = 0;
const BACK_AT: usize = 32;

/// What ends the other process.
const END: u32 = u32::MAX;

/// How whoever waits for a word does so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Looking,
    Sleeping,
}

/// A word of the page, and how it is waited for.
struct Word<'a> {
    word: &'a AtomicU32,
    wait: Wait,
}

impl<'a> Word<'a> {
    fn new(page: &'a Words, at: usize, wait: Wait) -> Self {
        let word: &AtomicU64 = &page.as_ref()[at];
        // SAFETY: eight bytes that are aligned and live as long as the page begin with four such
        // bytes, and nobody uses them but as this atomic.
        let word = unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) };
        Self { word, wait }
    }

    fn say(&self, value: u32) {
        self.word.store(value, Ordering::Release);
        if self.wait == Wait::Sleeping {
            futex::wake(self.word, futex::Flags::empty(), 1).unwrap();
        }
    }

    /// Waits until it is not `known` any more; what it is then.
    fn hear(&self, known: u32) -> u32 {
        loop {
            let value = self.word.load(Ordering::Acquire);
            if value != known {
                return value;
            }
            match self.wait {
                Wait::Looking => spin_loop(),
                // Woken, interrupted or too late: it looks again.
                Wait::Sleeping => drop(futex::wait(self.word, futex::Flags::empty(), known, None)),
            }
        }
    }
}

/// Plays the other process: sends back what comes.
pub fn play(how: &str) {
    let wait = if how == "looking" {
        Wait::Looking
    } else {
        Wait::Sleeping
    };
    let page = Mapping::shared(io::stdin(), PAGE_LEN).unwrap().into_words();
    let (there, back) = (
        Word::new(&page, THERE_AT, wait),
        Word::new(&page, BACK_AT, wait),
    );
    let mut value = 0;
    loop {
        value = there.hear(value);
        if value == END {
            return;
        }
        back.say(value);
    }
}

/// The two processes.
pub struct Pair {
    child: Child,
    page: Words,
    wait: Wait,
    value: u32,
}

impl Pair {
    pub fn start(wait: Wait) -> Self {
        let file: OwnedFd = memory::memfd(c"loky-floor", PAGE_LEN as u64).unwrap();
        let page = Mapping::shared(&file, PAGE_LEN).unwrap().into_words();
        let how = match wait {
            Wait::Looking => "looking",
            Wait::Sleeping => "sleeping",
        };
        let child = this_program(ROLE)
            .arg(how)
            .stdin(Stdio::from(file))
            .spawn()
            .unwrap();
        Self {
            child,
            page,
            wait,
            value: 0,
        }
    }

    pub fn round_trip(&mut self) {
        let known = self.value;
        self.value = (known + 1) % END;
        Word::new(&self.page, THERE_AT, self.wait).say(self.value);
        Word::new(&self.page, BACK_AT, self.wait).hear(known);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        Word::new(&self.page, THERE_AT, self.wait).say(END);
        self.child.wait().unwrap();
    }
}
