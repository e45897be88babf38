//! Ending everybody with a mark, from inside a signal handler, under the same terms as the rest of this module.

use std::ffi::{c_int, c_long};

use super::{Descendants, Path, call1, call2, call4, each_number_in, number_at_start};
use crate::platform::mark::{self, Mark};

impl Descendants {
    /// Ends everybody who has this mark, wherever he is, but for the process `own`. Whoever has a handler for `signal`,
    /// as those have who look for descendants themselves, is sent that and ends on his own; the others are killed, and
    /// whoever cannot act because he is stopped. Answers whether anybody was killed.
    pub(crate) fn end_marked(&mut self, mark: Mark, own: i32, signal: c_int) -> bool {
        let Self {
            found,
            entries,
            text,
        } = self;
        let mut any = false;
        each_number_in(&Path::new(b"/proc"), entries, |pid| {
            if pid == own || pid < 2 || !mark::bears(pid, mark) {
                return;
            }
            let Some(standing) = Standing::of(pid, text) else {
                return;
            };
            if standing.ended || found.spared.has_above(pid, text) {
                return;
            }
            if !standing.stopped && handles(pid, signal, text) {
                send_if_marked(pid, signal, mark);
            } else {
                any = true;
                send_if_marked(pid, libc::SIGKILL, mark);
            }
        });
        any
    }
}

/// How a process stands, out of its `stat` file.
pub(super) struct Standing {
    pub(super) ended: bool,
    stopped: bool,
}

impl Standing {
    pub(super) fn of(pid: i32, buffer: &mut [u8]) -> Option<Self> {
        let stat = Path::new(b"/proc/").number(pid).text(b"/stat");
        let text = stat.open(0)?.fill(libc::SYS_read, buffer);
        let after_name = text.iter().rposition(|byte| *byte == b')')?;
        // A space; then the state is the first of the fields, and the number of threads the 18th.
        let mut fields = text.get(after_name + 2..)?.split(|byte| *byte == b' ');
        let state = *fields.next()?.first()?;
        let threads = number_at_start(fields.nth(16)?)?;
        Some(Self {
            // Where the first thread alone has ended there are others.
            ended: matches!(state, b'Z' | b'X') && threads < 2,
            stopped: state == b'T',
        })
    }
}

/// Whether a process has a handler for a signal.
fn handles(pid: i32, signal: c_int, buffer: &mut [u8]) -> bool {
    const FIELD: &[u8] = b"\nSigCgt:\t";
    const DIGITS: usize = 16;
    let status = Path::new(b"/proc/").number(pid).text(b"/status");
    let Some(file) = status.open(0) else {
        return false;
    };
    let text = file.fill(libc::SYS_read, buffer);
    let field = text.windows(FIELD.len()).position(|at| at == FIELD);
    let Some(digits) = field.and_then(|at| text.get(at + FIELD.len()..)?.first_chunk::<DIGITS>())
    else {
        return false;
    };
    let signals = digits.iter().fold(0_u64, |signals, digit| {
        let value = char::from(*digit).to_digit(16).unwrap_or(0);
        signals << 4 | u64::from(value)
    });
    u32::try_from(signal - 1).is_ok_and(|bit| bit < 64 && signals >> bit & 1 == 1)
}

/// Sends a signal to a process with this mark. A number that has gone to another meanwhile costs that one nothing.
fn send_if_marked(pid: i32, signal: c_int, mark: Mark) {
    let (pid_word, signal_word) = (c_long::from(pid), c_long::from(signal));
    let process = call2(libc::SYS_pidfd_open, pid_word, 0);
    // The descriptor is the process that has the number now; if that one lives when it is signalled, the mark that is
    // read here is its own.
    if mark::bears(pid, mark) {
        if process < 0 {
            call2(libc::SYS_kill, pid_word, signal_word);
        } else {
            call4(libc::SYS_pidfd_send_signal, process, signal_word, 0, 0);
        }
    }
    if process >= 0 {
        call1(libc::SYS_close, process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        std::process::id().cast_signed()
    }

    #[test]
    fn a_living_process_stands() {
        let standing = Standing::of(own(), &mut [0; 4096]).unwrap();
        assert!(!standing.ended && !standing.stopped);
        assert!(Standing::of(i32::MAX, &mut [0; 4096]).is_none());
    }

    #[test]
    fn a_handler_is_seen_and_nothing_else() {
        let mut buffer = [0; 4096];
        // The standard library has a handler for faults, and ignores broken pipes.
        assert!(handles(own(), libc::SIGSEGV, &mut buffer));
        assert!(!handles(own(), libc::SIGPIPE, &mut buffer));
        assert!(!handles(own(), 0, &mut buffer) && !handles(own(), 65, &mut buffer));
        assert!(!handles(i32::MAX, libc::SIGSEGV, &mut buffer));
    }
}
