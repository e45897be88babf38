//! Whether the parent of the zygote is still there.
//!
//! Owned by the zygote. The end of the control socket is told by the socket; this is the second
//! witness, for a child that the user's program forked may hold that socket open. It never ends
//! anything itself. (A worker's lifeline to the zygote is a signal, armed in [`crate::run`].)

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use loky_sys::{errno, pidfd, process};

/// How often the parent's number is compared where the system has no pidfd.
pub(crate) const COMPARE_INTERVAL_NS: u64 = 200_000_000;

pub(crate) struct ParentWatch {
    first_parent: i32,
    /// `None` where the system has no pidfd, or no descriptor for one.
    process: Option<OwnedFd>,
    gone: bool,
}

impl ParentWatch {
    /// Watches `expected`. A parent that is over already is found to be gone.
    pub(crate) fn new(expected: i32) -> Self {
        let opened = pidfd::open(expected);
        // The number cannot have gone to another process between its parent's end and the call
        // above while this process is still that parent's child. Where it is not, because a program
        // stands between the two, the process behind the pidfd is taken for the parent.
        let first_parent = process::parent_pid();
        match opened {
            Ok(Some(process)) => Self {
                first_parent,
                process: Some(process),
                gone: false,
            },
            Ok(None) => Self {
                first_parent,
                process: None,
                gone: first_parent != expected,
            },
            Err(error) => {
                let no_such_process = error.raw_os_error() == Some(errno::ESRCH);
                Self {
                    first_parent,
                    process: None,
                    gone: no_such_process || first_parent != expected,
                }
            }
        }
    }

    /// What to poll for readability: readable means that the parent is over.
    pub(crate) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(AsFd::as_fd)
    }

    /// Notes that the descriptor of [`Self::as_fd`] became readable.
    pub(crate) fn process_ended(&mut self) {
        self.gone = true;
    }

    /// Whether the parent is over. A child whose parent ends is given to another process, so a
    /// changed number is proof.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.gone = self.gone || process::parent_pid() != self.first_parent;
        self.gone
    }

    /// How long a poll may last before [`Self::is_gone`] has to be asked again.
    pub(crate) fn interval_ns(&self) -> Option<u64> {
        match self.process {
            Some(_) => None,
            None => Some(COMPARE_INTERVAL_NS),
        }
    }
}
