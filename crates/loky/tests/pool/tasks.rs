//! What the tests have workers do.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use loky::{Buffer, Bytes};
use loky_sys::fork::{Fork, fork_alone};
use loky_sys::process;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};
use serde::{Deserialize, Serialize};

/// Something with a bit of everything that serde knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    pub numbers: Vec<i64>,
    pub kind: Kind,
    pub index: BTreeMap<String, Option<f64>>,
}

/// Variants of each form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    Plain,
    With(u8, char),
    Named { on: bool },
}

/// What goes to a worker whole, and cannot be written on the way back, or the other way round.
#[derive(Debug)]
pub struct OneWay;

impl Serialize for OneWay {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it does not want to travel"))
    }
}

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// A number that can be written if it is odd.
#[derive(Debug, Deserialize)]
pub struct Odd(pub u8);

impl Serialize for Odd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(2) {
            return Err(serde::ser::Error::custom("it is even"));
        }
        serializer.serialize_newtype_struct("Odd", &self.0)
    }
}

#[loky::task]
pub fn odd(number: Odd) -> u8 {
    number.0
}

/// What can be written, and cannot be read.
#[derive(Debug)]
pub struct Unreadable;

impl Serialize for Unreadable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(0)
    }
}

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("nobody can read this"))
    }
}

#[loky::task]
pub fn nothing() {}

#[loky::task]
pub fn double(x: u64) -> u64 {
    x * 2
}

#[loky::task]
pub fn add(a: u64, b: u64) -> u64 {
    a + b
}

/// A task that calls itself, by its own name.
#[loky::task]
pub fn factorial(n: u64) -> u64 {
    if n == 0 { 1 } else { n * factorial(n - 1) }
}

/// Patterns, `mut` and attributes stay what they are.
#[loky::task]
#[must_use]
pub fn swapped((a, b): (u8, String), mut tail: Vec<u8>) -> (String, Vec<u8>) {
    tail.push(a);
    (b, tail)
}

#[loky::task]
pub fn same(record: Record) -> Record {
    record
}

#[loky::task]
pub fn checked(x: i32) -> Result<i32, String> {
    if x < 0 {
        Err(format!("{x} is negative"))
    } else {
        Ok(x)
    }
}

#[loky::task]
pub fn pid() -> i32 {
    process::pid()
}

#[loky::task]
pub fn parent_pid() -> i32 {
    process::parent_pid()
}

#[loky::task]
pub fn variable(name: String) -> Option<String> {
    std::env::var(name).ok()
}

#[loky::task]
pub fn directory() -> String {
    std::env::current_dir().unwrap().display().to_string()
}

#[loky::task]
pub fn words() -> Vec<String> {
    std::env::args().collect()
}

/// Tells that it has begun, waits until it may go on, and tells its process.
#[loky::task]
pub fn wait_at(gate: String) -> i32 {
    let mut stream = UnixStream::connect(gate).unwrap();
    stream.write_all(&process::pid().to_le_bytes()).unwrap();
    // The test lets go by closing its end.
    drop(stream.read(&mut [0]));
    process::pid()
}

#[loky::task]
pub fn panics(text: String) -> u8 {
    panic!("{text}")
}

#[loky::task]
pub fn panics_with_a_number() {
    std::panic::panic_any(7_u8)
}

#[loky::task]
pub fn fails_to_return() -> OneWay {
    OneWay
}

#[loky::task]
pub fn takes_one_way(_: OneWay) {}

#[loky::task]
pub fn takes_unreadable(_: Unreadable) {}

#[loky::task]
pub fn gives_unreadable() -> Unreadable {
    Unreadable
}

#[loky::task]
pub fn aborts() {
    std::process::abort()
}

#[loky::task]
pub fn exits(code: i32) {
    std::process::exit(code)
}

/// A signal of this number, until it ends the process: the handler that Rust has for faults passes
/// over one that is no fault.
#[loky::task]
pub fn dies_by(signal: i32) {
    loop {
        process::kill(process::pid(), signal).unwrap();
    }
}

#[loky::task]
pub fn overflows(depth: u64) -> u64 {
    let deeper = std::hint::black_box([depth; 64]);
    if deeper.contains(&u64::MAX) {
        return depth;
    }
    overflows(depth + 1) + deeper.iter().sum::<u64>()
}

/// More memory than there is an address for.
#[loky::task]
pub fn allocates_too_much() -> usize {
    std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX.unsigned_abs() / 2)).capacity()
}

/// A panic while another one unwinds: the process ends, and its words are the last.
#[loky::task]
pub fn panics_twice() {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            panic!("the second panic");
        }
    }
    let _again = Again;
    panic!("the first panic");
}

#[loky::task]
pub fn panics_in_a_thread() -> bool {
    std::thread::spawn(|| panic!("not the task"))
        .join()
        .is_err()
}

/// Writes what is no frame into every socket of this process.
#[loky::task]
pub fn babbles() {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap();
    for number in 3..40 {
        if let Ok(copy) = rustix::process::pidfd_getfd(&own, number, PidfdGetfdFlags::empty()) {
            // What is no socket and cannot take it is of no interest.
            drop(std::fs::File::from(copy).write_all(&[0xff; 64]));
        }
    }
    loop {
        std::thread::park();
    }
}

/// Forks; the child too comes to the end of this function.
#[loky::task]
pub fn forks() -> bool {
    match fork_alone() {
        Ok(Fork::Child) => false,
        Ok(Fork::Parent(child)) => process::wait_pid(child, true).is_ok(),
        Err(_) => true,
    }
}

#[loky::task]
pub fn echo(bytes: Bytes) -> Bytes {
    bytes
}

#[loky::task]
pub fn total(parts: Vec<Buffer<f64>>, scale: f64) -> f64 {
    parts.iter().flat_map(|part| part.iter()).sum::<f64>() * scale
}

#[loky::task]
pub fn made(len: usize) -> (String, Buffer<u32>) {
    let numbers = (0..u32::try_from(len).unwrap()).collect();
    (format!("{len} numbers"), numbers)
}

pub static PREPARED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Leaves something behind in its process.
#[loky::task]
pub fn prepares() {
    PREPARED.fetch_add(
        u64::from(std::process::id()),
        std::sync::atomic::Ordering::Relaxed,
    );
}

#[loky::task]
pub fn prepares_with(number: u64) {
    PREPARED.fetch_add(number, std::sync::atomic::Ordering::Relaxed);
}

#[loky::task]
pub fn prepared() -> u64 {
    PREPARED.load(std::sync::atomic::Ordering::Relaxed)
}

/// Computes, and comes to no end.
#[loky::task]
pub fn computes_for_ever() {
    loop {
        std::hint::spin_loop();
    }
}

/// Waits, and comes to no end, also where it is asked to.
#[loky::task]
pub fn ignores_requests_to_end() {
    loky_sys::signal::ignore(libc::SIGTERM).unwrap();
    loop {
        std::thread::park();
    }
}

fn append(path: &str, word: &str) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).unwrap();
    file.write_all(word.as_bytes()).unwrap();
}

/// Writes down that it ran; answers which run this was, from 1.
fn note_run(path: &str) -> u32 {
    append(path, ".");
    u32::try_from(std::fs::read(path).unwrap().len()).unwrap()
}

/// Dies in its first runs.
#[loky::task]
pub fn dies_before(path: String, run: u32) -> u32 {
    let this = note_run(&path);
    if this < run {
        std::process::exit(5);
    }
    this
}

/// Panics in its first runs.
#[loky::task]
pub fn panics_before(path: String, run: u32) -> u32 {
    let this = note_run(&path);
    assert!(this >= run, "run {this} panics");
    this
}

/// Comes to no end in its first runs.
#[loky::task]
pub fn hangs_before(path: String, run: u32) -> u32 {
    let this = note_run(&path);
    if this < run {
        loop {
            std::thread::park();
        }
    }
    this
}

/// Appends a word to a file.
#[loky::task]
pub fn writes(path: String, word: String) {
    append(&path, &word);
}

/// Has so much memory.
#[loky::task]
pub fn fills(mebibytes: usize) -> usize {
    let filled: Vec<Vec<u8>> = (0..mebibytes).map(|_| vec![1; 1 << 20]).collect();
    std::hint::black_box(&filled).len()
}

/// The cgroups of the worker.
#[loky::task]
pub fn membership() -> String {
    std::fs::read_to_string("/proc/self/cgroup").unwrap()
}

/// Has so much memory that is in no process: the pages of a file that nobody maps.
#[loky::task]
pub fn hoards(mebibytes: usize) -> usize {
    use std::io::Write;

    let file = loky_sys::memory::growing_memfd(c"loky-hoard", 0).unwrap();
    let mut file = std::fs::File::from(file);
    let bytes = vec![1; 1 << 20];
    for _ in 0..mebibytes {
        file.write_all(&bytes).unwrap();
    }
    0
}
