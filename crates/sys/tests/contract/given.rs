//! Who was executed with a variable, also while it is being executed.
#![cfg(target_os = "linux")]

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use loky_sys::{pidfd, process};

/// A program that does nothing but execute itself again.
const AGAIN: &str = r#"exec sh -c "$0" "$0""#;

const LOOKS: usize = 2000;

/// A shell that runs a script with one variable; killed and reaped when it is dropped.
struct Shell(Child);

impl Shell {
    fn run(script: &str, (name, value): (&str, &str)) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script, script]).env(name, value);
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_process_in_the_middle_of_an_exec_has_its_variables_all_the_same() {
    let shell = Shell::run(AGAIN, ("LOKY_TEST_AGAIN", "1"));
    for _ in 0..LOOKS {
        assert!(process::was_given(shell.pid(), "LOKY_TEST_AGAIN=1").unwrap());
    }
    assert!(!process::was_given(shell.pid(), "LOKY_TEST_AGAIN=2").unwrap());
}

#[test]
fn a_descriptor_signals_the_process_that_it_was_opened_for() {
    let mut shell = Shell::run("exec sleep 60", ("LOKY_TEST_SIGNAL", "1"));
    let Some(held) = pidfd::open(shell.pid()).unwrap() else {
        // Forced, or an old kernel: whoever wants to signal uses the number.
        return;
    };
    pidfd::signal(&held, libc::SIGTERM).unwrap();
    assert_eq!(shell.0.wait().unwrap().signal(), Some(libc::SIGTERM));
    let error = pidfd::signal(&held, libc::SIGTERM).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
}
