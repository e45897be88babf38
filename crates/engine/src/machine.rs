//! What this machine offers to a pool, looked at now. For people who look for a reason.
//!
//! It starts nothing that outlives the call and changes nothing.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use loky_sys::cgroup::{self, GroupVersion, MemoryGroup};
use loky_sys::{limits, mark, memory, pidfd, process};

/// The variable that names a memory cgroup below which pools may make groups of their own.
pub const GROUP_VARIABLE: &str = "LOKY_CGROUP";

/// A memory cgroup, in numbers.
#[derive(Clone, Debug)]
pub struct GroupFacts {
    /// 1 or 2.
    pub version: u8,
    /// Its path, as the kernel names it.
    pub name: String,
    /// The tightest limit of it and the groups around it.
    pub limit_bytes: Option<u64>,
    /// What its processes use.
    pub usage_bytes: Option<u64>,
    /// How many processes of it the kernel has ended for lack of memory.
    pub kills: Option<u64>,
}

/// How a limit on memory is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LimitMechanism {
    /// By a cgroup for each worker, below this one, and by sampling.
    Group(PathBuf),
    /// By looking at the resident memory of workers at intervals.
    Sampling,
}

/// What there is.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a list of independent findings"
)]
pub struct Machine {
    /// The end of a process can be polled for.
    pub pidfd: bool,
    /// Memory files can be made.
    pub memory_files: bool,
    /// Their length can be fixed for ever.
    pub seals: bool,
    /// The kernel lists the children of a process.
    pub children_lists: bool,
    /// Whom a worker leaves that dies together with its launcher can be found.
    pub marks: bool,
    /// Descriptors that this process may have, and how far it may raise that itself.
    pub open_files: (Option<u64>, Option<u64>),
    /// The memory cgroup of this process.
    pub group: Option<GroupFacts>,
    /// How many processes the kernel has ended for lack of memory.
    pub kernel_kills: Option<u64>,
    /// How a limit on memory would be kept.
    pub limit_mechanism: LimitMechanism,
}

impl Machine {
    /// Looks.
    pub fn look() -> Self {
        let file = memory::memfd(c"loky-look", 4096).ok();
        Self {
            pidfd: pidfd::open(process::pid()).is_ok_and(|pidfd| pidfd.is_some()),
            seals: file
                .as_ref()
                .is_some_and(|file| memory::is_sealed(file).unwrap_or(false)),
            memory_files: file.is_some(),
            children_lists: process::has_children_lists(),
            marks: mark::is_possible(),
            open_files: limits::open_files(),
            group: MemoryGroup::of(process::pid()).map(|group| facts_of(&group)),
            kernel_kills: cgroup::kernel_kills(),
            limit_mechanism: LimitMechanism::look(None),
        }
    }
}

fn facts_of(group: &MemoryGroup) -> GroupFacts {
    GroupFacts {
        version: match group.version() {
            GroupVersion::One => 1,
            GroupVersion::Two => 2,
        },
        name: group.name().to_owned(),
        limit_bytes: group.limit_bytes(),
        usage_bytes: group.usage_bytes(),
        kills: group.counters().kills,
    }
}

impl LimitMechanism {
    /// How the limit of a pool would be kept, where this folder, or else the one in the variable, is meant for
    /// the groups of its workers.
    pub fn look(named: Option<&Path>) -> Self {
        match parent_group(named) {
            Some(group) => Self::Group(group.folder().to_path_buf()),
            None => Self::Sampling,
        }
    }
}

/// The group below which groups for workers may be made: one that somebody has named for it. Being
/// allowed to write somewhere is no invitation to do so.
fn parent_group(named: Option<&Path>) -> Option<MemoryGroup> {
    let named = named.map(Path::to_path_buf);
    let folder = named.or_else(|| env::var_os(GROUP_VARIABLE).map(PathBuf::from));
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty())?;
    let group = MemoryGroup::at(&folder)?;
    let name = format!("loky-look-{}-{}", process::pid(), next_trial());
    let trial = group.make_below(&name, u64::MAX >> 2).ok()?;
    trial.remove().is_ok().then_some(group)
}

/// Two pools that are made at the same time try names of their own.
fn next_trial() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}
