//! Panics of tasks: caught, and kept with their words and their backtrace.
//!
//! Owned by the worker. The hook keeps what the thread that runs tasks says; of every other thread
//! it says nothing and leaves the word to the hook that was there before.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Seek, Write};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::failure::Failure;

/// A panic that has been caught.
pub(crate) struct Caught {
    message: String,
    backtrace: String,
}

impl From<Caught> for Failure {
    fn from(caught: Caught) -> Self {
        Self::Panicked {
            message: caught.message,
            backtrace: caught.backtrace,
        }
    }
}

/// Something has been written down that no death has followed yet.
static HAS_WORDS: AtomicBool = AtomicBool::new(false);

/// Where the parent reads what was said last, should the process not survive it.
static LAST_WORDS: Mutex<Option<File>> = Mutex::new(None);

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<Option<Caught>> = const { RefCell::new(None) };
}

/// From here on what a panic says also goes to this file.
pub(crate) fn keep_last_words(file: File) {
    *LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
}

/// Installs the hook.
pub(crate) fn watch() {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        let said = describe(info);
        HAS_WORDS.store(true, Ordering::Relaxed);
        write_last_words(&format!("panicked: {}\n{}", said.message, said.backtrace));
        if WATCHED.get() {
            SAID.set(Some(said));
        } else {
            before(info);
        }
    }));
}

/// Runs `work`; a panic in it is its error.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    SAID.take();
    let was_watched = WATCHED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    WATCHED.set(was_watched);
    // Whatever this thread or another one said was survived, so it is no part of what ends this
    // process later.
    if HAS_WORDS.swap(false, Ordering::Relaxed) {
        write_last_words("");
    }
    done.map_err(|payload| {
        // `resume_unwind` calls no hook.
        let said = SAID.take();
        said.unwrap_or_else(|| Caught {
            message: text(payload.as_ref()),
            backtrace: String::new(),
        })
    })
}

fn describe(info: &PanicHookInfo<'_>) -> Caught {
    let words = text(info.payload());
    let message = match info.location() {
        Some(location) => format!("{words}, at {location}"),
        None => words,
    };
    Caught {
        message,
        backtrace: Backtrace::force_capture().to_string(),
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".to_owned()
    }
}

/// The last panic replaces an earlier one. A file that cannot be written costs the report some text
/// and nothing else.
fn write_last_words(words: &str) {
    let mut file = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = &mut *file {
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(words.as_bytes()));
        drop(written);
    }
}
