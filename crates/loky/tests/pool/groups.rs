//! Limits on memory that the kernel keeps: a group of its own for each worker.
//!
//! With the groups of the kernel, where this machine lets a process make them; where it does not, each
//! test says so and why.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use loky::{DeathCause, MemoryMechanism, OnCrash};
use loky_sys::cgroup::MemoryGroup;
use loky_sys::process;

use crate::Test;
use crate::rows::died;
use crate::stage::{Setting, is_alive, until, value, zygote_pid};
use crate::tasks::{double, fills, hoards, membership, pid};

pub const TESTS: &[Test] = &[
    ("each_worker_has_a_group_of_its_own", groups),
    ("the_kernel_keeps_the_limit_of_a_group", kernel),
    ("the_variable_names_the_group", variable),
    ("a_place_that_is_no_group_is_told", nowhere),
    ("without_a_limit_no_group_is_made", without_limit),
    ("groups_of_a_killed_zygote_are_removed_later", forsaken),
];

/// What a worker may have.
pub const LIMIT_MIB: usize = 200;

const LIMIT: u64 = (LIMIT_MIB as u64) << 20;

/// Where memory cgroups are mounted.
const MOUNTS: [&str; 3] = [
    "/sys/fs/cgroup/memory",
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
];

/// A memory cgroup that is there for the pools of one test.
pub struct Place(MemoryGroup);

impl Place {
    /// Makes one; without the right to do so, or without a memory controller, says so and is none.
    pub fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("loky-test-{}-{number}", process::pid());
        let place = MOUNTS
            .iter()
            .find_map(|mount| Self::below(Path::new(mount), &name));
        if place.is_none() {
            println!("NOT TESTED: no memory cgroup can be made here");
        }
        place
    }

    fn below(mount: &Path, name: &str) -> Option<Self> {
        let folder = mount.join(name);
        std::fs::create_dir(&folder).ok()?;
        // Version 2 asks for it; version 1 has no such file.
        drop(std::fs::write(
            folder.join("cgroup.subtree_control"),
            "+memory",
        ));
        let group = MemoryGroup::at(&folder);
        let trial = group
            .as_ref()
            .and_then(|group| group.make_below("trial", LIMIT).ok());
        if let Some(trial) = &trial {
            trial.remove().unwrap();
            return group.map(Self);
        }
        std::fs::remove_dir(&folder).unwrap();
        None
    }

    pub fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// The groups that have been made in it.
    fn groups(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        until(|| self.0.remove().ok());
    }
}

fn groups(setting: Setting) {
    let Some(place) = Place::new() else { return };
    let name = place.folder().file_name().unwrap().to_str().unwrap();
    for on_crash in [OnCrash::Recover, OnCrash::Break] {
        let builder = setting.builder(2).on_crash(on_crash);
        let builder = builder.memory_limit(LIMIT).memory_group(place.folder());
        let pool = builder.build().unwrap();
        let expected = MemoryMechanism::Group(place.folder().to_path_buf());
        assert_eq!(pool.memory_mechanism(), expected);
        let found = value(&pool.submit(membership::call()).unwrap());
        assert!(found.contains(&format!("{name}/loky-")), "{found}");
        let others: Vec<_> = (0..20)
            .map(|number| pool.submit(double::call(number)).unwrap())
            .collect();
        died(
            &pool.submit(fills::call(4 * LIMIT_MIB)).unwrap(),
            DeathCause::MemoryLimit,
        );
        for (number, other) in (0..20).zip(&others) {
            assert_eq!(value(other), 2 * number);
        }
        assert_eq!(value(&pool.submit(double::call(7)).unwrap()), 14);
        pool.shutdown().unwrap();
        assert_eq!(place.groups(), Vec::<PathBuf>::new());
    }
}

/// What the task takes is in no process's resident memory, so looking at that cannot end it.
fn kernel(setting: Setting) {
    let Some(place) = Place::new() else { return };
    let builder = setting.builder(1).memory_limit(LIMIT);
    let pool = builder.memory_group(place.folder()).build().unwrap();
    assert_eq!(value(&pool.submit(hoards::call(LIMIT_MIB / 4)).unwrap()), 0);
    let greedy = pool.submit(hoards::call(4 * LIMIT_MIB)).unwrap();
    let report = died(&greedy, DeathCause::MemoryLimit);
    let facts = report.evidence.join("; ");
    assert!(facts.contains("the kernel ended it"), "{facts}");
    assert!(facts.contains("200 MiB"), "{facts}");
    assert!(report.peak_rss_bytes.unwrap() < LIMIT, "{report}");
    pool.shutdown().unwrap();
}

/// A variable of this process could only be set without a care for its threads, so it is another process
/// that has it: this program with this one test.
fn variable(setting: Setting) {
    if let Some(named) = std::env::var_os("LOKY_CGROUP") {
        let pool = setting.builder(1).memory_limit(LIMIT).build().unwrap();
        let expected = MemoryMechanism::Group(PathBuf::from(&named));
        assert_eq!(pool.memory_mechanism(), expected);
        let found = value(&pool.submit(membership::call()).unwrap());
        let name = Path::new(&named).file_name().unwrap().to_str().unwrap();
        assert!(found.contains(&format!("{name}/loky-")), "{found}");
        return;
    }
    let Some(place) = Place::new() else { return };
    let test = format!("{}::the_variable_names_the_group", setting.name());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test])
        .env("LOKY_CGROUP", place.folder())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}

fn nowhere(setting: Setting) {
    let builder = setting.builder(1).memory_limit(LIMIT);
    let pool = builder.memory_group(std::env::temp_dir()).build().unwrap();
    assert_eq!(pool.memory_mechanism(), MemoryMechanism::Sampling);
    let report = died(
        &pool.submit(fills::call(4 * LIMIT_MIB)).unwrap(),
        DeathCause::MemoryLimit,
    );
    let facts = report.evidence.join("; ");
    assert!(facts.contains("its limit was 200 MiB"), "{facts}");
    pool.shutdown().unwrap();
}

fn without_limit(setting: Setting) {
    let Some(place) = Place::new() else { return };
    let builder = setting.builder(1).memory_group(place.folder());
    let pool = builder.build().unwrap();
    assert_eq!(pool.memory_mechanism(), MemoryMechanism::Sampling);
    assert_eq!(value(&pool.submit(double::call(4)).unwrap()), 8);
    assert_eq!(place.groups(), Vec::<PathBuf>::new());
    pool.shutdown().unwrap();
}

/// Whoever is killed removes nothing; the next zygote that is given the same place does.
fn forsaken(setting: Setting) {
    let Some(place) = Place::new() else { return };
    let builder = || {
        let builder = setting.builder(1).memory_limit(LIMIT);
        builder.memory_group(place.folder())
    };
    let pool = builder().build().unwrap();
    let victim = value(&pool.submit(pid::call()).unwrap());
    let left = place.groups();
    assert_eq!(left.len(), 1, "{left:?}");
    process::kill(zygote_pid(), libc::SIGKILL).unwrap();
    until(|| (!is_alive(victim)).then_some(()));
    pool.shutdown().unwrap();
    let pool = builder().build().unwrap();
    value(&pool.submit(double::call(4)).unwrap());
    assert!(!place.groups().contains(&left[0]));
    pool.shutdown().unwrap();
    assert_eq!(place.groups(), Vec::<PathBuf>::new());
}
