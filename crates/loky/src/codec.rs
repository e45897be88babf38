//! Values as bytes: postcard for what serde describes, and large buffers beside it.
//!
//! Used by both sides. While a value is written, the buffers in it find the list of what travels
//! beside the stream in a variable of the thread; while it is read, likewise. Outside of these two
//! moments a buffer is written as any sequence, so that it may be used with other formats too.

use std::cell::RefCell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::buffer::Shared;

/// A value that has been written.
#[derive(Clone)]
pub struct Encoded {
    /// What serde describes.
    pub(crate) stream: Vec<u8>,
    /// What travels beside it, in order.
    pub(crate) buffers: Vec<Shared>,
}

/// A value that has come.
pub(crate) struct Sent<'a> {
    pub(crate) stream: &'a [u8],
    pub(crate) buffers: Vec<Shared>,
}

/// Why a value cannot be written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A part of it is nothing that the format can write, such as a sequence of unknown length.
    #[error("a value cannot be written: {0}")]
    Value(#[source] postcard::Error),
    /// The task is not in the list of this program's tasks.
    #[error(
        "the task `{task}` is not in this program's list: the linker has left it out; \
         link without `-z nostart-stop-gc`"
    )]
    Unlisted {
        /// Its name.
        task: &'static str,
    },
    /// The value is a result, and the worker could not write it; these are its words.
    #[error("the result of the task cannot be sent: {0}")]
    Result(String),
}

/// Why a value cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are no such value, or the type asks for what the format does not say.
    #[error("a value cannot be read: {0}")]
    Value(#[source] postcard::Error),
    /// The value is an argument, and the worker could not read it; these are its words.
    #[error("the arguments of the task cannot be read in the worker: {0}")]
    Arguments(String),
    /// The worker, or what it answered, knows no such task.
    #[error("the worker does not know the task that it was given")]
    Unknown,
}

thread_local! {
    static OUTGOING: RefCell<Option<Vec<Shared>>> = const { RefCell::new(None) };
    static INCOMING: RefCell<Option<Vec<Shared>>> = const { RefCell::new(None) };
}

/// Puts a value into a variable of the thread, and what was there back at its end: a value may be
/// written while another one is.
struct Lent<'a> {
    place: &'a RefCell<Option<Vec<Shared>>>,
    before: Option<Vec<Shared>>,
}

impl<'a> Lent<'a> {
    fn new(place: &'a RefCell<Option<Vec<Shared>>>, list: Vec<Shared>) -> Self {
        let before = place.replace(Some(list));
        Self { place, before }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        *self.place.borrow_mut() = self.before.take();
    }
}

/// Writes a value behind `head`.
pub(crate) fn encode<T: Serialize + ?Sized>(
    head: &[u8],
    value: &T,
) -> Result<Encoded, EncodeError> {
    OUTGOING.with(|place| {
        let lent = Lent::new(place, Vec::new());
        let stream = postcard::to_extend(value, head.to_vec()).map_err(EncodeError::Value)?;
        let buffers = lent.place.take().unwrap_or_default();
        Ok(Encoded { stream, buffers })
    })
}

/// Reads a value.
pub(crate) fn decode<T: DeserializeOwned>(sent: Sent<'_>) -> Result<T, DecodeError> {
    INCOMING.with(|place| {
        let _lent = Lent::new(place, sent.buffers);
        postcard::from_bytes(sent.stream).map_err(DecodeError::Value)
    })
}

/// Whether a value is being written here: then buffers may travel beside it.
pub(crate) fn is_encoding() -> bool {
    OUTGOING.with_borrow(Option::is_some)
}

/// Whether a value is being read here.
pub(crate) fn is_decoding() -> bool {
    INCOMING.with_borrow(Option::is_some)
}

/// Lets a buffer travel beside the stream; its place among them.
pub(crate) fn put_beside(buffer: Shared) -> Option<u32> {
    OUTGOING.with_borrow_mut(|list| {
        let list = list.as_mut()?;
        let place = u32::try_from(list.len()).ok()?;
        list.push(buffer);
        Some(place)
    })
}

/// The buffer that came beside the stream at this place.
pub(crate) fn take_beside(place: u32) -> Option<Shared> {
    INCOMING.with_borrow(|list| list.as_ref()?.get(usize::try_from(place).ok()?).cloned())
}
