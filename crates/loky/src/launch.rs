//! How this program is executed as its own zygote and worker, and how it knows that it is one.
//!
//! The command line says it, so that nothing is left in the environment for programs that a task
//! starts. Both sides of that format stand here.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use linkme::distributed_slice;
use loky_engine::config::LauncherCommand;
use loky_worker::{ExecTemplate, GroupOptions};

use crate::error::Error;
use crate::setup::Prologue;
use crate::task;

/// The first word of a zygote.
const ZYGOTE: &str = "__loky_zygote__";
/// The first word of an executed worker.
const WORKER: &str = "__loky_worker__";
/// Stands where there is no preload task, and where no groups are made.
const NOTHING: &str = "-";

/// Names of tests that serve as an entry for workers, each made by
/// [`enable_test_support`](crate::enable_test_support).
#[distributed_slice]
pub static TEST_ENTRIES: [&'static str];

/// `main` has been entered through `init`.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// How to get to the entry of a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// `main` calls `init`.
    Main,
    /// This test of a test program under the usual harness does.
    Test(&'static str),
}

impl Entry {
    /// How this program can be entered.
    fn of_this_program() -> Result<Self, Error> {
        if ENTERED.load(Ordering::Relaxed) {
            return Ok(Self::Main);
        }
        let test = TEST_ENTRIES.first().ok_or(Error::NotInitialized)?;
        Ok(Self::Test(test))
    }

    /// The words before those of the role. The harness takes what follows for names of further
    /// tests, of which there are none.
    fn words(self) -> Vec<OsString> {
        match self {
            Self::Main => Vec::new(),
            Self::Test(test) => {
                // The name of the crate is not part of a test's name.
                let name = test.split_once("::").map_or(test, |(_, name)| name);
                let words = [
                    name,
                    "--exact",
                    "--nocapture",
                    "--quiet",
                    "--test-threads=1",
                ];
                words.map(OsString::from).to_vec()
            }
        }
    }
}

/// Says that `main` has been entered through `init`, in whatever role.
pub(crate) fn enter_main() {
    ENTERED.store(true, Ordering::Relaxed);
}

/// What this process is there for, other than itself.
#[derive(Debug)]
pub(crate) enum Role {
    Zygote(ZygoteRole),
    /// The words that make a seed.
    Worker(WorkerRole),
    /// It was meant to be one of both, but its words make no sense.
    Unreadable,
}

#[derive(Debug)]
pub(crate) struct ZygoteRole {
    pub(crate) parent_pid: i32,
    pub(crate) control: i32,
    pub(crate) origin: Origin,
    /// How this process executes workers.
    pub(crate) template: ExecTemplate,
    /// Where it makes memory cgroups for them.
    pub(crate) groups: Option<GroupOptions>,
}

#[derive(Debug)]
pub(crate) struct WorkerRole {
    pub(crate) origin: Origin,
    pub(crate) seed: Vec<OsString>,
}

/// What zygote and worker are told alike.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Whether the parent's program is this one.
    pub(crate) is_same_program: bool,
    pub(crate) preload: Option<Prologue>,
}

impl Role {
    /// The role of this process, if it has one, where `main` looks for it.
    pub(crate) fn of_main() -> Option<Self> {
        let words: Vec<OsString> = std::env::args_os().collect();
        let (before, role) = words.split_at_checked(1)?;
        Self::read(before, role)
    }

    /// The same for a test that serves as an entry.
    pub(crate) fn of_test() -> Option<Self> {
        let words: Vec<OsString> = std::env::args_os().collect();
        let at = words
            .iter()
            .position(|word| word == ZYGOTE || word == WORKER)?;
        let (before, role) = words.split_at_checked(at)?;
        Self::read(before, role)
    }

    fn read(before: &[OsString], role: &[OsString]) -> Option<Self> {
        let (marker, rest) = role.split_first()?;
        if marker == ZYGOTE {
            return Some(ZygoteRole::read(before, rest).map_or(Self::Unreadable, Self::Zygote));
        }
        if marker == WORKER {
            return Some(WorkerRole::read(rest).map_or(Self::Unreadable, Self::Worker));
        }
        None
    }
}

impl ZygoteRole {
    fn read(before: &[OsString], rest: &[OsString]) -> Option<Self> {
        let [parent_pid, fingerprint, preload, limit, below, control] = rest else {
            return None;
        };
        let own = before.split_first().map_or(&[][..], |(_, words)| words);
        let mut arguments = own.to_vec();
        arguments.extend([WORKER.into(), fingerprint.clone(), preload.clone()]);
        Some(Self {
            parent_pid: parent_pid.to_str()?.parse().ok()?,
            control: control.to_str()?.parse().ok()?,
            groups: match limit.to_str()? {
                NOTHING => None,
                limit => Some(GroupOptions {
                    below: PathBuf::from(below),
                    limit_bytes: limit.parse().ok()?,
                }),
            },
            origin: Origin::read(fingerprint, preload)?,
            template: ExecTemplate {
                program: program(),
                arguments,
                environment: None,
            },
        })
    }
}

impl WorkerRole {
    fn read(rest: &[OsString]) -> Option<Self> {
        let [fingerprint, preload, seed @ ..] = rest else {
            return None;
        };
        Some(Self {
            origin: Origin::read(fingerprint, preload)?,
            seed: seed.to_vec(),
        })
    }
}

impl Origin {
    fn read(fingerprint: &OsStr, preload: &OsStr) -> Option<Self> {
        let preload = match preload.to_str()? {
            NOTHING => None,
            word => Some(Prologue::from_word(word)?),
        };
        let is_same_program = fingerprint.to_str()? == own_fingerprint();
        Some(Self {
            is_same_program,
            preload,
        })
    }
}

/// The command that makes this program a zygote. The engine appends the control descriptor.
pub(crate) fn zygote_command(
    preload: Option<&Prologue>,
    environment: Option<Vec<(OsString, OsString)>>,
    groups: Option<GroupOptions>,
) -> Result<LauncherCommand, Error> {
    let mut arguments = Entry::of_this_program()?.words();
    let preload = preload.map_or_else(|| NOTHING.to_owned(), Prologue::to_word);
    let role = [
        ZYGOTE.to_owned(),
        std::process::id().to_string(),
        own_fingerprint(),
        preload,
    ];
    arguments.extend(role.map(OsString::from));
    arguments.extend(match groups {
        Some(groups) => [groups.limit_bytes.to_string().into(), groups.below.into()],
        None => [NOTHING.into(), NOTHING.into()],
    });
    Ok(LauncherCommand {
        program: program(),
        arguments,
        environment,
    })
}

fn own_fingerprint() -> String {
    format!("{:016x}", task::fingerprint())
}

/// The file of this program. Where it has been removed, or another one has been put in its place,
/// the kernel still has it under a name that leads every process to its own program.
fn program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        Ok(_) | Err(_) => own,
    }
}
