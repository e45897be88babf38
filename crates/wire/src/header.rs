//! The fixed part of every frame. Owner: kinds and the 24 bytes.
//!
//! Never looks at a body.

use crate::error::WireError;
use crate::limits::HEADER_LEN;
use crate::role::Role;
use crate::rules;

/// `flags` of a `Done` frame: the payload is an encoded exception.
pub const DONE_RAISED: u8 = 1;
/// `flags` of a `Done` frame: reserved for a result that could not be encoded.
pub const DONE_CANNOT_ENCODE: u8 = 2;
/// `flags` of a `Done` frame: the exception is one after which the task is to be tried again.
pub const DONE_RETRY: u8 = 4;
/// `flags` of a `Spawn` frame: execute a fresh program instead of forking.
pub const SPAWN_EXEC: u8 = 1;

/// What a frame is. The numbers are on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Parent to worker: a task to run once its ticket is claimed.
    Task = 1,
    /// Parent to worker and back: the last view of a segment of the receiver's pool has died.
    SegmentFreed = 2,
    /// Parent to worker: finish what is claimed, then exit cleanly.
    Leave = 3,
    /// Parent to worker and back: look into the ring; it says nothing else.
    Bell = 4,
    /// Parent to worker: what the language front keeps under this name is not needed any more.
    Forget = 5,
    /// Worker to parent: the worker takes tasks from now on.
    Ready = 16,
    /// Worker to parent: a claimed task has ended.
    Done = 17,
    /// Worker to parent: the initializer raised; the worker will exit.
    InitializerFailed = 18,
    /// Worker to parent: the worker exits of its own accord and claims no more.
    Leaving = 19,
    /// Worker to parent: a task frame arrived whose ticket had been revoked.
    Revoked = 20,
    /// Parent to zygote: start a worker.
    Spawn = 32,
    /// Parent to zygote: send a signal to a worker.
    Kill = 33,
    /// Parent to zygote: kill all, reap all, exit.
    Stop = 34,
    /// Parent to zygote: bytes for the language front.
    Preload = 35,
    /// Zygote to parent: the zygote takes orders from now on.
    Hello = 48,
    /// Zygote to parent: a worker has a process.
    Spawned = 49,
    /// Zygote to parent: a worker got no process.
    SpawnFailed = 50,
    /// Zygote to parent: a worker has been reaped.
    Exited = 51,
    /// Zygote to parent: no more forking; workers are to be executed.
    Unfit = 52,
    /// Zygote to parent: the signal that a `Kill` frame ordered has been sent, or found nobody.
    Signalled = 53,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Task,
        Self::SegmentFreed,
        Self::Leave,
        Self::Bell,
        Self::Forget,
        Self::Ready,
        Self::Done,
        Self::InitializerFailed,
        Self::Leaving,
        Self::Revoked,
        Self::Spawn,
        Self::Kill,
        Self::Stop,
        Self::Preload,
        Self::Hello,
        Self::Spawned,
        Self::SpawnFailed,
        Self::Exited,
        Self::Unfit,
        Self::Signalled,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a number, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Task,
            2 => Self::SegmentFreed,
            3 => Self::Leave,
            4 => Self::Bell,
            5 => Self::Forget,
            16 => Self::Ready,
            17 => Self::Done,
            18 => Self::InitializerFailed,
            19 => Self::Leaving,
            20 => Self::Revoked,
            32 => Self::Spawn,
            33 => Self::Kill,
            34 => Self::Stop,
            35 => Self::Preload,
            48 => Self::Hello,
            49 => Self::Spawned,
            50 => Self::SpawnFailed,
            51 => Self::Exited,
            52 => Self::Unfit,
            53 => Self::Signalled,
            _ => return None,
        })
    }
}

/// Why a worker leaves: `aux` of a `Leaving` frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum LeaveReason {
    /// Its memory has grown too much.
    MemoryGrowth = 1,
    /// It was asked to.
    Asked = 2,
}

impl LeaveReason {
    /// The number on the wire.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The reason of a number, if there is one.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::MemoryGrowth),
            2 => Some(Self::Asked),
            _ => None,
        }
    }
}

/// The fixed part of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of the body. The encoders fill it in; what a caller sets is ignored.
    pub len: u32,
    /// What the frame is.
    pub kind: Kind,
    /// Single bits whose sense depends on the kind.
    pub flags: u8,
    /// How many descriptors travel with the frame, in order.
    pub fds: u16,
    /// The task, or the worker in control frames.
    pub task: u64,
    /// Which try at the task, counted from 1.
    pub attempt: u32,
    /// Slot, process id, segment, signal, error, status or reason, by kind.
    pub aux: u32,
}

impl Header {
    /// A header that names no task and no worker.
    pub const fn bare(kind: Kind, aux: u32) -> Self {
        Self {
            len: 0,
            kind,
            flags: 0,
            fds: 0,
            task: 0,
            attempt: 0,
            aux,
        }
    }

    /// A header about one attempt at a task in one ledger slot.
    pub const fn for_task(kind: Kind, task: u64, attempt: u32, slot: u16) -> Self {
        Self {
            len: 0,
            kind,
            flags: 0,
            fds: 0,
            task,
            attempt,
            aux: slot as u32,
        }
    }

    /// A header of a control frame about a worker.
    pub const fn for_worker(kind: Kind, worker: u64, aux: u32) -> Self {
        Self {
            len: 0,
            kind,
            flags: 0,
            fds: 0,
            task: worker,
            attempt: 0,
            aux,
        }
    }

    /// The same header with these flags.
    #[must_use]
    pub const fn with_flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// The same header with this number of descriptors.
    #[must_use]
    pub const fn with_fds(mut self, fds: u16) -> Self {
        self.fds = fds;
        self
    }

    /// The header as it travels.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let [l0, l1, l2, l3] = self.len.to_le_bytes();
        let [f0, f1] = self.fds.to_le_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = self.task.to_le_bytes();
        let [a0, a1, a2, a3] = self.attempt.to_le_bytes();
        let [x0, x1, x2, x3] = self.aux.to_le_bytes();
        let (code, flags) = (self.kind.code(), self.flags);
        [
            l0, l1, l2, l3, code, flags, f0, f1, t0, t1, t2, t3, t4, t5, t6, t7, a0, a1, a2, a3,
            x0, x1, x2, x3,
        ]
    }

    /// Reads a header that came this way and checks every field that can be checked without the
    /// body.
    pub fn from_bytes(bytes: &[u8; HEADER_LEN], role: Role) -> Result<Self, WireError> {
        let [
            l0,
            l1,
            l2,
            l3,
            code,
            flags,
            f0,
            f1,
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            t7,
            rest @ ..,
        ] = *bytes;
        let [a0, a1, a2, a3, x0, x1, x2, x3] = rest;
        let kind = Kind::from_code(code).ok_or(WireError::KindUnknown { code })?;
        if !role.admits(kind) {
            return Err(WireError::KindMisplaced { kind, role });
        }
        let header = Self {
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            kind,
            flags,
            fds: u16::from_le_bytes([f0, f1]),
            task: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            attempt: u32::from_le_bytes([a0, a1, a2, a3]),
            aux: u32::from_le_bytes([x0, x1, x2, x3]),
        };
        rules::check(&header)?;
        Ok(header)
    }
}
