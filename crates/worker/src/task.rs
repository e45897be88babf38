//! A task frame as something to run: its segments mapped, its parts as views.
//!
//! Owned by the worker. It trusts a frame only as far as the file behind it bears it out.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use loky_sys::errno;
use loky_sys::memory::{self, Mapping};
use loky_wire::{Kind, Part, Piece, SegmentRef};

use crate::channel::Incoming;
use crate::error::WorkerError;
use crate::view::{FreedNotice, MappedSegment, TaskStream, View};

/// A task that has been claimed.
#[derive(Clone, Debug)]
pub struct TaskIn {
    /// Its number.
    pub task: u64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The encoded call.
    pub stream: TaskStream,
    /// The buffers that it refers to, in order.
    pub buffers: Vec<View>,
}

/// What became of the bytes of a task.
pub(crate) enum Opened {
    Task(TaskIn),
    /// They were sent but this process cannot have them: the system's error.
    Lost(i32),
}

/// Makes views of a claimed task. Each notice goes with the last view of its segment, or at once.
pub(crate) fn open_task(
    incoming: Incoming,
    notices: Vec<FreedNotice>,
) -> Result<Opened, WorkerError> {
    let Incoming {
        frame,
        descriptors,
        lost,
    } = incoming;
    let header = frame.header;
    let payload = frame.into_payload()?;
    let wrong = |what| WorkerError::Protocol {
        kind: header.kind,
        what,
    };
    if lost {
        return Ok(Opened::Lost(errno::EMFILE));
    }
    if descriptors.len() != payload.segments().len() {
        return Err(wrong("a segment without its descriptor"));
    }
    let mut segments = Vec::with_capacity(descriptors.len());
    let parts = payload.segments().iter().zip(&descriptors).zip(notices);
    for ((segment, file), notice) in parts {
        match map(header.kind, *segment, file)? {
            Mapped::Here(mapping) => segments.push(Arc::new(MappedSegment::new(mapping, notice))),
            Mapped::Lost(errno) => return Ok(Opened::Lost(errno)),
        }
    }
    let view = |part: &Part| {
        let view = usize::try_from(part.segment)
            .ok()
            .and_then(|index| segments.get(index))
            .and_then(|segment| View::new(segment, part.extent));
        view.ok_or_else(|| wrong("a part outside of its segment"))
    };
    let buffers = payload
        .buffers()
        .iter()
        .map(view)
        .collect::<Result<_, _>>()?;
    let stream = match payload.pieces() {
        [] => TaskStream::inline(payload),
        [Piece::Placed(part)] => TaskStream::in_segment(view(part)?),
        pieces => match joined(pieces, payload.inline(), view)? {
            Some(bytes) => TaskStream::joined(bytes),
            None => return Ok(Opened::Lost(errno::ENOMEM)),
        },
    };
    Ok(Opened::Task(TaskIn {
        task: header.task,
        attempt: header.attempt,
        stream,
        buffers,
    }))
}

/// The stream that these pieces make; `None` where there is no memory for it.
fn joined(
    pieces: &[Piece],
    inline: &[u8],
    view: impl Fn(&Part) -> Result<View, WorkerError>,
) -> Result<Option<Vec<u8>>, WorkerError> {
    let lens = pieces.iter().map(|piece| match piece {
        Piece::Inline(len) => *len,
        Piece::Placed(part) => part.extent.len,
    });
    let len = lens.fold(0, u64::saturating_add);
    let mut stream = Vec::new();
    if usize::try_from(len).is_ok_and(|len| stream.try_reserve_exact(len).is_ok()) {
        let mut rest = inline;
        for piece in pieces {
            match piece {
                Piece::Placed(part) => stream.extend_from_slice(view(part)?.as_bytes()),
                // The frame's decoder has proven that the inline pieces are its bytes.
                Piece::Inline(len) => {
                    let at = usize::try_from(*len).unwrap_or(usize::MAX);
                    let (bytes, behind) = rest.split_at_checked(at).unwrap_or((rest, &[]));
                    stream.extend_from_slice(bytes);
                    rest = behind;
                }
            }
        }
        return Ok(Some(stream));
    }
    Ok(None)
}

enum Mapped {
    Here(Mapping),
    Lost(i32),
}

/// Maps a segment copy-on-write. A file that is shorter than the frame says would be a SIGBUS at
/// some later time, so it is refused now.
fn map(kind: Kind, segment: SegmentRef, file: &OwnedFd) -> Result<Mapped, WorkerError> {
    let short = WorkerError::Protocol {
        kind,
        what: "a segment larger than its file",
    };
    let file_len = memory::file_len(file).map_err(WorkerError::begin("look at a segment"))?;
    let Ok(len) = usize::try_from(segment.size) else {
        return Err(short);
    };
    if file_len < segment.size {
        return Err(short);
    }
    Ok(match Mapping::private(file, len) {
        Ok(mapping) => Mapped::Here(mapping),
        Err(error) => Mapped::Lost(error.raw_os_error().unwrap_or(errno::ENOMEM)),
    })
}
