//! How everybody ends, and that nobody is left.

use std::io::PipeWriter;
use std::ops::Range;
use std::os::fd::AsFd;

use loky_sys::spawn::{Spawn, spawn};
use loky_sys::{pidfd, process, signal};
use loky_wire::{Header, Kind};

use crate::Test;
use crate::front::{PARENT_ROLE, WITNESS};
use crate::parent::{Family, Setting, WorkerEnd};
use crate::witness::{HANG_NS, Witness, ready};

pub const TESTS: &[Test] = &[
    (
        "a_signal_is_told_with_the_usage",
        a_signal_is_told_with_the_usage,
    ),
    ("a_kill_is_told_as_asked_for", a_kill_is_told_as_asked_for),
    (
        "a_kill_of_the_dead_is_ignored",
        a_kill_of_the_dead_is_ignored,
    ),
    (
        "descendants_of_a_dead_worker_are_killed",
        descendants_of_a_dead_worker_are_killed,
    ),
    (
        "descendants_of_a_leaving_worker_are_killed",
        descendants_of_a_leaving_worker_are_killed,
    ),
    (
        "an_orphan_stays_with_its_living_worker",
        an_orphan_stays_with_its_living_worker,
    ),
    (
        "processes_of_the_zygote_outlive_workers_only",
        processes_of_the_zygote_outlive_workers_only,
    ),
    ("nobody_outlives_the_zygote", nobody_outlives_the_zygote),
    ("nobody_outlives_a_stop", nobody_outlives_a_stop),
    (
        "nobody_outlives_the_control_socket",
        nobody_outlives_the_control_socket,
    ),
    ("nobody_outlives_the_parent", nobody_outlives_the_parent),
    (
        "a_broken_protocol_ends_the_family",
        a_broken_protocol_ends_the_family,
    ),
];

/// A worker that hangs, with a child and a grandchild in other sessions, all of them seen alive.
fn busy_worker(
    family: &mut Family,
    id: u64,
    witness: &mut Witness,
    writer: &PipeWriter,
) -> WorkerEnd {
    let mut worker = family.spawn_with(id, b"", &[(writer, WITNESS)]);
    assert_eq!(worker.ask(1, "descend"), b"descended");
    witness.expect(b'c');
    witness.expect(b'g');
    worker.send(2, b"hang");
    witness.expect(b'h');
    worker
}

fn a_signal_is_told_with_the_usage(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    worker.send(1, b"kill 11");
    let exit = family.expect_exited(1);
    assert_eq!(exit.status.signal(), Some(signal::SIGSEGV));
    assert!(exit.body.max_rss_bytes > 100_000, "{:?}", exit.body);
    assert!(!exit.body.killed_on_request);
    worker.link.expect_end();
}

fn a_kill_is_told_as_asked_for(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let mut worker = family.spawn_with(1, b"", &[(&writer, WITNESS)]);
    worker.send(1, b"hang");
    witness.expect(b'h');
    family.kill(1, signal::SIGTERM);
    family.expect_signalled(1, signal::SIGTERM);
    let exit = family.expect_exited(1);
    assert_eq!(
        (exit.status.signal(), exit.body.killed_on_request),
        (Some(signal::SIGTERM), true)
    );
}

fn a_kill_of_the_dead_is_ignored(setting: Setting) {
    let mut family = Family::start(setting);
    let mut worker = family.spawn(1);
    worker.send(1, b"exit 4");
    let exit = family.expect_exited(1);
    assert_eq!(
        (exit.status.exited(), exit.body.killed_on_request),
        (Some(4), false)
    );
    family.kill(1, signal::SIGKILL);
    family.kill(99, signal::SIGKILL);
    let mut next = family.spawn(2);
    assert_eq!(next.ask(1, "echo"), b"echo");
}

fn descendants_of_a_dead_worker_are_killed(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let worker = busy_worker(&mut family, 1, &mut witness, &writer);
    drop(writer);
    witness.expect_alive();
    family.kill(1, signal::SIGKILL);
    family.expect_exited(1);
    witness.expect_all_gone();
    drop(worker);
    let mut next = family.spawn(2);
    assert_eq!(next.ask(1, "echo"), b"echo");
}

fn descendants_of_a_leaving_worker_are_killed(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let mut worker = family.spawn_with(1, b"", &[(&writer, WITNESS)]);
    drop(writer);
    assert_eq!(worker.ask(1, "descend"), b"descended");
    witness.expect(b'c');
    witness.expect(b'g');
    worker.link.say(&Header::bare(Kind::Leave, 0), b"", &[]);
    assert_eq!(family.expect_exited(1).status.exited(), Some(0));
    witness.expect_all_gone();
}

fn an_orphan_stays_with_its_living_worker(setting: Setting) {
    let mut family = Family::start(setting);
    let (witness, writer) = Witness::new();
    let mut worker = family.spawn_with(1, b"", &[(&writer, WITNESS)]);
    drop(writer);
    let orphan = String::from_utf8(worker.ask(1, "orphan")).unwrap();
    assert_eq!(
        process::children_of(worker.pid).unwrap(),
        [orphan.parse().unwrap()]
    );
    live_and_die(&mut family, 2..5);
    witness.expect_alive();
    assert_eq!(worker.ask(2, "echo"), b"echo");
    family.kill_zygote();
    witness.expect_all_gone();
}

/// Some workers come and go, each with the search for orphans that follows.
fn live_and_die(family: &mut Family, ids: Range<u64>) {
    for id in ids {
        let mut worker = family.spawn(id);
        worker.send(1, b"exit 0");
        family.expect_exited(id);
    }
}

fn processes_of_the_zygote_outlive_workers_only(setting: Setting) {
    let mut family = Family::start(setting);
    family
        .control
        .say(&Header::bare(Kind::Preload, 0), b"process", &[]);
    let worker = family.spawn(1);
    let children = process::children_of(family.zygote).unwrap();
    let resident = *children.iter().find(|pid| **pid != worker.pid).unwrap();
    let life = pidfd::open(resident).unwrap().unwrap();
    drop(worker);
    family.expect_exited(1);
    live_and_die(&mut family, 2..5);
    assert_eq!(process::children_of(family.zygote).unwrap(), [resident]);
    assert!(
        ready(&life, Some(0)).is_none(),
        "a process of the zygote's own was killed"
    );
    family.control.say(&Header::bare(Kind::Stop, 0), b"", &[]);
    assert!(
        ready(&life, Some(HANG_NS)).is_some(),
        "a process of the zygote's own was left"
    );
    assert_eq!(family.wait_zygote().exited(), Some(0));
}

fn nobody_outlives_the_zygote(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let workers = [1, 2].map(|id| busy_worker(&mut family, id, &mut witness, &writer));
    drop(writer);
    witness.expect_alive();
    family.kill_zygote();
    witness.expect_all_gone();
    drop(workers);
}

fn nobody_outlives_a_stop(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let workers = [1, 2].map(|id| busy_worker(&mut family, id, &mut witness, &writer));
    drop(writer);
    witness.expect_alive();
    family.control.say(&Header::bare(Kind::Stop, 0), b"", &[]);
    let mut ended = [0, 0].map(|_| family.control.expect(Kind::Exited));
    ended.sort_unstable_by_key(|frame| frame.header.task);
    assert_eq!(ended.each_ref().map(|frame| frame.header.task), [1, 2]);
    assert!(
        ended
            .iter()
            .all(|frame| frame.exited_body().unwrap().killed_on_request)
    );
    witness.expect_all_gone();
    family.control.expect_end();
    assert_eq!(family.wait_zygote().exited(), Some(0));
    drop(workers);
}

fn nobody_outlives_the_control_socket(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let worker = busy_worker(&mut family, 1, &mut witness, &writer);
    drop(writer);
    witness.expect_alive();
    let status = family.close_control();
    witness.expect_all_gone();
    assert_eq!(status.exited(), Some(0));
    drop(worker);
}

fn nobody_outlives_the_parent(setting: Setting) {
    let (mut witness, writer) = Witness::new();
    let (leash, held) = std::io::pipe().unwrap();
    let order = Spawn {
        program: &std::env::current_exe().unwrap(),
        args: &[
            PARENT_ROLE.into(),
            setting.name().into(),
            "3".into(),
            "4".into(),
        ],
        env: None,
        keep: &[(writer.as_fd(), 3), (leash.as_fd(), 4)],
        null_stdin: true,
    };
    let parent = spawn(&order).unwrap();
    drop((writer, leash));
    witness.expect_signs(b"cghp");
    witness.expect_alive();
    process::kill(parent, signal::SIGKILL).unwrap();
    process::wait_pid(parent, true).unwrap();
    // The forked child still has the control socket, so only the watch on the parent can tell.
    witness.expect_all_gone();
    drop(held);
}

fn a_broken_protocol_ends_the_family(setting: Setting) {
    let mut family = Family::start(setting);
    let (mut witness, writer) = Witness::new();
    let worker = busy_worker(&mut family, 1, &mut witness, &writer);
    drop(writer);
    witness.expect_alive();
    let nonsense = [std::io::IoSlice::new(&[0xff; 24])];
    loky_sys::socket::send(&family.control.socket, &nonsense, &[]).unwrap();
    family.expect_exited(1);
    witness.expect_all_gone();
    assert_eq!(family.wait_zygote().exited(), Some(70));
    drop(worker);
}
