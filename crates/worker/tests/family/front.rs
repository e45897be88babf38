//! The child side of the tests: a front whose tasks are words, such as `exit 3`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use loky_sys::fork::{Fork, fork};
use loky_sys::{descriptor, limits, process, signal};
use loky_worker::{
    ExecTemplate, Order, Outgoing, Seed, TaskIn, Turn, Worker, WorkerError, Zygote, ZygoteOptions,
};

use crate::parent::{Family, Setting};

pub const ZYGOTE_ROLE: &str = "front-zygote";
pub const WORKER_ROLE: &str = "front-worker";
pub const PARENT_ROLE: &str = "front-parent";
pub const IDLE_ROLE: &str = "front-idle";

/// Under which number a worker finds the writing end of the witness.
pub const WITNESS: RawFd = 50;

/// The code of a process of ours that met an error which no test wants.
const UNWANTED: i32 = 70;

/// Descriptors that fill the table.
static BALLAST: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

pub fn zygote(words: &[String]) -> ! {
    let control = descriptor::own(words[0].parse().unwrap()).unwrap();
    let exec = ExecTemplate {
        program: std::env::current_exe().unwrap(),
        arguments: vec![WORKER_ROLE.into()],
        environment: None,
    };
    let options = ZygoteOptions {
        parent_pid: words[1].parse().unwrap(),
        exec: Some(exec),
        groups: None,
    };
    let mut zygote = or_exit(Zygote::adopt(control, options));
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
            Order::Preload(bytes) => preload(&bytes),
            Order::Exit(code) => process::exit_now(code),
        }
    }
}

fn preload(bytes: &[u8]) {
    match bytes {
        b"fill" => fill_table(),
        b"empty" => BALLAST.lock().unwrap().clear(),
        b"thread" => drop(std::thread::spawn(|| park())),
        b"process" => drop(
            std::process::Command::new(std::env::current_exe().unwrap())
                .arg(IDLE_ROLE)
                .spawn(),
        ),
        other => panic!("no such module: {other:?}"),
    }
}

/// A process that does nothing until somebody ends it.
pub fn idle() -> ! {
    park()
}

pub fn executed_worker(words: &[String]) -> ! {
    worker(or_exit(Seed::from_exec(words)))
}

fn worker(seed: Seed) -> ! {
    count_interrupts();
    signal::reset(signal::SIGINT).unwrap();
    let mut worker = or_exit(Worker::begin(seed));
    let setup = or_exit(worker.setup_bytes());
    if setup == b"fail" {
        or_exit(worker.initializer_failed(&Outgoing {
            retry_wanted: false,
            raised: true,
            stream: b"no luck",
            buffers: &[],
        }));
        process::exit_now(0);
    }
    or_exit(worker.ready());
    loop {
        match or_exit(worker.next()) {
            Turn::Task(task) => run(&mut worker, &task),
            Turn::Lost {
                task,
                attempt,
                errno,
            } => {
                let text = format!("lost {errno}");
                let outgoing = Outgoing {
                    retry_wanted: false,
                    raised: true,
                    stream: text.as_bytes(),
                    buffers: &[],
                };
                or_exit(worker.reply(task, attempt, &outgoing));
            }
            Turn::Interrupted => sign(b'i'),
            Turn::Forget(name) => name.iter().for_each(|byte| sign(*byte)),
            Turn::Leave | Turn::ParentGone => process::exit_now(0),
        }
    }
}

fn run(worker: &mut Worker, task: &TaskIn) {
    let text = String::from_utf8_lossy(task.stream.as_bytes()).into_owned();
    let mut words = text.split_ascii_whitespace();
    let command = words.next().unwrap();
    let number = words.next().and_then(|word| word.parse::<i32>().ok());
    let count = || usize::try_from(number.unwrap()).unwrap();
    match command {
        "echo" => reply_with_buffers(worker, task, task.stream.as_bytes()),
        "raise" => reply(worker, task, true, b"raised", &[]),
        "make" => reply(worker, task, false, b"made", &[&vec![0x5a; count()]]),
        "make-stream" => reply(worker, task, false, &vec![0x5a; count()], &[]),
        "scribble" => scribble(worker, task),
        "twice" => answer_twice(worker, task),
        "foreign" => answer_for_another(worker, task),
        "setup" => reply(worker, task, false, &or_exit(worker.setup_bytes()), &[]),
        "identity" => {
            let (id, index, pid) = (worker.worker_id(), worker.index(), process::pid());
            reply(
                worker,
                task,
                false,
                format!("{id} {index} {pid}").as_bytes(),
                &[],
            );
        }
        "kill" => {
            let signal = number.unwrap();
            // The standard library has a handler of its own for some.
            signal::reset(signal).unwrap();
            process::kill(process::pid(), signal).unwrap();
            park();
        }
        "exit" => process::exit_now(number.unwrap()),
        "hang" => {
            sign(b'h');
            park();
        }
        "descend" => {
            descend();
            reply(worker, task, false, b"descended", &[]);
        }
        "orphan" => {
            let orphan = orphan();
            reply(worker, task, false, orphan.to_string().as_bytes(), &[]);
        }
        "fill" => {
            fill_table();
            reply(worker, task, false, b"full", &[]);
        }
        "empty" => {
            BALLAST.lock().unwrap().clear();
            reply(worker, task, false, b"empty", &[]);
        }
        other => panic!("no such task: {other}"),
    }
}

fn reply_with_buffers(worker: &mut Worker, task: &TaskIn, stream: &[u8]) {
    let buffers: Vec<&[u8]> = task
        .buffers
        .iter()
        .map(loky_worker::View::as_bytes)
        .collect();
    reply(worker, task, false, stream, &buffers);
}

/// Writes into what belongs to the parent.
fn scribble(worker: &mut Worker, task: &TaskIn) {
    for view in &task.buffers {
        // SAFETY: the view is not empty, lives, and nobody reads it at the same time.
        unsafe { *view.as_ptr() = b'!' };
    }
    reply_with_buffers(worker, task, b"scribbled");
}

/// Asks again for a task that is held, and answers it twice.
fn answer_twice(worker: &mut Worker, task: &TaskIn) {
    let Turn::Task(again) = or_exit(worker.next()) else {
        process::exit_now(UNWANTED)
    };
    assert_eq!((again.task, again.attempt), (task.task, task.attempt));
    assert_eq!(again.stream.as_bytes(), task.stream.as_bytes());
    reply(worker, task, false, b"once", &[]);
    reply(worker, task, false, b"twice", &[]);
}

/// Answers a task that is not held.
fn answer_for_another(worker: &mut Worker, task: &TaskIn) {
    let outgoing = Outgoing {
        retry_wanted: false,
        raised: false,
        stream: b"",
        buffers: &[],
    };
    let refused = worker.reply(task.task + 1, 1, &outgoing).unwrap_err();
    reply(worker, task, false, format!("{refused:?}").as_bytes(), &[]);
}

/// Replies; what cannot be sent for lack of a segment is replaced by an error that can.
fn reply(worker: &mut Worker, task: &TaskIn, raised: bool, stream: &[u8], buffers: &[&[u8]]) {
    match worker.reply(
        task.task,
        task.attempt,
        &Outgoing {
            retry_wanted: false,
            raised,
            stream,
            buffers,
        },
    ) {
        Ok(()) => {}
        Err(error) if error.leaves_worker_usable() => {
            let text = format!("unsent {}", error.errno().unwrap_or(0));
            let outgoing = Outgoing {
                retry_wanted: false,
                raised: true,
                stream: text.as_bytes(),
                buffers: &[],
            };
            or_exit(worker.reply(task.task, task.attempt, &outgoing));
        }
        Err(error) => or_exit(Err(error)),
    }
}

/// A child and a grandchild, each in a session of its own, that live until they are killed.
fn descend() {
    // SAFETY: a worker of the tests has one thread.
    if unsafe { fork() }.unwrap() == Fork::Child {
        // SAFETY: the call takes nothing.
        unsafe { libc::setsid() };
        sign(b'c');
        // SAFETY: as above.
        if unsafe { fork() }.unwrap() == Fork::Child {
            // SAFETY: as above.
            unsafe { libc::setsid() };
            sign(b'g');
        }
        park();
    }
}

/// A grandchild whose parent has ended while the worker lives; its number.
fn orphan() -> i32 {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: a worker of the tests has one thread.
    match unsafe { fork() }.unwrap() {
        Fork::Child => {
            // SAFETY: as above.
            match unsafe { fork() }.unwrap() {
                Fork::Child => park(),
                Fork::Parent(orphan) => {
                    writer.write_all(&orphan.to_le_bytes()).unwrap();
                    process::exit_now(0);
                }
            }
        }
        Fork::Parent(middle) => {
            process::wait_pid(middle, true).unwrap();
            let mut orphan = [0; 4];
            reader.read_exact(&mut orphan).unwrap();
            i32::from_le_bytes(orphan)
        }
    }
}

/// Leaves room for nothing in the table of descriptors.
fn fill_table() {
    let mut ballast = BALLAST.lock().unwrap();
    limits::set_open_files(128).unwrap();
    while let Ok(null) = File::open("/dev/null") {
        ballast.push(null.into());
    }
}

/// Tells the witness that this process lives.
fn sign(byte: u8) {
    // SAFETY: the number stays open as long as a process of the tests lives.
    let witness = unsafe { BorrowedFd::borrow_raw(WITNESS) };
    let copy = witness.try_clone_to_owned().unwrap();
    File::from(copy).write_all(&[byte]).unwrap();
}

/// A handler for SIGUSR1 that does nothing but interrupt what waits.
fn count_interrupts() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the structure is plain numbers; the handler touches nothing and lives for ever.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(signal::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
}

/// The parent that is to be killed: it has a family, a busy worker with descendants, and a child
/// that it forked itself, which holds the control socket until the leash ends.
pub fn parent(words: &[String]) -> ! {
    let setting = Setting::named(&words[0]);
    let take = |word: &String| descriptor::own(word.parse().unwrap()).unwrap();
    let (witness, leash) = (take(&words[1]), take(&words[2]));
    let mut family = Family::start(setting);
    let mut worker = family.spawn_with(1, b"", &[(&witness, WITNESS)]);
    worker.send(1, b"descend");
    assert_eq!(worker.expect_done(1).stream, b"descended");
    worker.send(2, b"hang");
    // SAFETY: this process has one thread.
    if unsafe { fork() }.unwrap() == Fork::Child {
        drop(witness);
        crate::witness::ready(&leash, None);
        process::exit_now(0);
    }
    // SAFETY: the number is that of the witness, which is not used otherwise any more.
    let mut witness = unsafe { File::from_raw_fd(std::os::fd::IntoRawFd::into_raw_fd(witness)) };
    witness.write_all(b"p").unwrap();
    park()
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
