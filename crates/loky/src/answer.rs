//! A worker's answer as the value that it stands for.
//!
//! Read in the thread that asks for it, each time anew: an answer can be asked for as often as
//! somebody wants it.

use loky_engine::answer::{Answer, AnswerStream};
use loky_engine::front::TaskEnd;
use serde::de::DeserializeOwned;

use crate::buffer::Shared;
use crate::codec::{self, Sent};
use crate::error::Error;
use crate::slot::Slot;

/// The encoded value.
pub(crate) fn stream(answer: &Answer) -> &[u8] {
    match &answer.stream {
        AnswerStream::Inline(bytes) => bytes,
        AnswerStream::InSegment(view) => view.as_bytes(),
    }
}

/// The result of a task that has ended.
pub(crate) fn read<T: DeserializeOwned>(end: &TaskEnd, slot: &Slot) -> Result<T, Error> {
    let answer = Error::value_of(end, slot)?;
    let buffers = answer.buffers.iter().cloned().map(Shared::new).collect();
    Ok(codec::decode(Sent {
        stream: stream(answer),
        buffers,
    })?)
}
