//! A task frame as something to run: its segment mapped, its parts as views.
//!
//! Owned by the worker. It trusts a frame only as far as the file behind it bears it out.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use loky_sys::errno;
use loky_sys::memory::{self, Mapping};
use loky_wire::{Kind, SegmentRef, Stream};

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

/// Makes views of a claimed task. The notice goes with the last of them, or at once.
pub(crate) fn open_task(
    incoming: Incoming,
    notice: Option<FreedNotice>,
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
    let segment = match (payload.segment(), notice) {
        (Some(segment), Some(notice)) => {
            if lost {
                return Ok(Opened::Lost(errno::EMFILE));
            }
            let file = descriptors
                .into_iter()
                .next()
                .ok_or_else(|| wrong("a segment without its descriptor"))?;
            match map(header.kind, segment, &file)? {
                Mapped::Here(mapping) => Some(Arc::new(MappedSegment::new(mapping, notice))),
                Mapped::Lost(errno) => return Ok(Opened::Lost(errno)),
            }
        }
        (None | Some(_), _) => None,
    };
    let view = |extent| {
        let view = segment
            .as_ref()
            .and_then(|segment| View::new(segment, extent));
        view.ok_or_else(|| wrong("a part outside of its segment"))
    };
    let buffers = payload
        .buffers()
        .iter()
        .map(|extent| view(*extent))
        .collect::<Result<_, _>>()?;
    let in_segment = match payload.stream() {
        Stream::Inline(_) => None,
        Stream::InSegment(extent) => Some(view(extent)?),
    };
    let stream = in_segment.map_or_else(|| TaskStream::inline(payload), TaskStream::in_segment);
    Ok(Opened::Task(TaskIn {
        task: header.task,
        attempt: header.attempt,
        stream,
        buffers,
    }))
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
