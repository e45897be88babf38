//! Killing everything below a process, and everybody with a mark, from inside a signal handler.
//!
//! Owned by the lifeline. It takes no lock and no memory, calls nothing but system calls, and does
//! not depend on any state of the C library but `errno`, which it spoils: whoever calls it is about to
//! end. It never waits and never reaps.

mod marked;

use marked::Standing;
use std::ffi::{c_int, c_long};

/// How many descendants one walk remembers in order to look below them. Those that do not fit are
/// killed all the same, and what is below them falls to a process that is walked from next time.
const FOUND_MAX: usize = 1024;

/// The longest path is `/proc/<pid>/task/<tid>/children` with numbers of ten digits.
const PATH_BYTES: usize = 64;

/// How far up somebody who is left alone is looked for.
const ANCESTORS_MAX: u32 = 64;

/// How often a process without variables is looked at, because it may be in the middle of an exec.
const EXEC_LOOKS_MAX: u32 = 100;

/// Where the length and the name stand in an entry that the kernel gives for a folder.
const ENTRY_LEN_AT: usize = 16;
const ENTRY_NAME_AT: usize = 19;

/// The memory of a walk. It is large, so that it has to be a static value: the stack of the thread
/// that the signal meets may be almost full.
pub(crate) struct Descendants {
    found: Found,
    entries: [u8; 4096],
    text: [u8; 4096],
}

/// The variable of those that are left alone, each with all that is below it.
struct Spared {
    variable: Path,
    /// For one read of most environments: between two, the memory that is read may have gone, which looks like the end.
    text: [u8; 16 << 10],
    /// There is one.
    any: bool,
}

impl Descendants {
    pub(crate) const fn new() -> Self {
        Self {
            found: Found {
                pids: [0; FOUND_MAX],
                count: 0,
                any: false,
                spared: Spared {
                    variable: Path {
                        bytes: [0; PATH_BYTES],
                        len: 0,
                    },
                    text: [0; 16 << 10],
                    any: false,
                },
            },
            entries: [0; 4096],
            text: [0; 4096],
        }
    }

    /// Leaves alone whoever was executed with the variable of this name and this number.
    pub(crate) fn spare(&mut self, name: &[u8], number: i32) {
        self.found.spared.variable = Path::new(name).text(b"=").number(number);
    }

    /// Whether the last walk met somebody who is left alone.
    pub(crate) fn has_spared(&self) -> bool {
        self.found.spared.any
    }

    /// Makes room for the two descriptors that a walk needs, by giving up the standard streams: a
    /// full table is no excuse for letting a family live on. To be called once, before all walks.
    pub(crate) fn make_room() {
        for number in 0..3 {
            call1(libc::SYS_close, number);
        }
    }

    /// Sends SIGKILL to everything below `root`, the nearest first. Answers whether there was
    /// anything, ended processes that nobody has waited for included.
    pub(crate) fn kill_below(&mut self, root: i32, by_scan: bool) -> bool {
        self.found.begin_at(root);
        if by_scan {
            self.scan();
        } else {
            self.walk();
        }
        self.found.any
    }

    /// Sends a signal to every other thread of this process.
    pub(crate) fn signal_other_threads(&mut self, signal: c_int) {
        let own = call1(libc::SYS_getpid, 0);
        let this_thread = call1(libc::SYS_gettid, 0);
        each_number_in(
            &Path::new(b"/proc/self/task"),
            &mut self.entries,
            |thread| {
                if c_long::from(thread) != this_thread {
                    call3(
                        libc::SYS_tgkill,
                        own,
                        c_long::from(thread),
                        c_long::from(signal),
                    );
                }
            },
        );
    }

    /// Goes down by the kernel's lists of children.
    fn walk(&mut self) {
        let Self {
            found,
            entries,
            text,
        } = self;
        let mut next = 0;
        while let Some(parent) = found.at(next) {
            next += 1;
            let tasks = Path::new(b"/proc/").number(parent).text(b"/task");
            each_number_in(&tasks, entries, |task| {
                let children = tasks.text(b"/").number(task).text(b"/children");
                each_number_of(&children, text, |child| found.kill(child));
            });
        }
    }

    /// Asks every process of the system for its parent, where the kernel has no such lists. A child
    /// with a smaller number than its parent's is found by a later pass.
    fn scan(&mut self) {
        let Self {
            found,
            entries,
            text,
        } = self;
        each_number_in(&Path::new(b"/proc"), entries, |pid| {
            let stat = Path::new(b"/proc/").number(pid).text(b"/stat");
            if parent_in(&stat, text).is_some_and(|parent| found.has(parent)) {
                found.kill(pid);
            }
        });
    }
}

/// The root and those below it that have been met.
struct Found {
    pids: [i32; FOUND_MAX],
    count: usize,
    any: bool,
    spared: Spared,
}

impl Found {
    fn begin_at(&mut self, root: i32) {
        self.count = 0;
        self.any = false;
        self.spared.any = false;
        self.note(root);
    }

    fn note(&mut self, pid: i32) {
        if let Some(place) = self.pids.get_mut(self.count) {
            *place = pid;
            self.count += 1;
        }
    }

    fn at(&self, index: usize) -> Option<i32> {
        self.pids.get(..self.count)?.get(index).copied()
    }

    fn has(&self, pid: i32) -> bool {
        self.pids
            .get(..self.count)
            .is_some_and(|pids| pids.contains(&pid))
    }

    /// The number was read a moment ago out of the list of its living parent. For it to belong to a
    /// stranger by now, it would have to be waited for and given out again, after all the others.
    fn kill(&mut self, pid: i32) {
        if pid > 1 && !self.spared.has(pid) {
            call2(
                libc::SYS_kill,
                c_long::from(pid),
                c_long::from(libc::SIGKILL),
            );
            self.any = true;
            self.note(pid);
        }
    }
}

impl Spared {
    /// Whether the process was executed with the variable. One that has ended was not.
    fn has(&mut self, pid: i32) -> bool {
        let Self {
            variable,
            text,
            any,
        } = self;
        let Some(wanted) = variable
            .bytes
            .get(..variable.len)
            .filter(|wanted| !wanted.is_empty())
        else {
            return false;
        };
        let process = Path::new(b"/proc/").number(pid);
        for _ in 0..EXEC_LOOKS_MAX {
            if let Some(has) = is_variable_in(&process.text(b"/environ"), wanted, text) {
                *any |= has;
                return has;
            }
            // One that has ended has no variables either.
            if Standing::of(pid, text).is_none_or(|standing| standing.ended) {
                return false;
            }
            call1(libc::SYS_sched_yield, 0);
        }
        false
    }

    /// Whether the process or one that it descends from was.
    fn has_above(&mut self, pid: i32, text: &mut [u8]) -> bool {
        let mut next = pid;
        for _ in 0..ANCESTORS_MAX {
            if next < 2 {
                return false;
            }
            if self.has(next) {
                return true;
            }
            let stat = Path::new(b"/proc/").number(next).text(b"/stat");
            next = parent_in(&stat, text).unwrap_or(0);
        }
        false
    }
}

/// Whether one of the texts of a file, each with a null at its end, is this one; `None` if there is no text. A text may
/// be cut in two by the end of the buffer.
fn is_variable_in(file: &Path, wanted: &[u8], buffer: &mut [u8]) -> Option<bool> {
    let Some(file) = file.open(0) else {
        return Some(false);
    };
    // How much of the wanted text the present one begins with; `None` if it is another.
    let mut alike = Some(0);
    let mut any = false;
    loop {
        let text = file.fill(libc::SYS_read, buffer);
        if text.is_empty() {
            return any.then_some(alike == Some(wanted.len()));
        }
        any = true;
        for byte in text {
            alike = match (*byte, alike) {
                (0, Some(len)) if len == wanted.len() => return Some(true),
                (0, _) => Some(0),
                (byte, Some(len)) if wanted.get(len) == Some(&byte) => Some(len + 1),
                (_, _) => None,
            };
        }
    }
}

/// A path without an allocation, always with a null at its end.
#[derive(Clone, Copy)]
struct Path {
    bytes: [u8; PATH_BYTES],
    len: usize,
}

impl Path {
    fn new(text: &[u8]) -> Self {
        Self {
            bytes: [0; PATH_BYTES],
            len: 0,
        }
        .text(text)
    }

    fn text(mut self, text: &[u8]) -> Self {
        for byte in text {
            // The last byte stays the null.
            if let Some(place) = self
                .bytes
                .get_mut(self.len)
                .filter(|_| self.len < PATH_BYTES - 1)
            {
                *place = *byte;
                self.len += 1;
            }
        }
        self
    }

    fn number(self, number: i32) -> Self {
        let mut digits = [0_u8; 10];
        let mut rest = number.unsigned_abs();
        let mut used = 0;
        for place in digits.iter_mut().rev() {
            // A digit fits into a byte.
            *place = b'0' + (rest % 10).to_le_bytes()[0];
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        self.text(digits.get(digits.len() - used..).unwrap_or_default())
    }

    fn open(&self, flags: c_int) -> Option<Open> {
        let address = self.bytes.as_ptr() as c_long;
        let flags = c_long::from(flags | libc::O_RDONLY | libc::O_CLOEXEC);
        let number = call3(
            libc::SYS_openat,
            c_long::from(libc::AT_FDCWD),
            address,
            flags,
        );
        (number >= 0).then_some(Open(number))
    }
}

struct Open(c_long);

impl Open {
    /// Calls `read` or `getdents64`; what it put into the buffer.
    fn fill<'a>(&self, call: c_long, buffer: &'a mut [u8]) -> &'a [u8] {
        let address = buffer.as_mut_ptr() as c_long;
        let count = call3(
            call,
            self.0,
            address,
            c_long::try_from(buffer.len()).unwrap_or(0),
        );
        // An error is negative, and the end of what can be read.
        buffer
            .get(..usize::try_from(count).unwrap_or(0))
            .unwrap_or_default()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        call1(libc::SYS_close, self.0);
    }
}

/// Every entry of a folder whose name is a number.
fn each_number_in(folder: &Path, buffer: &mut [u8], mut act: impl FnMut(i32)) {
    let Some(folder) = folder.open(libc::O_DIRECTORY) else {
        return;
    };
    loop {
        let mut entries = folder.fill(libc::SYS_getdents64, buffer);
        if entries.is_empty() {
            return;
        }
        while let Some((entry, rest)) = first_entry(entries) {
            if let Some(number) = entry.get(ENTRY_NAME_AT..).and_then(number_at_start) {
                act(number);
            }
            entries = rest;
        }
    }
}

fn first_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = entries.get(ENTRY_LEN_AT..)?.first_chunk::<2>()?;
    let len = usize::from(u16::from_ne_bytes(*len));
    if len == 0 {
        None
    } else {
        entries.split_at_checked(len)
    }
}

/// Every number of a text file. One may be cut in two by the end of the buffer.
fn each_number_of(file: &Path, buffer: &mut [u8], mut act: impl FnMut(i32)) {
    let Some(file) = file.open(0) else { return };
    let mut number = None;
    loop {
        let text = file.fill(libc::SYS_read, buffer);
        if text.is_empty() {
            break;
        }
        for byte in text {
            let next = with_digit(number, *byte);
            if let (Some(whole), None) = (number, next) {
                act(whole);
            }
            number = next;
        }
    }
    if let Some(whole) = number {
        act(whole);
    }
}

/// The parent in a `stat` file: the second field after the name, which is in parentheses and may
/// hold any byte.
fn parent_in(file: &Path, buffer: &mut [u8]) -> Option<i32> {
    let text = file.open(0)?.fill(libc::SYS_read, buffer);
    let after_name = text.iter().rposition(|byte| *byte == b')')?;
    // A space, the letter of the state, a space.
    number_at_start(text.get(after_name + 4..)?)
}

fn number_at_start(text: &[u8]) -> Option<i32> {
    let mut number = None;
    for byte in text {
        match with_digit(number, *byte) {
            None => break,
            next => number = next,
        }
    }
    number
}

/// The number with one more digit; `None` after anything else, or a number that is too large.
fn with_digit(number: Option<i32>, byte: u8) -> Option<i32> {
    if !byte.is_ascii_digit() {
        return None;
    }
    number
        .unwrap_or(0)
        .checked_mul(10)?
        .checked_add(i32::from(byte - b'0'))
}

fn call1(call: c_long, first: c_long) -> c_long {
    call3(call, first, 0, 0)
}

fn call2(call: c_long, first: c_long, second: c_long) -> c_long {
    call3(call, first, second, 0)
}

/// One system call. Only this file calls it: with numbers, and with addresses of buffers and paths
/// that live for the call.
fn call3(call: c_long, first: c_long, second: c_long, third: c_long) -> c_long {
    call4(call, first, second, third, 0)
}

/// As [`call3`].
fn call4(call: c_long, first: c_long, second: c_long, third: c_long, fourth: c_long) -> c_long {
    // SAFETY: see above; the calls of this file read a path with a null at its end, or write no more
    // than the length that is given with the buffer.
    unsafe { libc::syscall(call, first, second, third, fourth) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_built_and_never_loses_its_null() {
        let path = Path::new(b"/proc/").number(0).text(b"/").number(i32::MAX);
        assert_eq!(&path.bytes[..path.len], b"/proc/0/2147483647");
        let long = Path::new(&[b'x'; 200]);
        assert_eq!((long.len, long.bytes[PATH_BYTES - 1]), (PATH_BYTES - 1, 0));
    }

    #[test]
    fn numbers_are_read_across_the_end_of_the_buffer() {
        let file = std::env::temp_dir().join(format!("loky-numbers-{}", std::process::id()));
        std::fs::write(&file, "1 234567 89 99999999999 7").unwrap();
        let path = Path::new(file.to_str().unwrap().as_bytes());
        let mut numbers = Vec::new();
        each_number_of(&path, &mut [0; 4], |number| numbers.push(number));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(numbers[..3], [1, 234_567, 89]);
        assert_eq!(numbers.last(), Some(&7));
    }

    #[test]
    fn entries_of_a_folder_are_read_with_a_small_buffer() {
        let mut own = false;
        each_number_in(&Path::new(b"/proc"), &mut [0; 64], |pid| {
            own |= pid == std::process::id().cast_signed();
        });
        assert!(own);
    }

    #[test]
    fn a_stat_file_gives_the_parent() {
        let parent = parent_in(&Path::new(b"/proc/self/stat"), &mut [0; 1024]);
        assert_eq!(
            parent,
            Some(std::os::unix::process::parent_id().cast_signed())
        );
    }

    #[test]
    fn a_variable_is_found_whole_and_across_the_end_of_the_buffer() {
        let file = std::env::temp_dir().join(format!("loky-variables-{}", std::process::id()));
        std::fs::write(&file, b"A=1\0LET=42\0LET=4\0X=LET=7\0LET=99").unwrap();
        let path = Path::new(file.to_str().unwrap().as_bytes());
        let has = |wanted: &[u8]| is_variable_in(&path, wanted, &mut [0; 5]).unwrap();
        assert!(has(b"A=1") && has(b"LET=42") && has(b"LET=4") && has(b"LET=99"));
        assert!(!has(b"LET=7") && !has(b"LET=") && !has(b"A=11") && !has(b"B"));
        std::fs::write(&file, b"").unwrap();
        assert_eq!(is_variable_in(&path, b"A=1", &mut [0; 5]), None);
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn one_that_is_being_executed_is_left_alone_as_well() {
        let again = r#"exec sh -c "$0" "$0""#;
        let mut command = std::process::Command::new("sh");
        command.args(["-c", again, again]).env("LOKY_SPARED", "7");
        let mut shell = command.spawn().unwrap();
        let pid = shell.id().cast_signed();
        let mut descendants = Descendants::new();
        descendants.spare(b"LOKY_SPARED", 7);
        let spared = &mut descendants.found.spared;
        let always = (0..2000).all(|_| spared.has(pid));
        descendants.spare(b"LOKY_SPARED", 8);
        let other = descendants.found.spared.has(pid);
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(always && !other);
    }

    #[test]
    fn nobody_is_left_alone_unless_a_variable_is_named() {
        let own = std::process::id().cast_signed();
        let mut spared = Descendants::new().found.spared;
        assert!(!spared.has(own) && !spared.any);
    }

    #[test]
    fn a_walk_remembers_no_more_than_it_has_room_for() {
        let mut found = Descendants::new().found;
        found.begin_at(1);
        for pid in 0..5000 {
            found.note(pid);
        }
        assert_eq!(found.at(FOUND_MAX), None);
        assert!(found.has(5) && !found.has(4000));
    }
}
