//! The child side of the tests: a front whose tasks are words, such as `exit 3`.

use std::fs::File;
use std::io::Write;
use std::os::fd::{BorrowedFd, RawFd};

use loky_sys::fork::{Fork, fork};
use loky_sys::spawn::{Spawn, spawn};
use loky_sys::{descriptor, process};
use loky_worker::{
    ExecTemplate, LeaveReason, Order, Outgoing, Seed, TaskIn, Turn, View, Worker, WorkerError,
    Zygote, ZygoteOptions,
};

use crate::scribbler::Scribbler;

pub const ZYGOTE_ROLE: &str = "front-zygote";
pub const WORKER_ROLE: &str = "front-worker";

/// Under which number a worker finds the pipe through which it tells what it does.
pub const WITNESS: RawFd = 50;

/// The code of a process of ours that met an error which no test wants.
const UNWANTED: i32 = 70;

pub fn zygote(words: &[String]) -> ! {
    let parent_pid = words[0].parse().unwrap();
    let control = descriptor::own(words[1].parse().unwrap()).unwrap();
    let exec = ExecTemplate {
        program: std::env::current_exe().unwrap(),
        arguments: vec![WORKER_ROLE.into()],
        environment: None,
    };
    let mut zygote = or_exit(Zygote::adopt(
        control,
        ZygoteOptions {
            parent_pid,
            exec: Some(exec),
            groups: None,
        },
    ));
    loop {
        match or_exit(zygote.next()) {
            Order::Fork(seed) => {
                // SAFETY: the zygote has been found to have one thread.
                match unsafe { fork() } {
                    Ok(Fork::Child) => worker(zygote.into_worker(seed)),
                    Ok(Fork::Parent(pid)) => or_exit(zygote.forked(seed, pid)),
                    Err(error) => or_exit(zygote.fork_failed(seed, error.raw_os_error().unwrap())),
                }
            }
            Order::Preload(_) => process::exit_now(UNWANTED),
            Order::Exit(code) => process::exit_now(code),
        }
    }
}

pub fn executed_worker(words: &[String]) -> ! {
    worker(or_exit(Seed::from_exec(words)))
}

fn worker(seed: Seed) -> ! {
    let mut worker = or_exit(Worker::begin(seed));
    let setup = or_exit(worker.setup_bytes());
    if setup == b"fail" {
        let outgoing = Outgoing {
            retry_wanted: false,
            raised: true,
            stream: b"no luck",
            buffers: &[],
        };
        or_exit(worker.initializer_failed(&outgoing));
        process::exit_now(0);
    }
    if setup == b"stall" {
        park();
    }
    if setup == b"die" {
        process::exit_now(9);
    }
    or_exit(worker.ready());
    loop {
        match or_exit(worker.next()) {
            Turn::Task(task) => run(&mut worker, &task),
            Turn::Lost { .. } => process::exit_now(UNWANTED),
            Turn::Interrupted => {}
            Turn::Forget(_) => sign(b'f'),
            Turn::Leave | Turn::ParentGone => process::exit_now(0),
        }
    }
}

fn run(worker: &mut Worker, task: &TaskIn) {
    let text = String::from_utf8_lossy(task.stream.as_bytes()).into_owned();
    let mut words = text.split_ascii_whitespace();
    let command = words.next().unwrap();
    let mut number = || words.next().unwrap().parse::<i32>().unwrap();
    match command {
        "echo" => {
            let buffers: Vec<&[u8]> = task.buffers.iter().map(View::as_bytes).collect();
            reply(worker, task, false, task.stream.as_bytes(), &buffers);
        }
        "len" => {
            let len: usize = task.buffers.iter().map(View::len).sum();
            reply(worker, task, false, len.to_string().as_bytes(), &[]);
        }
        "overwrite" => overwrite(worker, task),
        "raise" => reply(worker, task, true, b"raised", &[]),
        "again" => ask_for_another_attempt(worker, task),
        "pid" => reply(
            worker,
            task,
            false,
            process::pid().to_string().as_bytes(),
            &[],
        ),
        "exit" => process::exit_now(number()),
        "kill" => {
            process::kill(process::pid(), number()).unwrap();
            park();
        }
        "hang" => {
            sign(b'h');
            park();
        }
        "sign" => {
            sign(b's');
            reply(worker, task, false, b"signed", &[]);
        }
        "leave" => {
            reply(
                worker,
                task,
                false,
                process::pid().to_string().as_bytes(),
                &[],
            );
            or_exit(worker.leaving(LeaveReason::MemoryGrowth));
            process::exit_now(0);
        }
        "strays" => reply(worker, task, false, strays().as_bytes(), &[]),
        "spare" => reply(worker, task, false, spare().to_string().as_bytes(), &[]),
        "babble" => {
            babble();
            park();
        }
        "scribble" | "half" | "commit" => run_wild(worker, task, command, number),
        other => panic!("no such task: {other}"),
    }
}

/// Tasks that write into the rings what no worker writes.
fn run_wild(worker: &mut Worker, task: &TaskIn, command: &str, mut number: impl FnMut() -> i32) {
    let scribbler = Scribbler::new();
    if command == "scribble" {
        scribbler.scribble(number());
        sign(b'w');
        park();
    }
    let tail = scribbler.tail();
    scribbler.pretend_the_parent_is_awake();
    let pid = process::pid().to_string();
    reply(worker, task, false, pid.as_bytes(), &[]);
    assert_ne!(scribbler.tail(), tail, "it did not go into the ring");
    if command == "half" {
        scribbler.unwrite(tail, number().unsigned_abs().into());
    }
    process::exit_now(3);
}

/// Fills the first buffer; gives the second.
fn overwrite(worker: &mut Worker, task: &TaskIn) {
    let (first, second) = (&task.buffers[0], &task.buffers[1]);
    // SAFETY: the view lives, its pages are private to this process, and nobody reads them meanwhile.
    unsafe { first.as_ptr().write_bytes(0xee, first.len()) };
    reply(worker, task, false, b"done", &[second.as_bytes()]);
}

/// Writes what is no frame into every socket of this process.
fn babble() {
    for number in 3..40 {
        // SAFETY: a number that is not open makes the copy fail, and nothing else is done with it.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        if let Ok(copy) = borrowed.try_clone_to_owned() {
            // Files and pipes that cannot take it are of no interest.
            let _ = File::from(copy).write_all(&[0xff; 64]);
        }
    }
}

fn reply(worker: &mut Worker, task: &TaskIn, raised: bool, stream: &[u8], buffers: &[&[u8]]) {
    or_exit(worker.reply(
        task.task,
        task.attempt,
        &Outgoing {
            retry_wanted: false,
            raised,
            stream,
            buffers,
        },
    ));
}

/// Two children that nobody waits for: one in a session of its own, and one that was executed without an environment.
/// They end after a minute at the latest.
fn strays() -> String {
    // SAFETY: the worker has one thread.
    let own_session = match unsafe { fork() }.unwrap() {
        Fork::Child => {
            // SAFETY: the calls touch no memory.
            unsafe {
                libc::setsid();
                libc::alarm(60);
            }
            park();
        }
        Fork::Parent(pid) => pid,
    };
    let executed = spawn(&Spawn {
        program: std::path::Path::new("/bin/sleep"),
        args: &["60".into()],
        env: Some(&[]),
        keep: &[],
        null_stdin: true,
    });
    format!("{own_session} {}", executed.unwrap())
}

/// A child that is meant to live on, with one below it that has no environment.
fn spare() -> i32 {
    let let_live = loky_sys::lifeline::LET_LIVE_VARIABLE;
    let executed = spawn(&Spawn {
        program: std::path::Path::new("/bin/sh"),
        args: &["-c".into(), "/usr/bin/env -i /bin/sleep 60; :".into()],
        env: Some(&[(let_live.into(), process::parent_pid().to_string().into())]),
        keep: &[],
        null_stdin: true,
    });
    executed.unwrap()
}

/// Tells the test that this process got here.
fn sign(byte: u8) {
    // SAFETY: the number stays open as long as the worker lives.
    let witness = unsafe { BorrowedFd::borrow_raw(WITNESS) };
    let copy = witness.try_clone_to_owned().unwrap();
    File::from(copy).write_all(&[byte]).unwrap();
}

fn ask_for_another_attempt(worker: &mut Worker, task: &TaskIn) {
    sign(b'a');
    let outgoing = Outgoing {
        retry_wanted: true,
        raised: true,
        stream: b"once more",
        buffers: &[],
    };
    or_exit(worker.reply(task.task, task.attempt, &outgoing));
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

fn or_exit<T>(result: Result<T, WorkerError>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("{} failed: {error}", process::pid());
        process::exit_now(UNWANTED)
    })
}
