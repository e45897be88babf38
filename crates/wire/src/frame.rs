//! A frame and the typed bodies. Owner: one type a kind of body, and what header and body must
//! agree on.
//!
//! Never judges what a frame means for a task or a worker.

use crate::bytes::Reader;
use crate::encode::Body;
use crate::error::WireError;
use crate::header::{Header, Kind};
use crate::limits::{
    DONE_FIXED, EXITED_LEN, EXTRA_MAX, SPAWN_FDS, SPAWN_FIXED, TARGET_MIN, TASK_FIXED,
};
use crate::payload::{Payload, PayloadRef};
use crate::role::{FromWorker, ToWorker};

/// One message. Its header has been checked; its body is checked by the accessor of its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The fixed part.
    pub header: Header,
    /// The rest, `header.len` bytes.
    pub body: Vec<u8>,
}

impl Frame {
    /// The body of a `Task` frame.
    pub fn task_body(&self) -> Result<TaskBody<'_>, WireError> {
        self.expect_kind(Kind::Task)?;
        let body = TaskBody::decode(&self.body)?;
        segments_agree(&self.header, body.payload.segments.len())?;
        Ok(body)
    }

    /// The body of a `Done` frame.
    pub fn done_body(&self) -> Result<DoneBody<'_>, WireError> {
        self.expect_kind(Kind::Done)?;
        let body = DoneBody::decode(&self.body)?;
        segments_agree(&self.header, body.payload.segments.len())?;
        Ok(body)
    }

    /// The body of a `Spawn` frame.
    pub fn spawn_body(&self) -> Result<SpawnBody<'_>, WireError> {
        self.expect_kind(Kind::Spawn)?;
        let body = SpawnBody::decode(&self.body)?;
        let extras = u16::try_from(body.targets.len()).unwrap_or(u16::MAX);
        self.expect_fds(SPAWN_FDS.saturating_add(extras))?;
        Ok(body)
    }

    /// The body of an `Exited` frame.
    pub fn exited_body(&self) -> Result<ExitedBody, WireError> {
        self.expect_kind(Kind::Exited)?;
        ExitedBody::decode(&self.body)
    }

    /// The reason in an `Unfit` frame.
    pub fn unfit_reason(&self) -> Result<&str, WireError> {
        self.expect_kind(Kind::Unfit)?;
        core::str::from_utf8(&self.body).map_err(|error| WireError::TextInvalid {
            valid: error.valid_up_to(),
        })
    }

    /// The payload of a `Task`, `Done` or `InitializerFailed` frame, keeping the body's bytes.
    pub fn into_payload(self) -> Result<Payload, WireError> {
        let Self { header, body } = self;
        let kind = header.kind;
        let skip = match (ToWorker::of(kind), FromWorker::of(kind)) {
            (Some(ToWorker::Task), _) => TASK_FIXED,
            (_, Some(FromWorker::Done)) => DONE_FIXED,
            (_, Some(FromWorker::InitializerFailed)) => 0,
            _ => return Err(WireError::KindUnexpected { kind }),
        };
        let payload = Payload::decode(body, skip)?;
        segments_agree(&header, payload.segments().len())?;
        Ok(payload)
    }

    fn expect_kind(&self, kind: Kind) -> Result<(), WireError> {
        if self.header.kind == kind {
            Ok(())
        } else {
            Err(WireError::KindUnexpected {
                kind: self.header.kind,
            })
        }
    }

    fn expect_fds(&self, expected: u16) -> Result<(), WireError> {
        let Header { kind, fds, .. } = self.header;
        if fds == expected {
            Ok(())
        } else {
            Err(WireError::DescriptorsDisagree {
                kind,
                fds,
                expected,
            })
        }
    }
}

/// Segments may come without their descriptors, if the receiver has kept them from before; some of
/// them, or a descriptor without a segment, are nobody's.
fn segments_agree(header: &Header, segments: usize) -> Result<(), WireError> {
    let Header { kind, fds, .. } = *header;
    if fds == 0 || usize::from(fds) == segments {
        return Ok(());
    }
    Err(WireError::DescriptorsDisagree {
        kind,
        fds,
        expected: u16::try_from(segments).unwrap_or(u16::MAX),
    })
}

/// Body of `Task`: which use of the ledger slot, and what to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskBody<'a> {
    /// Generation of the ticket; its slot is the header's `aux`.
    pub generation: u32,
    /// What to run.
    pub payload: PayloadRef<'a>,
}

impl<'a> TaskBody<'a> {
    /// Reads a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let generation = reader.u32()?;
        Ok(Self {
            generation,
            payload: PayloadRef::decode(reader.remainder())?,
        })
    }
}

impl Body for TaskBody<'_> {
    fn check(&self) -> Result<(), WireError> {
        self.payload.check()
    }

    fn encoded_len(&self) -> usize {
        TASK_FIXED + self.payload.encoded_len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.generation.to_le_bytes());
        self.payload.write(out);
    }
}

/// Body of `Done`: how long it ran, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DoneBody<'a> {
    /// Nanoseconds from the claim to the end of the task.
    pub run_ns: u64,
    /// The value or the exception.
    pub payload: PayloadRef<'a>,
}

impl<'a> DoneBody<'a> {
    /// Reads a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let run_ns = reader.u64()?;
        Ok(Self {
            run_ns,
            payload: PayloadRef::decode(reader.remainder())?,
        })
    }
}

impl Body for DoneBody<'_> {
    fn check(&self) -> Result<(), WireError> {
        self.payload.check()
    }

    fn encoded_len(&self) -> usize {
        DONE_FIXED + self.payload.encoded_len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.run_ns.to_le_bytes());
        self.payload.write(out);
    }
}

/// Body of `Spawn`: what the new worker needs to know beside its descriptors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpawnBody<'a> {
    /// Bytes of the setup, which lie in the setup descriptor.
    pub setup_len: u32,
    /// The number that each extra descriptor gets in the worker, in order.
    pub targets: Vec<i32>,
    /// The environment of a worker that is executed (see [`crate::encode_environment`]); empty for
    /// that of the zygote.
    pub rest: &'a [u8],
}

impl<'a> SpawnBody<'a> {
    /// Reads a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let setup_len = reader.u32()?;
        let count = reader.u32()?;
        if count > u32::from(EXTRA_MAX) {
            return Err(WireError::ExtrasTooMany {
                count: u64::from(count),
            });
        }
        let targets = (0..count)
            .map(|_| reader.i32())
            .collect::<Result<Vec<_>, _>>()?;
        let body = Self {
            setup_len,
            targets,
            rest: reader.remainder(),
        };
        body.check()?;
        Ok(body)
    }
}

impl Body for SpawnBody<'_> {
    fn check(&self) -> Result<(), WireError> {
        if self.targets.len() > usize::from(EXTRA_MAX) {
            return Err(WireError::ExtrasTooMany {
                count: self.targets.len() as u64,
            });
        }
        let mut sorted = self.targets.clone();
        sorted.sort_unstable();
        if let Some(&target) = sorted.first()
            && target < TARGET_MIN
        {
            return Err(WireError::TargetInvalid { target });
        }
        for pair in sorted.windows(2) {
            if let [a, b] = *pair
                && a == b
            {
                return Err(WireError::TargetRepeated { target: a });
            }
        }
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        SPAWN_FIXED + self.targets.len() * size_of::<i32>() + self.rest.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        // `check` has held the count far below what a u32 can say.
        let count = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&self.setup_len.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        for target in &self.targets {
            out.extend_from_slice(&target.to_le_bytes());
        }
        out.extend_from_slice(self.rest);
    }
}

/// Body of `Exited`: what the dead worker had used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitedBody {
    /// The most memory it had resident.
    pub max_rss_bytes: u64,
    /// Processor time in its own code.
    pub user_ns: u64,
    /// Processor time in the kernel.
    pub system_ns: u64,
    /// Whether a `Kill` frame for it had been served before it ended.
    pub killed_on_request: bool,
    /// Whether the kernel had ended a process of its memory cgroup for the limit of that.
    pub passed_limit: bool,
}

/// Bits of the last word of an `Exited` body.
const EXITED_ON_REQUEST: u64 = 1;
const EXITED_PASSED_LIMIT: u64 = 2;

impl ExitedBody {
    /// Reads a body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let max_rss_bytes = reader.u64()?;
        let user_ns = reader.u64()?;
        let system_ns = reader.u64()?;
        let flags = reader.u64()?;
        if flags & !(EXITED_ON_REQUEST | EXITED_PASSED_LIMIT) != 0 {
            return Err(WireError::ReservedUsed { value: flags });
        }
        reader.end()?;
        Ok(Self {
            max_rss_bytes,
            user_ns,
            system_ns,
            killed_on_request: flags & EXITED_ON_REQUEST != 0,
            passed_limit: flags & EXITED_PASSED_LIMIT != 0,
        })
    }
}

impl Body for ExitedBody {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        EXITED_LEN
    }

    fn write(&self, out: &mut Vec<u8>) {
        for word in [
            self.max_rss_bytes,
            self.user_ns,
            self.system_ns,
            (u64::from(self.killed_on_request) * EXITED_ON_REQUEST)
                | (u64::from(self.passed_limit) * EXITED_PASSED_LIMIT),
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
}
