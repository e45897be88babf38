//! What each kind of frame may have in its header. Owner: the one table of these rules.
//!
//! Never reads a body. Senders and receivers are held to the same table, so a frame that one end
//! can build is a frame that the other end takes.

use crate::error::{Field, WireError};
use crate::header::{
    DONE_CANNOT_ENCODE, DONE_RAISED, DONE_RETRY, Header, Kind, LeaveReason, SPAWN_EXEC,
};
use crate::limits::{
    BODY_MAX, DONE_FIXED, EXITED_LEN, FDS_MAX, LEDGER_SLOTS, PAYLOAD_FIXED, SEGMENT_FDS,
    SIGNAL_MAX, SPAWN_FDS, SPAWN_FIXED, TASK_FIXED,
};

/// What `aux` holds.
#[derive(Clone, Copy)]
enum Aux {
    Zero,
    Any,
    Slot,
    Pid,
    Signal,
    Errno,
    Reason,
}

/// Whom the frame is about.
#[derive(Clone, Copy)]
enum About {
    Nobody,
    Worker,
    Task,
}

/// One row of the table; lengths and counts are inclusive.
#[derive(Clone, Copy)]
struct Rule {
    about: About,
    aux: Aux,
    body: (usize, usize),
    flags: u8,
    fds: (u16, u16),
}

const EMPTY: (usize, usize) = (0, 0);
const ANY: (usize, usize) = (0, BODY_MAX);

const fn rule(about: About, aux: Aux, body: (usize, usize)) -> Rule {
    Rule {
        about,
        aux,
        body,
        flags: 0,
        fds: (0, 0),
    }
}

const fn carrying(fds: (u16, u16), flags: u8, rule: Rule) -> Rule {
    Rule { flags, fds, ..rule }
}

const fn rule_of(kind: Kind) -> Rule {
    let task_body = (TASK_FIXED + PAYLOAD_FIXED, BODY_MAX);
    let done_body = (DONE_FIXED + PAYLOAD_FIXED, BODY_MAX);
    match kind {
        Kind::Task => carrying((0, SEGMENT_FDS), 0, rule(About::Task, Aux::Slot, task_body)),
        Kind::SegmentFreed => rule(About::Nobody, Aux::Any, EMPTY),
        Kind::Leave | Kind::Bell | Kind::Stop => rule(About::Nobody, Aux::Zero, EMPTY),
        Kind::Ready | Kind::Hello => rule(About::Nobody, Aux::Pid, EMPTY),
        Kind::Done => carrying(
            (0, 1),
            DONE_RAISED | DONE_CANNOT_ENCODE | DONE_RETRY,
            rule(About::Task, Aux::Slot, done_body),
        ),
        Kind::InitializerFailed => carrying(
            (0, 1),
            0,
            rule(About::Nobody, Aux::Zero, (PAYLOAD_FIXED, BODY_MAX)),
        ),
        Kind::Leaving => rule(About::Nobody, Aux::Reason, EMPTY),
        Kind::Revoked => rule(About::Task, Aux::Slot, EMPTY),
        Kind::Spawn => carrying(
            (SPAWN_FDS, FDS_MAX),
            SPAWN_EXEC,
            rule(About::Worker, Aux::Any, (SPAWN_FIXED, BODY_MAX)),
        ),
        Kind::Kill | Kind::Signalled => rule(About::Worker, Aux::Signal, EMPTY),
        Kind::Preload | Kind::Unfit | Kind::Forget => rule(About::Nobody, Aux::Zero, ANY),
        Kind::Spawned => rule(About::Worker, Aux::Pid, EMPTY),
        Kind::SpawnFailed => rule(About::Worker, Aux::Errno, EMPTY),
        Kind::Exited => rule(About::Worker, Aux::Any, (EXITED_LEN, EXITED_LEN)),
    }
}

const fn aux_allowed(aux: Aux, value: u32) -> bool {
    match aux {
        Aux::Zero => value == 0,
        Aux::Any => true,
        Aux::Slot => value < LEDGER_SLOTS as u32,
        Aux::Pid | Aux::Errno => value != 0 && value <= i32::MAX as u32,
        Aux::Signal => value != 0 && value <= SIGNAL_MAX,
        Aux::Reason => LeaveReason::from_code(value).is_some(),
    }
}

/// Checks a header against the row of its kind.
pub(crate) fn check(header: &Header) -> Result<(), WireError> {
    let kind = header.kind;
    let invalid = |field, value| Err(WireError::FieldInvalid { kind, field, value });
    let len = u64::from(header.len);
    if len > BODY_MAX as u64 {
        return Err(WireError::BodyTooLong { len });
    }
    let Rule {
        about,
        aux,
        body,
        flags,
        fds,
    } = rule_of(kind);
    if len < body.0 as u64 || len > body.1 as u64 {
        return invalid(Field::Len, len);
    }
    if header.flags & !flags != 0 {
        return invalid(Field::Flags, u64::from(header.flags));
    }
    if header.fds < fds.0 || header.fds > fds.1 {
        return invalid(Field::Fds, u64::from(header.fds));
    }
    let (names_one, counts) = match about {
        About::Nobody => (false, false),
        About::Worker => (true, false),
        About::Task => (true, true),
    };
    if (header.task != 0) != names_one {
        return invalid(Field::Task, header.task);
    }
    if (header.attempt != 0) != counts {
        return invalid(Field::Attempt, u64::from(header.attempt));
    }
    if !aux_allowed(aux, header.aux) {
        return invalid(Field::Aux, u64::from(header.aux));
    }
    Ok(())
}
