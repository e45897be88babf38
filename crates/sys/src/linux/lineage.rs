//! Who descends from whom, out of `/proc`.
//!
//! It allocates, so it is not for signal handlers; the lifeline has a reader of its own.

use std::fs;
use std::io;

use crate::force::{Switch, is_forced};

/// The flag of a thread that belongs to the kernel and never had a program.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The fields of `/proc/<pid>/stat` that this crate needs.
pub(crate) struct Stat {
    /// A user's program that has not ended. One whose first thread alone has ended looks as if it had, and has others.
    pub(crate) is_program: bool,
    pub(crate) parent: i32,
    pub(crate) threads: usize,
}

impl Stat {
    pub(crate) fn of(pid: &str) -> io::Result<Self> {
        let text = fs::read(format!("/proc/{pid}/stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// The name of the program is in parentheses and may itself hold parentheses and spaces, but
    /// nothing after it does.
    fn parse(text: &[u8]) -> Option<Self> {
        let end_of_name = text.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(text.get(end_of_name + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        // After the name: state, parent, 5 further on the flags, and 11 after these the number of threads.
        let first_has_ended = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let flags: u64 = fields.nth(4)?.parse().ok()?;
        let threads = fields.nth(10)?.parse().ok()?;
        let has_ended = first_has_ended && threads < 2;
        Some(Self {
            is_program: !has_ended && flags & KERNEL_THREAD == 0,
            parent,
            threads,
        })
    }
}

/// The children of a process, ended ones included until they are waited for.
///
/// The kernel may leave out one that is being made or taken over while the list is read, so who
/// wants all of them asks until nothing changes.
pub(crate) fn children_of(pid: &str, number: i32) -> io::Result<Vec<i32>> {
    if !has_children_lists() {
        return children_by_scan(number);
    }
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("children");
        match fs::read_to_string(path) {
            Ok(text) => children.extend(
                text.split_ascii_whitespace()
                    .filter_map(|word| word.parse::<i32>().ok()),
            ),
            // This thread has ended; its children have gone to another one of the same process.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(children)
}

/// Whether the kernel was built with lists of children. The main thread of this process is there for
/// as long as anybody asks.
pub(crate) fn has_children_lists() -> bool {
    if is_forced(Switch::NoChildrenFile) {
        return false;
    }
    let pid = std::process::id();
    fs::exists(format!("/proc/self/task/{pid}/children")).unwrap_or(false)
}

fn children_by_scan(parent: i32) -> io::Result<Vec<i32>> {
    let mut children = Vec::new();
    for pid in all_processes()? {
        match Stat::of(&pid.to_string()) {
            Ok(stat) if stat.parent == parent => children.push(pid),
            Ok(_) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(children)
}

/// Whoever is there while the list is read.
pub(crate) fn all_processes() -> io::Result<impl Iterator<Item = i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// `/proc` tells the end of a process as a missing file or, once it was opened, as `ESRCH`.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_program_name_with_parentheses_and_spaces_is_skipped() {
        let text = b"42 (a) R 7 (b)) S 41 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 100 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.threads), (41, 9));
        assert!(stat.is_program);
    }

    #[test]
    fn who_has_ended_and_a_thread_of_the_kernel_are_no_programs() {
        for text in [
            "42 (a) Z 41 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 100 1 1",
            "42 (a) S 2 0 0 0 -1 69238880 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0",
        ] {
            assert!(!Stat::parse(text.as_bytes()).unwrap().is_program, "{text}");
        }
        let text = b"42 (a) Z 41 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 2 0 100 1 1";
        assert!(Stat::parse(text).unwrap().is_program);
    }

    #[test]
    fn half_a_line_is_refused() {
        assert!(Stat::parse(b"42 (a) S 41 1").is_none());
        assert!(Stat::parse(b"42 (a").is_none());
        assert!(Stat::parse(b"").is_none());
    }
}
