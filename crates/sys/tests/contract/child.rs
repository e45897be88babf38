//! Processes for the tests: this binary again, in a role.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use loky_sys::process::{self, Reaped};
use loky_sys::spawn::{Spawn, spawn};

const ROLE: &str = "LOKY_SYS_ROLE";

/// Processes of a test that went wrong end themselves after so long.
const LIFE_MAX_SECONDS: u32 = 60;

/// Runs before `main`, where there is one thread. A role that panics aborts.
#[used]
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    end_some_day();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let act = [
        crate::spawn::role as fn(&str, &[String]) -> bool,
        crate::socket::role,
        crate::process::role,
        crate::events::role,
        crate::lifeline::role,
        crate::mark::role,
    ];
    let known = act.into_iter().any(|act| act(&role, &args));
    process::exit_now(if known { 0 } else { 99 });
}

/// A forked process has no alarm of its own until it calls this.
pub(crate) fn end_some_day() {
    // SAFETY: the call touches no memory; the default effect of the signal is to end the process.
    unsafe { libc::alarm(LIFE_MAX_SECONDS) };
}

/// The environment of this process with a role in it.
fn environment(role: &str) -> Vec<(OsString, OsString)> {
    let own = std::env::vars_os().filter(|(name, _)| name != ROLE);
    own.chain([(ROLE.into(), role.into())]).collect()
}

/// A process in a role; killed and reaped when it is dropped.
pub(crate) struct Child {
    pub(crate) pid: i32,
    reaped: bool,
}

impl Child {
    pub(crate) fn start(role: &str, args: &[String], keep: &[(BorrowedFd<'_>, RawFd)]) -> Self {
        let program = std::env::current_exe().unwrap();
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let env = environment(role);
        let order = Spawn {
            program: &program,
            args: &args,
            env: Some(&env),
            keep,
            null_stdin: true,
        };
        Self {
            pid: spawn(&order).unwrap(),
            reaped: false,
        }
    }

    pub(crate) fn wait(mut self) -> Reaped {
        self.reaped = true;
        process::wait_pid(self.pid, true).unwrap().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            process::kill(self.pid, libc::SIGKILL).unwrap();
            process::wait_pid(self.pid, true).unwrap();
        }
    }
}

/// Runs a role to its end; it must succeed.
pub(crate) fn succeed(role: &str) {
    let reaped = Child::start(role, &[], &[]).wait();
    assert_eq!(reaped.status.exited(), Some(0), "{role}: {reaped:?}");
}

/// Runs a role to its end; what it wrote to its standard output.
pub(crate) fn output_of(role: &str, args: &[String], keep: &[(BorrowedFd<'_>, RawFd)]) -> String {
    let (reader, writer) = pipe();
    let mut keep = keep.to_vec();
    keep.push((writer.as_fd(), 1));
    let child = Child::start(role, args, &keep);
    drop(writer);
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    let reaped = child.wait();
    assert_eq!(reaped.status.exited(), Some(0), "{role}: {reaped:?}");
    text
}

/// Read end and write end.
pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap()
}
