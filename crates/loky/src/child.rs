//! This program as its own zygote or worker.
//!
//! Entered from `init` before anything of the user's program has run, and never left. It keeps the
//! protocol of the family with `loky-worker` and decides nothing about the pool.

use std::fs::File;

use loky_worker::{
    Forked, Order, Outgoing, Seed, TaskIn, Turn, Worker, WorkerError, Zygote, ZygoteOptions,
};

use crate::buffer::Shared;
use crate::codec::{Encoded, Sent};
use crate::failure::Failure;
use crate::launch::{Origin, Role, WorkerRole, ZygoteRole};
use crate::panics;
use crate::setup::{Prologue, Setup};
use crate::task::{Ran, repeats_after_panic, run_call};

/// The exit code of a process that cannot play its part; its parent tells what that means.
const UNFIT: i32 = 70;

/// Plays the role to its end.
pub(crate) fn play(role: Role) -> ! {
    panics::watch();
    let played = match role {
        Role::Zygote(role) => play_zygote(role),
        Role::Worker(role) => play_worker(&role),
        Role::Unreadable => Ok(UNFIT),
    };
    std::process::exit(played.unwrap_or(UNFIT))
}

fn play_zygote(role: ZygoteRole) -> Result<i32, WorkerError> {
    let options = ZygoteOptions {
        parent_pid: role.parent_pid,
        exec: Some(role.template),
        groups: role.groups,
    };
    let mut zygote = Zygote::adopt_inherited(role.control, options)?;
    let mut prepared = None;
    loop {
        match zygote.next()? {
            Order::Fork(seed) => {
                // Only what forks needs it here: an executed worker prepares itself.
                let outcome = prepared
                    .get_or_insert_with(|| prepare(&role.origin))
                    .clone();
                match zygote.fork_here(seed)? {
                    Forked::Zygote(same) => zygote = same,
                    Forked::Worker(seed) => return work(seed, outcome),
                }
            }
            // Nobody orders it: what is to be loaded stands on the command line.
            Order::Preload(_) => {}
            Order::Exit(code) => return Ok(code),
        }
    }
}

fn play_worker(role: &WorkerRole) -> Result<i32, WorkerError> {
    let seed = Seed::from_exec(&role.seed)?;
    work(seed, prepare(&role.origin))
}

/// What has to be right before any worker of this program can work. A failure is told by each of
/// them, since the parent listens to workers.
fn prepare(origin: &Origin) -> Result<(), Failure> {
    if !origin.is_same_program {
        return Err(Failure::OtherProgram);
    }
    origin.preload.as_ref().map_or(Ok(()), Prologue::run)
}

/// The life of a worker. Its result is the exit code.
fn work(seed: Seed, prepared: Result<(), Failure>) -> Result<i32, WorkerError> {
    let mut worker = Worker::begin(seed)?;
    if let Ok(file) = worker.stack_fd().try_clone_to_owned() {
        panics::keep_last_words(File::from(file));
    }
    worker.keep_last_words()?;
    let blob = worker.setup_bytes()?;
    if let Err(failure) = prepared.and_then(|()| Setup::take_up(&blob)) {
        worker.initializer_failed(&Outgoing {
            retry_wanted: false,
            raised: true,
            stream: &failure.to_bytes(),
            buffers: &[],
        })?;
        return Ok(0);
    }
    worker.ready()?;
    loop {
        match worker.next()? {
            Turn::Task(task) => run(&mut worker, &task)?,
            Turn::Lost {
                task,
                attempt,
                errno,
            } => refuse(
                &mut worker,
                (task, attempt),
                &Failure::Resource(errno),
                false,
            )?,
            // This front keeps nothing between tasks.
            Turn::Interrupted | Turn::Forget(_) => {}
            Turn::Leave | Turn::ParentGone => return Ok(0),
        }
    }
}

fn run(worker: &mut Worker, task: &TaskIn) -> Result<(), WorkerError> {
    let Ran(ran) = run_call(Sent {
        stream: task.stream.as_bytes(),
        buffers: task.buffers.iter().cloned().map(Shared::new).collect(),
    });
    if worker.is_copy() {
        // A fork that the task made has come to the end of the task. The answer is its parent's.
        std::process::exit(0);
    }
    let failure = match ran {
        Ok(encoded) => match reply(worker, task, &encoded) {
            Err(error) if error.leaves_worker_usable() => error
                .errno()
                .map_or_else(|| Failure::Encode(error.to_string()), Failure::Resource),
            done => return done,
        },
        Err(failure) => failure,
    };
    let panicked = matches!(failure, Failure::Panicked { .. });
    let retry_wanted = panicked && repeats_after_panic(task.stream.as_bytes());
    refuse(worker, (task.task, task.attempt), &failure, retry_wanted)
}

fn reply(worker: &mut Worker, task: &TaskIn, encoded: &Encoded) -> Result<(), WorkerError> {
    let buffers: Vec<&[u8]> = encoded.buffers.iter().map(Shared::bytes).collect();
    let outgoing = Outgoing {
        retry_wanted: false,
        raised: false,
        stream: &encoded.stream,
        buffers: &buffers,
    };
    worker.reply(task.task, task.attempt, &outgoing)
}

fn refuse(
    worker: &mut Worker,
    (task, attempt): (u64, u32),
    failure: &Failure,
    retry_wanted: bool,
) -> Result<(), WorkerError> {
    let outgoing = Outgoing {
        retry_wanted,
        raised: true,
        stream: &failure.to_bytes(),
        buffers: &[],
    };
    worker.reply(task, attempt, &outgoing)
}
