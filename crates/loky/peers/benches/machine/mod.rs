//! What the machine itself takes: memory, threads, sockets and processes, without a library between.

mod memory;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

pub use memory::{Pair, Wait};

const ECHO: &str = "machine-echo";
const EXIT: &str = "machine-exit";

/// Plays the other process of a measurement.
pub fn init() {
    match std::env::args().nth(1).as_deref() {
        Some(ECHO) => {
            let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
            let mut word = [0; 24];
            while input.read_exact(&mut word).is_ok() {
                output.write_all(&word).unwrap();
                output.flush().unwrap();
            }
            std::process::exit(0);
        }
        Some(EXIT) => std::process::exit(0),
        Some(role) => memory::play(role),
        None => {}
    }
}

fn this_program(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(role);
    command
}

/// A process from its start to its end.
pub fn process() {
    assert!(this_program(EXIT).status().unwrap().success());
}

/// A process at the other end of a socket pair, which sends back what comes.
pub struct Echo {
    child: Child,
    socket: UnixStream,
}

impl Echo {
    pub fn start() -> Self {
        let (socket, theirs) = UnixStream::pair().unwrap();
        let input = OwnedFd::from(theirs.try_clone().unwrap());
        let child = this_program(ECHO)
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        Self { child, socket }
    }

    pub fn round_trip(&mut self) {
        let mut word = [1; 24];
        self.socket.write_all(&word).unwrap();
        self.socket.read_exact(&mut word).unwrap();
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        self.child.wait().unwrap();
    }
}

/// Threads that wait for orders.
pub struct Threads {
    orders: Vec<Sender<u64>>,
    answers: Receiver<u64>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    pub fn start(count: usize) -> Self {
        let (answer, answers) = channel();
        let mut threads = Vec::new();
        let orders = (0..count)
            .map(|_| {
                let (order, orders) = channel::<u64>();
                let answer = answer.clone();
                threads.push(std::thread::spawn(move || {
                    for order in orders {
                        answer.send(order).unwrap();
                    }
                }));
                order
            })
            .collect();
        Self {
            orders,
            answers,
            threads,
        }
    }

    pub fn many(&mut self, count: u64) {
        for (number, order) in (0..count).zip(self.orders.iter().cycle()) {
            order.send(number).unwrap();
        }
        for _ in 0..count {
            self.answers.recv().unwrap();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.orders.clear();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}
