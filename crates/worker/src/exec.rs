//! The exec launcher: a worker as a fresh program, and what that program reads from its command
//! line.
//!
//! Owned by the zygote on one side and by the executed worker on the other; both sides of the
//! format stand here. The zygote stays the parent, so reaping and lifelines are those of a fork.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use loky_sys::spawn::{Spawn, spawn};
use loky_sys::{descriptor, process};

use loky_wire::decode_environment;

use crate::error::WorkerError;
use crate::seed::Seed;

/// How to execute a worker. The words of [`Seed::from_exec`] are appended to `arguments`.
#[derive(Clone, Debug)]
pub struct ExecTemplate {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, without the program's own name.
    pub arguments: Vec<OsString>,
    /// Its environment; `None` is that of the zygote.
    pub environment: Option<Vec<(OsString, OsString)>>,
}

/// The number of the first descriptor in an executed worker; the others follow.
const FIRST_DESCRIPTOR: RawFd = 3;

/// The number of the first extra descriptor: behind socket, ledger, setup and stack.
const FIRST_EXTRA: RawFd = FIRST_DESCRIPTOR + 4;

/// Words before the extra descriptors: worker, index, zygote, socket, ledger, setup, its length,
/// stack, door.
const FIXED_WORDS: usize = 9;

/// In the place of the door's number where the worker has no memory cgroup of its own: that of a standard
/// stream. A word that begins with a dash would be an option to some programs.
const NO_DOOR: i64 = 0;

impl ExecTemplate {
    /// Executes the worker of `seed` and returns its process id. An encoded environment that is not
    /// empty takes the place of the template's.
    pub(crate) fn execute(&self, seed: &Seed, environment: &[u8]) -> io::Result<i32> {
        let sources = [&seed.socket, &seed.ledger, &seed.setup, &seed.stack];
        let extras = seed.extra.iter().map(|(descriptor, _)| descriptor);
        let keep: Vec<(BorrowedFd<'_>, RawFd)> = sources
            .into_iter()
            .chain(extras)
            .chain(&seed.door)
            .map(AsFd::as_fd)
            .zip(FIRST_DESCRIPTOR..)
            .chain(streams_of(seed))
            .collect();
        let given = (!environment.is_empty()).then(|| {
            let variables = decode_environment(environment).into_iter();
            variables
                .map(|(name, value)| (OsString::from_vec(name), OsString::from_vec(value)))
                .collect::<Vec<_>>()
        });
        let mut args = self.arguments.clone();
        args.extend(words(seed));
        spawn(&Spawn {
            program: &self.program,
            args: &args,
            env: given.as_deref().or(self.environment.as_deref()),
            keep: &keep,
            null_stdin: false,
        })
    }
}

/// Output streams that the worker will have are given to its program from the start: what it says
/// before it is a worker, such as why it cannot load, belongs there too.
fn streams_of(seed: &Seed) -> impl Iterator<Item = (BorrowedFd<'_>, RawFd)> {
    let streams = seed
        .extra
        .iter()
        .filter(|(_, target)| (1..FIRST_DESCRIPTOR).contains(target));
    streams.map(|(descriptor, target)| (descriptor.as_fd(), *target))
}

/// What the executed worker finds at the end of its command line.
fn words(seed: &Seed) -> Vec<OsString> {
    let number = |offset: RawFd| i64::from(FIRST_DESCRIPTOR + offset);
    let extra_count = i64::try_from(seed.extra.len()).unwrap_or(i64::MAX);
    let door = i64::from(FIRST_EXTRA).saturating_add(extra_count);
    let mut words: Vec<OsString> = vec![
        seed.worker.to_string().into(),
        seed.index.to_string().into(),
    ];
    let fixed = [
        i64::from(process::pid()),
        number(0),
        number(1),
        number(2),
        i64::from(seed.setup_len),
        number(3),
        // Behind all the others.
        seed.door.as_ref().map_or(NO_DOOR, |_| door),
    ];
    let targets = seed.extra.iter().map(|(_, target)| i64::from(*target));
    words.extend(
        fixed
            .into_iter()
            .chain(targets)
            .map(|word| OsString::from(word.to_string())),
    );
    words
}

/// The words, read.
struct ExecWords {
    worker: u64,
    index: u32,
    zygote_pid: i32,
    socket: RawFd,
    ledger: RawFd,
    setup: RawFd,
    setup_len: u32,
    stack: RawFd,
    door: Option<RawFd>,
    /// Where each extra descriptor is and where it belongs.
    extra: Vec<(RawFd, RawFd)>,
}

impl ExecWords {
    fn read<S: AsRef<OsStr>>(words: &[S]) -> Result<Self, WorkerError> {
        let [
            worker,
            index,
            zygote,
            socket,
            ledger,
            setup,
            setup_len,
            stack,
            door,
        ] = words
            .first_chunk::<FIXED_WORDS>()
            .ok_or(WorkerError::Arguments {
                what: "too few words",
            })?;
        let targets = words.get(FIXED_WORDS..).unwrap_or_default();
        let extra = (FIRST_EXTRA..)
            .zip(targets)
            .map(|(at, target)| Ok((at, number(target)?)));
        Ok(Self {
            worker: number(worker)?,
            index: number(index)?,
            zygote_pid: number(zygote)?,
            socket: number(socket)?,
            ledger: number(ledger)?,
            setup: number(setup)?,
            setup_len: number(setup_len)?,
            stack: number(stack)?,
            door: Some(number(door)?).filter(|door| i64::from(*door) != NO_DOOR),
            extra: extra.collect::<Result<_, WorkerError>>()?,
        })
    }
}

fn number<N: std::str::FromStr>(word: &impl AsRef<OsStr>) -> Result<N, WorkerError> {
    let read = word.as_ref().to_str().and_then(|word| word.parse().ok());
    read.ok_or(WorkerError::Arguments {
        what: "a word is no number in range",
    })
}

impl Seed {
    /// The seed of an executed worker, from the last words of its command line. Takes over the
    /// descriptors that they name, so it succeeds once in a process.
    pub fn from_exec<S: AsRef<OsStr>>(words: &[S]) -> Result<Self, WorkerError> {
        let words = ExecWords::read(words)?;
        let own =
            |number| descriptor::own(number).map_err(WorkerError::begin("take over a descriptor"));
        let extra = words
            .extra
            .iter()
            .map(|(at, target)| Ok((own(*at)?, *target)));
        Ok(Self {
            worker: words.worker,
            index: words.index,
            socket: own(words.socket)?,
            ledger: own(words.ledger)?,
            setup: own(words.setup)?,
            setup_len: words.setup_len,
            stack: own(words.stack)?,
            door: words.door.map(own).transpose()?,
            extra: extra.collect::<Result<_, WorkerError>>()?,
            zygote_pid: words.zygote_pid,
        })
    }
}
