//! The memory cgroup of a process: what the kernel counts there, and its limits; versions 1 and 2.
//!
//! It reads, and makes a group only below one that the caller names. Whatever is missing, forbidden or
//! unreadable is `None`: a system without cgroups is no error. It never guesses a cause.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::unix::descriptor::above_streams;

pub use crate::contract::{GroupVersion, MemoryCounters};

/// A limit from here on is how version 1 says that there is none.
const UNLIMITED_FROM: u64 = 1 << 62;

/// A memory cgroup that this process can see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryGroup {
    version: GroupVersion,
    /// The root of what is mounted here; groups above it cannot be seen.
    mount: PathBuf,
    /// The folder of the group.
    folder: PathBuf,
    /// Its path as `/proc/<pid>/cgroup` has it.
    name: String,
}

impl MemoryGroup {
    /// The group of a process.
    pub fn of(pid: i32) -> Option<Self> {
        Self::from_membership(&membership(pid).ok()?)
    }

    /// The group of which `/proc/<pid>/cgroup` speaks, by the mounts of this process.
    pub fn from_membership(membership: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::find(membership, &mounts)
    }

    fn find(membership: &str, mounts: &str) -> Option<Self> {
        // Version 1 first: a controller that is mounted there is not in version 2.
        let first = || Self::locate(GroupVersion::One, path_in(membership, "memory")?, mounts);
        let second = || Self::locate(GroupVersion::Two, path_in(membership, "")?, mounts);
        first().or_else(second)
    }

    fn locate(version: GroupVersion, name: &str, mounts: &str) -> Option<Self> {
        let found = mounts.lines().find_map(|line| mount_of(version, line));
        let (root, mount) = found?;
        let below = if root == "/" {
            name
        } else {
            name.strip_prefix(root.as_str())?
        };
        let below = below.trim_start_matches('/');
        // Outside of the namespace of this process.
        if below.split('/').any(|part| part == "..") {
            return None;
        }
        let mount = PathBuf::from(mount);
        Some(Self {
            version,
            folder: if below.is_empty() {
                mount.clone()
            } else {
                mount.join(below)
            },
            mount,
            name: name.to_owned(),
        })
    }

    /// The group in this folder, where it is one.
    pub fn at(folder: &Path) -> Option<Self> {
        let version = if folder.join("memory.max").exists() {
            GroupVersion::Two
        } else if folder.join("memory.limit_in_bytes").exists() {
            GroupVersion::One
        } else {
            return None;
        };
        Some(Self {
            version,
            mount: folder.to_path_buf(),
            folder: folder.to_path_buf(),
            name: folder.display().to_string(),
        })
    }

    /// Which version of cgroups it belongs to.
    pub fn version(&self) -> GroupVersion {
        self.version
    }

    /// Its path, as the kernel names it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the kernel has counted in it.
    pub fn counters(&self) -> MemoryCounters {
        match self.version {
            GroupVersion::One => MemoryCounters {
                kills: keyed(&self.folder.join("memory.oom_control"), "oom_kill"),
                limit_hits: number(&self.folder.join("memory.failcnt")),
            },
            GroupVersion::Two => {
                // Those of its own, so that a group below, which has other processes, is not counted.
                let local = self.folder.join("memory.events.local");
                let all = self.folder.join("memory.events");
                let of = |key| keyed(&local, key).or_else(|| keyed(&all, key));
                MemoryCounters {
                    kills: of("oom_kill"),
                    limit_hits: of("max"),
                }
            }
        }
    }

    /// The tightest limit on memory, of its own or of a group above it that can be seen.
    pub fn limit_bytes(&self) -> Option<u64> {
        let file = match self.version {
            GroupVersion::One => "memory.limit_in_bytes",
            GroupVersion::Two => "memory.max",
        };
        self.folder
            .ancestors()
            .take_while(|folder| folder.starts_with(&self.mount))
            .filter_map(|folder| number(&folder.join(file)))
            .filter(|limit| *limit < UNLIMITED_FROM)
            .min()
    }

    /// How much memory its processes use.
    pub fn usage_bytes(&self) -> Option<u64> {
        number(&self.folder.join(match self.version {
            GroupVersion::One => "memory.usage_in_bytes",
            GroupVersion::Two => "memory.current",
        }))
    }

    /// Makes a group below this one. `max_bytes` is its limit; swap does not extend it, where that can
    /// be said. It is removed again where its limit cannot be set.
    pub fn make_below(&self, name: &str, max_bytes: u64) -> io::Result<Self> {
        let folder = self.folder.join(name);
        fs::create_dir(&folder)?;
        let made = Self {
            version: self.version,
            mount: self.mount.clone(),
            folder,
            name: format!("{}/{name}", self.name.trim_end_matches('/')),
        };
        match made.set_limit(max_bytes) {
            Ok(()) => Ok(made),
            Err(error) => {
                drop(made.remove());
                Err(error)
            }
        }
    }

    /// Changes its limit.
    pub fn set_limit(&self, max_bytes: u64) -> io::Result<()> {
        let limit = max_bytes.to_string();
        let (file, swap, swap_limit) = match self.version {
            GroupVersion::One => (
                "memory.limit_in_bytes",
                "memory.memsw.limit_in_bytes",
                limit.as_str(),
            ),
            GroupVersion::Two => ("memory.max", "memory.swap.max", "0"),
        };
        fs::write(self.folder.join(file), &limit)?;
        // A kernel without accounting of swap has no such file.
        drop(fs::write(self.folder.join(swap), swap_limit));
        Ok(())
    }

    /// What lets a process [`enter`] it: a descriptor that can be handed to a child.
    pub fn door(&self) -> io::Result<OwnedFd> {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(self.folder.join("cgroup.procs"))?;
        above_streams(file.into())
    }

    /// Removes it. `EBUSY`: it still has processes.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir(&self.folder)
    }
}

/// Moves this process into the group of the door. What it starts from then on is in it too.
pub fn enter(door: OwnedFd) -> io::Result<()> {
    // The kernel takes 0 for whoever writes it.
    fs::File::from(door).write_all(b"0")
}

/// The text of `/proc/<pid>/cgroup`: equal texts are equal groups.
pub fn membership(pid: i32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/cgroup"))
}

/// How many processes the kernel has ended for lack of memory, in any group.
pub fn kernel_kills() -> Option<u64> {
    keyed(Path::new("/proc/vmstat"), "oom_kill")
}

/// The path of one hierarchy: that of a controller, or of version 2 where the name is empty.
fn path_in<'a>(membership: &'a str, controller: &str) -> Option<&'a str> {
    membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = if controller.is_empty() {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == controller)
        };
        ours.then_some(path)
    })
}

/// Root and place of a mount, where this line of `mountinfo` is one of the version's memory groups.
fn mount_of(version: GroupVersion, line: &str) -> Option<(String, String)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split_ascii_whitespace();
    let (system, options) = (kind.next()?, kind.nth(1)?);
    let ours = match version {
        GroupVersion::One => {
            system == "cgroup" && options.split(',').any(|option| option == "memory")
        }
        GroupVersion::Two => system == "cgroup2",
    };
    let mut place = place.split_ascii_whitespace();
    let (root, mount) = (place.nth(3)?, place.next()?);
    ours.then(|| (plain(root), plain(mount)))
}

/// A path in which `mountinfo` has written blanks and backslashes as octal numbers.
fn plain(path: &str) -> String {
    let replaced = path.replace("\\040", " ").replace("\\011", "\t");
    replaced.replace("\\012", "\n").replace("\\134", "\\")
}

/// The number in a file; none in one that says `max`.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number behind a word at the beginning of a line.
fn keyed(file: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == key).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &str = "\
30 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const ONLY_TWO: &str =
        "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const IN_CONTAINER: &str =
        "500 40 0:32 /docker/ab\\040c /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("loky-cgroup-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn write(&self, name: &str, text: &str) {
            let file = self.0.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        fn group(&self, version: GroupVersion, below: &str) -> MemoryGroup {
            MemoryGroup {
                version,
                mount: self.0.clone(),
                folder: self.0.join(below),
                name: format!("/{below}"),
            }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_controller_of_version_one_goes_before_version_two() {
        let group = MemoryGroup::find("4:cpu,memory:/a/b\n0::/c\n", BOTH).unwrap();
        assert_eq!(group.version(), GroupVersion::One);
        assert_eq!(group.folder(), Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(group.name(), "/a/b");
    }

    #[test]
    fn version_two_is_found_alone() {
        let group = MemoryGroup::find("0::/user.slice/x\n", ONLY_TWO).unwrap();
        assert_eq!(group.version(), GroupVersion::Two);
        assert_eq!(group.folder(), Path::new("/sys/fs/cgroup/user.slice/x"));
        let root = MemoryGroup::find("0::/\n", ONLY_TWO).unwrap();
        assert_eq!(root.folder(), Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn a_mount_that_begins_below_the_root_is_taken_off_the_path() {
        let group = MemoryGroup::find("4:memory:/docker/ab c/d\n", IN_CONTAINER).unwrap();
        assert_eq!(group.folder(), Path::new("/sys/fs/cgroup/memory/d"));
        assert!(MemoryGroup::find("4:memory:/elsewhere\n", IN_CONTAINER).is_none());
    }

    #[test]
    fn what_cannot_be_seen_is_nothing() {
        assert!(MemoryGroup::find("0::/../other\n", ONLY_TWO).is_none());
        assert!(MemoryGroup::find("", ONLY_TWO).is_none());
        assert!(MemoryGroup::find("0::/a\n", "").is_none());
        assert!(MemoryGroup::find("nonsense\n", "nonsense\n").is_none());
        assert!(MemoryGroup::at(Path::new("/nowhere")).is_none());
        assert!(MemoryGroup::of(-1).is_none());
    }

    #[test]
    fn version_one_counts_in_two_files() {
        let folder = Folder::new("one");
        folder.write(
            "a/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
        );
        folder.write("a/memory.failcnt", "17\n");
        let group = folder.group(GroupVersion::One, "a");
        let counters = group.counters();
        assert_eq!((counters.kills, counters.limit_hits), (Some(3), Some(17)));
    }

    #[test]
    fn version_two_prefers_the_counts_of_the_group_alone() {
        let folder = Folder::new("two");
        folder.write(
            "a/memory.events",
            "low 0\nhigh 0\nmax 9\noom 2\noom_kill 5\n",
        );
        let group = folder.group(GroupVersion::Two, "a");
        assert_eq!(group.counters().kills, Some(5));
        folder.write("a/memory.events.local", "max 4\noom 1\noom_kill 1\n");
        let counters = group.counters();
        assert_eq!((counters.kills, counters.limit_hits), (Some(1), Some(4)));
    }

    #[test]
    fn missing_and_garbled_files_count_nothing() {
        let folder = Folder::new("missing");
        folder.write("a/memory.events", "oom_kill\nmax many\n");
        for version in [GroupVersion::One, GroupVersion::Two] {
            let group = folder.group(version, "a");
            assert_eq!(group.counters(), MemoryCounters::default());
            assert_eq!((group.limit_bytes(), group.usage_bytes()), (None, None));
        }
    }

    #[test]
    fn the_tightest_limit_of_nested_groups_counts() {
        let folder = Folder::new("nested");
        folder.write("a/memory.max", "1000\n");
        folder.write("a/b/memory.max", "2000\n");
        folder.write("a/b/c/memory.max", "max\n");
        let limit = |below| folder.group(GroupVersion::Two, below).limit_bytes();
        assert_eq!(limit("a/b/c"), Some(1000));
        folder.write("a/memory.max", "max\n");
        assert_eq!(limit("a/b/c"), Some(2000));
        assert_eq!(limit("a"), None);
    }

    #[test]
    fn the_largest_number_of_version_one_is_no_limit() {
        let folder = Folder::new("unlimited");
        folder.write("a/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(folder.group(GroupVersion::One, "a").limit_bytes(), None);
    }

    #[test]
    fn the_kernel_is_asked_for_this_process() {
        let text = membership(std::process::id().cast_signed()).unwrap();
        assert!(!text.is_empty());
        // None on a system whose cgroups are not mounted here.
        if let Some(group) = MemoryGroup::from_membership(&text) {
            assert!(group.folder().starts_with("/"));
        }
        assert!(kernel_kills().is_some());
    }
}
