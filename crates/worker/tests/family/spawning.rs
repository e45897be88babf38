//! How workers come to be, and what happens where they cannot.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use loky_sys::{errno, process, signal};
use loky_wire::limits::SPAWN_FDS;
use loky_wire::{Header, Kind, SPAWN_EXEC};
use loky_worker::FORK_REFUSED_ERRNO;

use crate::Test;
use crate::front::WITNESS;
use crate::parent::{Family, Setting};
use crate::witness::Witness;

pub const TESTS: &[Test] = &[
    ("a_worker_knows_its_numbers", a_worker_knows_its_numbers),
    ("workers_are_apart", workers_are_apart),
    ("the_setup_arrives", the_setup_arrives),
    (
        "extra_descriptors_get_their_numbers",
        extra_descriptors_get_their_numbers,
    ),
    (
        "an_interrupt_reaches_workers_only",
        an_interrupt_reaches_workers_only,
    ),
    ("a_failed_initializer_is_told", a_failed_initializer_is_told),
    (
        "threads_forbid_a_fork_and_not_an_exec",
        threads_forbid_a_fork_and_not_an_exec,
    ),
    (
        "a_full_table_of_the_zygote_fails_one_spawn",
        a_full_table_of_the_zygote_fails_one_spawn,
    ),
    (
        "a_parent_that_does_not_read_stops_nobody",
        a_parent_that_does_not_read_stops_nobody,
    ),
];

fn a_worker_knows_its_numbers(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(12);
    let identity = String::from_utf8(worker.ask(1, "identity")).unwrap();
    assert_eq!(identity, format!("12 7 {}", worker.pid));
    assert_ne!(worker.pid, family.zygote);
}

fn workers_are_apart(setting: Setting) {
    let mut family = Family::start(setting);
    let mut workers: Vec<_> = (1..=4).map(|id| family.spawn(id)).collect();
    let mut dead = workers.remove(1);
    dead.send(1, b"exit 3");
    assert_eq!(family.expect_exited(2).status.exited(), Some(3));
    dead.link.expect_end();
    for worker in &mut workers {
        assert_eq!(worker.ask(1, "echo still here"), b"echo still here");
    }
}

fn the_setup_arrives(setting: Setting) {
    let mut family = Family::start(setting);
    let setup = vec![b's'; 300_000];
    let mut worker = family.spawn_with(1, &setup, &[]);
    assert_eq!(worker.ask(1, "setup"), setup);
}

fn extra_descriptors_get_their_numbers(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let [null, zero, full] =
        ["/dev/null", "/dev/zero", "/dev/full"].map(|path| File::open(path).unwrap());
    // An executed worker finds its own descriptors from 3 on, so these numbers are in the way.
    let extra: [(&dyn AsFd, RawFd); 4] = [(&null, 4), (&zero, 3), (&writer, WITNESS), (&full, 8)];
    let mut worker = family.spawn_with(1, b"", &extra);
    assert_eq!(worker.ask(1, "echo"), b"echo");
    worker.send(2, b"hang");
    witness.expect(b'h');
    for (descriptor, number) in extra {
        let theirs = format!("/proc/{}/fd/{number}", worker.pid);
        let ours = format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd());
        assert_eq!(fs::read_link(theirs).unwrap(), fs::read_link(ours).unwrap());
    }
}

fn an_interrupt_reaches_workers_only(setting: Setting) {
    let mut family = Family::start(setting);
    drop(family.spawn(1));
    family.expect_exited(1);
    process::kill(family.zygote, signal::SIGINT).unwrap();
    let _worker = family.spawn(2);
    family.kill(2, signal::SIGINT);
    family.expect_signalled(2, signal::SIGINT);
    assert_eq!(
        family.expect_exited(2).status.signal(),
        Some(signal::SIGINT)
    );
}

fn a_failed_initializer_is_told(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.order(1, family_flags(setting), b"fail", &[]);
    family.expect_spawned(&mut worker);
    let frame = worker.link.expect(Kind::InitializerFailed);
    assert_eq!(frame.into_payload().unwrap().inline(), b"no luck");
    assert_eq!(family.expect_exited(1).status.exited(), Some(0));
}

fn threads_forbid_a_fork_and_not_an_exec(setting: Setting) {
    let mut family = Family::start(setting);
    family
        .control
        .say(&Header::bare(Kind::Preload, 0), b"thread", &[]);
    drop(family.order(1, 0, b"", &[]));
    drop(family.order(2, 0, b"", &[]));
    let unfit = family.control.expect(Kind::Unfit);
    assert!(unfit.unfit_reason().unwrap().contains("2 threads"));
    for id in [1, 2] {
        let failed = family.control.expect(Kind::SpawnFailed).header;
        assert_eq!(
            (failed.task, failed.aux.cast_signed()),
            (id, FORK_REFUSED_ERRNO)
        );
    }
    let mut worker = family.order(3, SPAWN_EXEC, b"", &[]);
    family.expect_spawned(&mut worker);
    worker.link.expect(Kind::Ready);
    assert_eq!(worker.ask(1, "echo"), b"echo");
}

fn a_full_table_of_the_zygote_fails_one_spawn(setting: Setting) {
    let mut family = Family::start(setting);
    family
        .control
        .say(&Header::bare(Kind::Preload, 0), b"fill", &[]);
    drop(family.order(1, family_flags(setting), b"", &[]));
    let failed = family.control.expect(Kind::SpawnFailed).header;
    assert_eq!((failed.task, failed.aux.cast_signed()), (1, errno::EMFILE));
    family
        .control
        .say(&Header::bare(Kind::Preload, 0), b"empty", &[]);
    // An order that is read together with the word to make room still finds none, and its answer
    // tells that there is room now.
    let mut worker = family.order(2, family_flags(setting), b"", &[]);
    let answer = family.control.hear().unwrap().0.header;
    if answer.kind == Kind::SpawnFailed {
        assert_eq!(answer.aux.cast_signed(), errno::EMFILE);
        worker = family.order(3, family_flags(setting), b"", &[]);
        family.expect_spawned(&mut worker);
    }
    worker.link.expect(Kind::Ready);
    assert_eq!(worker.ask(1, "echo"), b"echo");
}

fn a_parent_that_does_not_read_stops_nobody(setting: Setting) {
    const ORDERS: u64 = 20_000;
    let mut family = Family::start(setting);
    family
        .control
        .say(&Header::bare(Kind::Preload, 0), b"thread", &[]);
    let null = File::open("/dev/null").unwrap();
    let body = [0; 8];
    for id in 1..=ORDERS {
        // A refusal for each is more than the socket holds, and nobody reads them.
        let header = Header::for_worker(Kind::Spawn, id, 0).with_fds(SPAWN_FDS);
        let descriptors = [null.as_fd(); SPAWN_FDS as usize];
        family.control.say(&header, &body, &descriptors);
    }
    family.control.expect(Kind::Unfit);
    for id in 1..=ORDERS {
        assert_eq!(family.control.expect(Kind::SpawnFailed).header.task, id);
    }
}

fn family_flags(setting: Setting) -> u8 {
    if setting == Setting::Exec {
        SPAWN_EXEC
    } else {
        0
    }
}
