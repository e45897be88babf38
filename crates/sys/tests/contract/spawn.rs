//! Executing: what the new process has, and what it has not.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use loky_sys::spawn::{Spawn, spawn};
use loky_sys::{descriptor, errno, memory, process, signal};
use rustix::io::{FdFlags, fcntl_getfd};

use crate::child::output_of;

pub(crate) fn role(role: &str, args: &[String]) -> bool {
    match role {
        "print_contents" => print_contents(args),
        "print_descriptors" => print_descriptors(),
        "print_stdin" => print_stdin(),
        "print_signals" => print_signals(),
        "print_environment" => print_environment(args),
        "own_once" => own_once(),
        "place" => place_with_collisions(),
        _ => return false,
    }
    true
}

fn print_contents(numbers: &[String]) {
    for number in numbers {
        let file = descriptor::own(number.parse().unwrap()).unwrap();
        let bytes = memory::read_file(&file, 100).unwrap();
        say(&format!("{number}={} ", String::from_utf8(bytes).unwrap()));
    }
}

fn print_descriptors() {
    let list = std::fs::read_dir("/proc/self/fd").unwrap();
    let names = list.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut open: Vec<RawFd> = names.map(|name| name.parse().unwrap()).collect();
    // The list names its own descriptor, which is closed by the time that it is asked for.
    open.retain(|number| std::fs::exists(format!("/proc/self/fd/{number}")).unwrap());
    open.sort_unstable();
    say(&format!("{open:?}"));
}

fn print_stdin() {
    let mut bytes = Vec::new();
    let count = std::io::stdin().read_to_end(&mut bytes).unwrap();
    let target = std::fs::read_link("/proc/self/fd/0").unwrap();
    say(&format!("{count} {}", target.display()));
}

fn print_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for name in ["SigBlk", "SigIgn"] {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        say(&format!("{line}\n"));
    }
}

fn print_environment(args: &[String]) {
    let given = std::env::var_os("GIVEN").unwrap_or_default();
    let count = std::env::vars_os().count();
    say(&format!("{count} {:?} {args:?}", given.as_bytes()));
}

fn own_once() {
    let refusal = |number| descriptor::own(number).unwrap_err().raw_os_error();
    assert_eq!(refusal(-1), Some(errno::EBADF));
    assert_eq!(refusal(1000), Some(errno::EBADF));
    let owned = descriptor::own(7).unwrap();
    assert!(fcntl_getfd(&owned).unwrap().contains(FdFlags::CLOEXEC));
    assert_eq!(refusal(7), Some(errno::EBUSY));
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(refusal(file.as_raw_fd()), Some(errno::EBUSY));
}

fn say(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

fn named(content: &str) -> OwnedFd {
    memory::memfd_of(c"test", content.as_bytes()).unwrap()
}

fn text_at(number: RawFd) -> String {
    // SAFETY: the roles that call this own the number; the borrow ends before anything is closed.
    let file = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    assert!(fcntl_getfd(file).unwrap().contains(FdFlags::CLOEXEC));
    String::from_utf8(memory::read_file(file, 100).unwrap()).unwrap()
}

/// In a role, where no other test has descriptors.
fn place_with_collisions() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    let mut apart = named("apart");
    let (at_a, at_b, at_c, at_apart) = (
        a.as_raw_fd(),
        b.as_raw_fd(),
        c.as_raw_fd(),
        apart.as_raw_fd(),
    );
    let moves = vec![(a, at_b), (b, at_a), (c, at_apart)];
    descriptor::place(moves, &mut [&mut apart]).unwrap();
    assert_eq!(
        (text_at(at_a), text_at(at_b), text_at(at_apart)),
        ("b".into(), "a".into(), "c".into())
    );
    assert_ne!(apart.as_raw_fd(), at_apart);
    assert_eq!(text_at(apart.as_raw_fd()), "apart");
    // Where one came from is closed, unless something was put there or it was given out again.
    assert!(apart.as_raw_fd() == at_c || !Path::new(&format!("/proc/self/fd/{at_c}")).exists());
}

#[test]
fn descriptors_arrive_at_their_numbers_when_sources_and_targets_collide() {
    let (a, b, c, d) = (named("a"), named("b"), named("c"), named("d"));
    let (at_a, at_b, at_c) = (a.as_raw_fd(), b.as_raw_fd(), c.as_raw_fd());
    // Two that change places, one that stays, one that goes far away.
    let keep = [
        (a.as_fd(), at_b),
        (b.as_fd(), at_a),
        (c.as_fd(), at_c),
        (d.as_fd(), 77),
    ];
    let args = [at_a, at_b, at_c, 77].map(|number| number.to_string());
    let printed = output_of("print_contents", &args, &keep);
    assert_eq!(printed, format!("{at_a}=b {at_b}=a {at_c}=c 77=d "));
    for descriptor in [&a, &b, &c, &d] {
        assert!(
            fcntl_getfd(descriptor).unwrap().contains(FdFlags::CLOEXEC),
            "the parent's own flag has changed"
        );
    }
}

#[test]
fn one_descriptor_can_have_two_numbers() {
    let file = named("same");
    let keep = [(file.as_fd(), 40), (file.as_fd(), 41)];
    assert_eq!(
        output_of("print_contents", &["40".into(), "41".into()], &keep),
        "40=same 41=same "
    );
}

#[test]
fn nothing_else_is_inherited() {
    let kept = named("kept");
    // What a user's program may have: descriptors that an exec would keep, below and above.
    let low = inheritable_copy(&kept, 3);
    let high = inheritable_copy(&kept, 300);
    assert!(low.as_raw_fd() < 300 && high.as_raw_fd() >= 300);
    let printed = output_of("print_descriptors", &[], &[(kept.as_fd(), 150)]);
    assert_eq!(printed, "[0, 1, 2, 150]");
}

fn inheritable_copy(descriptor: &OwnedFd, lowest: RawFd) -> OwnedFd {
    // SAFETY: the call makes a new number, which is owned by the result alone.
    unsafe { OwnedFd::from_raw_fd(libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD, lowest)) }
}

#[test]
fn standard_input_can_be_the_null_device() {
    assert_eq!(output_of("print_stdin", &[], &[]), "0 /dev/null");
}

#[test]
fn only_interrupts_are_blocked_and_sigpipe_is_not_ignored() {
    let printed = std::thread::spawn(|| {
        signal::block_all_in_this_thread();
        output_of("print_signals", &[], &[])
    })
    .join()
    .unwrap();
    let mask = |name: &str| {
        let line = printed
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 1 << (libc::SIGINT - 1));
    // The test runner ignores it, like every Rust program.
    assert_eq!(mask("SigIgn:") & (1 << (libc::SIGPIPE - 1)), 0);
}

#[test]
fn arguments_and_environment_are_what_they_were_given() {
    let (reader, writer) = crate::child::pipe();
    let env: Vec<(OsString, OsString)> = vec![
        ("LOKY_SYS_ROLE".into(), "print_environment".into()),
        ("GIVEN".into(), OsStr::from_bytes(b"a=\xff").into()),
    ];
    let program = std::env::current_exe().unwrap();
    let args = [OsString::from(""), OsString::from("two words")];
    let keep = [(writer.as_fd(), 1)];
    let pid = spawn(&Spawn {
        program: &program,
        args: &args,
        env: Some(&env),
        keep: &keep,
        null_stdin: false,
    })
    .unwrap();
    drop(writer);
    let mut text = String::new();
    std::fs::File::from(reader)
        .read_to_string(&mut text)
        .unwrap();
    process::wait_pid(pid, true).unwrap();
    assert_eq!(text, r#"2 [97, 61, 255] ["", "two words"]"#);
}

#[test]
fn a_program_that_is_not_there_is_an_error_and_leaves_no_child() {
    let order = Spawn {
        program: Path::new("/no/such/program"),
        args: &[],
        env: None,
        keep: &[],
        null_stdin: false,
    };
    assert_eq!(
        spawn(&order).unwrap_err().raw_os_error(),
        Some(errno::ENOENT)
    );
}

#[test]
fn a_null_byte_in_an_argument_is_refused() {
    let args = [OsString::from("a\0b")];
    let order = Spawn {
        program: Path::new("/bin/true"),
        args: &args,
        env: None,
        keep: &[],
        null_stdin: false,
    };
    assert_eq!(spawn(&order).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_inherited_number_is_owned_once() {
    let file = named("x");
    crate::child::output_of("own_once", &[], &[(file.as_fd(), 7)]);
}

#[test]
fn placing_survives_collisions() {
    crate::child::succeed("place");
}
