//! What is known of a death beyond its status: counters of the kernel, and the last words of the worker.
//!
//! Owned by the pool's state. Counters are read when a worker is met and when one dies, never at
//! intervals. Nothing is said that was not read; what cannot be read is left out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use loky_sys::cgroup::{self, GroupVersion, MemoryGroup};
use loky_sys::clock;
use loky_sys::faults::LastWords;
use loky_sys::process::WaitStatus;
use loky_sys::signal;

/// For how long a kill that the kernel counted may belong to a death that is told after another one.
const SPARE_NS: u64 = 1_000_000_000;

/// How far from the end of a stack, on either side, an overflow is found.
const STACK_MARGIN_BYTES: u64 = 1 << 20;
const STACK_GUARD_BYTES: u64 = 16 << 20;

/// Addresses that are taken for a null pointer and a small offset.
const NULL_PAGE_BYTES: u64 = 4096;

/// A number that only grows, and how far it has been accounted for.
#[derive(Default)]
struct Count {
    last: Option<u64>,
    /// Counted and not yet laid to a death, and until when it can be.
    spare: u64,
    spare_until_ns: u64,
}

impl Count {
    fn new(now: Option<u64>) -> Self {
        Self {
            last: now,
            ..Self::default()
        }
    }

    /// Takes a new reading.
    fn read(&mut self, now: Option<u64>, now_ns: u64) {
        let rise = match (self.last, now) {
            (Some(last), Some(now)) => now.saturating_sub(last),
            (None, _) | (_, None) => 0,
        };
        if now_ns > self.spare_until_ns {
            self.spare = 0;
        }
        if rise > 0 {
            self.spare += rise;
            self.spare_until_ns = now_ns.saturating_add(SPARE_NS);
        }
        self.last = now.or(self.last);
    }

    /// Lays one of what has been counted to a death.
    fn take(&mut self) -> bool {
        let taken = self.spare > 0;
        self.spare = self.spare.saturating_sub(1);
        taken
    }
}

struct Group {
    memory: MemoryGroup,
    kills: Count,
    hits: Option<u64>,
}

/// The counters, as they were when somebody last looked.
#[derive(Default)]
pub(crate) struct Witness {
    /// By the text of the membership; `None` for one that leads to no group that can be seen.
    groups: HashMap<Arc<str>, Option<Group>>,
    kernel: Count,
}

/// What the counters say about one death.
pub(crate) struct MemoryFacts {
    /// The kernel ended a process for lack of memory, and this can be the one.
    pub(crate) killed: bool,
    /// What was read.
    pub(crate) facts: Vec<String>,
}

impl Witness {
    /// Looks at a worker that has just begun, or that may have been moved; answers in which groups it
    /// is.
    pub(crate) fn meet(&mut self, pid: i32) -> Option<Arc<str>> {
        let text: Arc<str> = cgroup::membership(pid).ok()?.into();
        if self.kernel.last.is_none() {
            self.kernel = Count::new(cgroup::kernel_kills());
        }
        if let Entry::Vacant(place) = self.groups.entry(Arc::clone(&text)) {
            place.insert(MemoryGroup::from_membership(&text).map(|group| {
                let counters = group.counters();
                Group {
                    kills: Count::new(counters.kills),
                    hits: counters.limit_hits,
                    memory: group,
                }
            }));
        }
        Some(text)
    }

    /// A worker ended by a SIGKILL that this pool did not send.
    pub(crate) fn judge(&mut self, membership: Option<&str>) -> MemoryFacts {
        let now_ns = clock::monotonic_ns();
        self.kernel.read(cgroup::kernel_kills(), now_ns);
        let group = membership
            .and_then(|text| self.groups.get_mut(text))
            .and_then(Option::as_mut);
        if let Some(group) = group
            && let Some(facts) = group.judge(now_ns)
        {
            return facts;
        }
        let killed = self.kernel.take();
        let fact = match (killed, self.kernel.last) {
            (true, _) => {
                "the kernel has counted an out-of-memory kill on this system (/proc/vmstat)"
            }
            (false, Some(_)) => "the kernel has counted no out-of-memory kill on this system",
            (false, None) => "nothing here counts out-of-memory kills",
        };
        MemoryFacts {
            killed,
            facts: vec![fact.to_owned()],
        }
    }
}

impl Group {
    /// `None` where the group does not count kills. Its counts hold those for lack of memory in the
    /// whole system too, so they are the last word.
    fn judge(&mut self, now_ns: u64) -> Option<MemoryFacts> {
        let counters = self.memory.counters();
        counters.kills?;
        self.kills.read(counters.kills, now_ns);
        let killed = self.kills.take();
        let place = format!("memory cgroup {}", self.memory.name());
        let mut facts = vec![if killed {
            let file = match self.memory.version() {
                GroupVersion::One => "memory.oom_control",
                GroupVersion::Two => "memory.events",
            };
            format!("the kernel has counted an out-of-memory kill in its {place} ({file})")
        } else {
            format!("the kernel has counted no out-of-memory kill in its {place}")
        }];
        let hits = match (counters.limit_hits, self.hits) {
            (Some(now), Some(before)) => now.saturating_sub(before),
            (None, _) | (_, None) => 0,
        };
        self.hits = counters.limit_hits;
        if let Some(limit_bytes) = self.memory.limit_bytes().filter(|_| killed || hits > 0) {
            facts.push(format!(
                "that cgroup may have {}, a limit that was hit {hits} times",
                mebibytes(limit_bytes)
            ));
        }
        Some(MemoryFacts { killed, facts })
    }
}

/// A number of bytes for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// How the process that starts the workers ended.
pub(crate) fn launcher_fact(status: WaitStatus) -> String {
    let how = match (status.signal(), status.exited()) {
        (Some(number), _) => match signal::signal_name(number) {
            Some(name) => format!("was ended by {name}"),
            None => format!("was ended by signal {number}"),
        },
        (None, Some(code)) => format!("left with exit code {code}"),
        (None, None) => "ended".to_owned(),
    };
    format!("the process that starts the workers {how}")
}

/// The zygote was killed by this pool.
pub(crate) const GIVEN_UP: &str = "the process that starts the workers was stopped or stuck: it did \
     not do what it was ordered, and this pool has ended it";

/// What a worker's status and last words tell of its end.
pub(crate) fn facts_of(status: WaitStatus, words: LastWords, ready: bool, pid: i32) -> Vec<String> {
    let mut facts = Vec::new();
    if !ready {
        facts.push("it had not begun to take tasks: it ended while it was starting".to_owned());
    }
    match status.signal() {
        None => facts.push(exit_fact(words).to_owned()),
        Some(number) if words.signal == number => {
            facts.extend(fault_facts(words, pid));
        }
        Some(number) => facts.extend(silent_fact(number, words)),
    }
    if status.dumped_core() {
        facts.push("the kernel has written a core file".to_owned());
    }
    facts
}

fn exit_fact(words: LastWords) -> &'static str {
    if words.exit_called {
        "exit() of the C library was called, by native code"
    } else {
        "no exit handler of the C library ran: it was os._exit() or _exit()"
    }
}

/// A fault that left no words, where there should have been some.
fn silent_fact(number: i32, words: LastWords) -> Option<String> {
    let watched = words.stack_end != 0;
    let is_fault = [signal::SIGSEGV, signal::SIGBUS].contains(&number);
    if number == signal::SIGSYS {
        return Some("a filter of system calls (seccomp) ended it without a word".to_owned());
    }
    (watched && is_fault).then(|| {
        "no handler of faults could run: the stack of that thread was full, or the task had replaced them"
            .to_owned()
    })
}

fn fault_facts(words: LastWords, pid: i32) -> Vec<String> {
    if words.code <= 0 {
        let name = signal::signal_name(words.signal).unwrap_or("the signal");
        return vec![if words.sender == pid {
            format!("the process sent {name} to itself, as abort() and raise() do")
        } else {
            format!("{name} was sent by process {}", words.sender)
        }];
    }
    let address = words.address;
    let mut facts = vec![match (words.signal, words.code) {
        (signal::SIGSEGV, _) if address < NULL_PAGE_BYTES => {
            format!("it touched address {address:#x}: a null pointer")
        }
        (signal::SIGSEGV, 1) => format!("it touched address {address:#x}, where nothing is mapped"),
        (signal::SIGSEGV, 2) => {
            format!("it touched address {address:#x} in a way that is not allowed there")
        }
        (signal::SIGSEGV, _) => "it touched an address that cannot exist".to_owned(),
        (signal::SIGBUS, 1) => format!("it touched address {address:#x}, which is not aligned"),
        (signal::SIGBUS, 2) => format!(
            "it touched address {address:#x}, in a mapping that is longer than its file has become, \
             or whose pages cannot be had"
        ),
        (signal::SIGBUS, 4 | 5) => "the hardware reported a memory error".to_owned(),
        (signal::SIGBUS, _) => format!("the mapping at address {address:#x} failed"),
        (signal::SIGFPE, 1) => "an integer was divided by zero".to_owned(),
        (signal::SIGFPE, 2) => "an integer did not fit".to_owned(),
        (signal::SIGSYS, _) => {
            format!(
                "a filter of system calls (seccomp) refused call number {}",
                words.sender
            )
        }
        (_, code) => format!("the kernel gave code {code} and address {address:#x}"),
    }];
    facts.extend(stack_fact(words));
    facts
}

/// Whether the main thread had used up its stack.
fn stack_fact(words: LastWords) -> Option<String> {
    is_stack_full(words).then(|| {
        format!(
            "its stack was full: {} by RLIMIT_STACK",
            mebibytes(words.stack_limit_bytes)
        )
    })
}

/// Whether the fault came where the main thread's stack ends.
pub(crate) fn is_stack_full(words: LastWords) -> bool {
    let near_end = |place: u64| {
        place.saturating_add(STACK_GUARD_BYTES) >= words.stack_end
            && place <= words.stack_end.saturating_add(STACK_MARGIN_BYTES)
    };
    let is_fault = [signal::SIGSEGV, signal::SIGBUS].contains(&words.signal) && words.code > 0;
    let known = words.stack_end != 0 && words.stack_pointer != 0;
    is_fault && known && near_end(words.stack_pointer) && near_end(words.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGV: WaitStatus = WaitStatus(signal::SIGSEGV);

    fn words() -> LastWords {
        LastWords {
            signal: signal::SIGSEGV,
            code: 1,
            address: 0x10_0000_0000,
            stack_end: 0x7fff_0000_0000,
            stack_limit_bytes: 8 << 20,
            stack_pointer: 0x7fff_0070_0000,
            ..LastWords::default()
        }
    }

    fn facts(words: LastWords) -> String {
        facts_of(SEGV, words, true, 7).join("; ")
    }

    #[test]
    fn a_kill_is_laid_to_one_death_and_to_no_later_one() {
        let mut count = Count::new(Some(3));
        count.read(Some(3), 10);
        assert!(!count.take());
        count.read(Some(5), 20);
        assert!(count.take());
        count.read(Some(5), 30);
        assert!(count.take(), "the second of two at once");
        assert!(!count.take());
        count.read(Some(6), 40);
        count.read(Some(6), 40 + SPARE_NS + 1);
        assert!(!count.take(), "too long ago");
    }

    #[test]
    fn a_counter_that_cannot_be_read_counts_nothing() {
        let mut count = Count::new(None);
        count.read(Some(9), 10);
        assert!(!count.take(), "it was never seen lower");
        count.read(None, 20);
        count.read(Some(10), 30);
        assert!(count.take());
    }

    #[test]
    fn addresses_are_told_apart() {
        assert!(
            facts(LastWords {
                address: 8,
                ..words()
            })
            .contains("null pointer")
        );
        assert!(facts(words()).contains("nothing is mapped"));
        assert!(facts(LastWords { code: 2, ..words() }).contains("not allowed"));
        assert!(!facts(words()).contains("stack"));
    }

    #[test]
    fn a_full_stack_is_seen_by_stack_pointer_and_address() {
        let full = LastWords {
            stack_pointer: 0x7fff_0000_0ff0,
            address: 0x7fff_0000_0fe8,
            ..words()
        };
        assert!(facts(full).contains("its stack was full: 8 MiB by RLIMIT_STACK"));
        let elsewhere = LastWords {
            address: 0x1000_0000,
            ..full
        };
        assert!(!facts(elsewhere).contains("RLIMIT_STACK"));
    }

    #[test]
    fn a_sender_is_named_and_oneself_too() {
        let sent = LastWords {
            code: 0,
            sender: 99,
            ..words()
        };
        assert!(facts(sent).contains("SIGSEGV was sent by process 99"));
        assert!(facts(LastWords { sender: 7, ..sent }).contains("to itself"));
    }

    #[test]
    fn words_about_another_signal_are_not_this_death() {
        let other = LastWords {
            signal: signal::SIGABRT,
            ..words()
        };
        assert!(facts(other).contains("no handler of faults could run"));
        assert_eq!(facts(LastWords::default()), "");
    }

    #[test]
    fn the_two_exits_are_told_apart() {
        let of = |exit_called| {
            let words = LastWords {
                exit_called,
                ..LastWords::default()
            };
            facts_of(WaitStatus(0x2a00), words, true, 7).join("; ")
        };
        assert!(of(true).contains("exit() of the C library was called"));
        assert!(of(false).contains("os._exit()"));
    }
}
