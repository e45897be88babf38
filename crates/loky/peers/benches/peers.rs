//! What a task costs here, with what would be taken instead, and what the machine lets nobody undercut.
//!
//! Each peer does what its own examples do. Where one has no way to do something (many tasks at once,
//! a process that outlives its task) it is not in that group.
//!
//! Run it on a quiet machine: `cargo bench`, in this folder.

mod machine;

use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use loky::{Bytes, ProcessPoolExecutor};
use serde::{Deserialize, Serialize};

use machine::{Echo, Threads};

/// How many tasks are given at once where many are.
const MANY: u64 = 20_000;
const FEW: u64 = 200;
const LARGE: usize = 64 << 20;

#[loky::task]
fn nothing() {}

#[loky::task]
fn echo(bytes: Bytes) -> Bytes {
    bytes
}

#[loky::task]
fn dies() {
    std::process::abort()
}

/// A program has one task with tarnish, so it has a word for each of ours.
#[derive(Serialize, Deserialize)]
enum Order {
    Nothing,
    Echo(serde_bytes::ByteBuf),
    Die,
}

#[derive(Default)]
struct Tarnished;

impl tarnish::Task for Tarnished {
    type Input = Order;
    type Output = serde_bytes::ByteBuf;
    type Error = String;

    fn run(&mut self, order: Order) -> Result<serde_bytes::ByteBuf, String> {
        match order {
            Order::Nothing => Ok(serde_bytes::ByteBuf::new()),
            Order::Echo(bytes) => Ok(bytes),
            Order::Die => std::process::abort(),
        }
    }
}

#[process_fun::process]
pub fn forked_nothing() -> u8 {
    0
}

fn main() {
    loky::init();
    machine::init();
    procspawn::init();
    tarnish::main::<Tarnished>(bench);
}

fn bench() {
    let mut criterion = Criterion::default().configure_from_args();
    round_trip(&mut criterion);
    throughput(&mut criterion);
    large(&mut criterion);
    recovery(&mut criterion);
    criterion.final_summary();
}

/// One empty task after the other.
fn round_trip(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round_trip");
    let pool = ProcessPoolExecutor::new(2).unwrap();
    group.bench_function("loky", |bencher| {
        bencher.iter(|| pool.submit(nothing::call()).unwrap().wait().unwrap());
    });
    pool.shutdown().unwrap();
    let pool = procspawn::Pool::new(2).unwrap();
    group.bench_function("procspawn", |bencher| {
        bencher.iter(|| procspawn::spawn!(in pool, () || ()).join().unwrap());
    });
    pool.shutdown();
    let mut pool = tarnished(2);
    group.bench_function("tarnish", |bencher| {
        bencher.iter(|| pool.call(Order::Nothing).unwrap());
    });
    drop(pool);
    let mut echo = Echo::start();
    group.bench_function("floor: a socket and a process", |bencher| {
        bencher.iter(|| echo.round_trip());
    });
    drop(echo);
    let mut threads = Threads::start(1);
    group.bench_function("floor: shared memory and a wake-up each way", |bencher| {
        bencher.iter(|| threads.round_trip());
    });
    drop(threads);
    group.sample_size(20);
    group.bench_function("process-fun, a fork a task", |bencher| {
        bencher.iter(|| forked_nothing_process().unwrap().wait().unwrap());
    });
    group.bench_function("a process a task", |bencher| bencher.iter(machine::process));
    group.finish();
}

/// Many empty tasks on two workers.
fn throughput(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("throughput");
    group.throughput(Throughput::Elements(MANY)).sample_size(10);
    let pool = ProcessPoolExecutor::new(2).unwrap();
    for ahead in [64, 1024] {
        group.bench_function(BenchmarkId::new("loky, map ahead by", ahead), |bencher| {
            bencher.iter(|| {
                let calls = (0..MANY).map(|_| nothing::call());
                assert!(
                    pool.map(calls)
                        .look_ahead(ahead)
                        .all(|result| result.is_ok())
                );
            });
        });
    }
    pool.shutdown().unwrap();
    // It has descriptors for each task that waits.
    group.throughput(Throughput::Elements(FEW));
    let pool = procspawn::Pool::new(2).unwrap();
    group.bench_function("procspawn, 200 at once", |bencher| {
        bencher.iter(|| {
            let handles: Vec<_> = (0..FEW)
                .map(|_| procspawn::spawn!(in pool, () || ()))
                .collect();
            for handle in handles {
                handle.join().unwrap();
            }
        });
    });
    pool.shutdown();
    group.throughput(Throughput::Elements(MANY));
    let mut threads = Threads::start(2);
    group.bench_function("floor: a thread pool", |bencher| {
        bencher.iter(|| threads.many(MANY));
    });
    group.finish();
}

/// 64 MiB to a worker and back.
fn large(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("64_MiB_both_ways");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    let pool = ProcessPoolExecutor::new(1).unwrap();
    let bytes = Bytes::from(vec![7; LARGE]);
    group.bench_function("loky", |bencher| {
        bencher.iter(|| {
            let future = pool.submit(echo::call(bytes.clone())).unwrap();
            let back = future.wait().unwrap();
            assert_eq!((back.len(), back[LARGE - 1]), (LARGE, 7));
        });
    });
    pool.shutdown().unwrap();
    let bytes = serde_bytes::ByteBuf::from(vec![7; LARGE]);
    let pool = procspawn::Pool::new(1).unwrap();
    group.bench_function("procspawn", |bencher| {
        bencher.iter(|| {
            let sent = bytes.clone();
            let handle = procspawn::spawn!(in pool, (sent) || sent);
            assert_eq!(handle.join().unwrap().len(), LARGE);
        });
    });
    pool.shutdown();
    let mut pool = tarnished(1);
    group.bench_function("tarnish", |bencher| {
        bencher.iter(|| {
            let back = pool.call(Order::Echo(bytes.clone())).unwrap();
            assert_eq!(back.len(), LARGE);
        });
    });
    drop(pool);
    group.bench_function("floor: two copies into memory that is there", |bencher| {
        let mut there = vec![0; LARGE];
        let mut back = vec![0; LARGE];
        bencher.iter(|| {
            there.copy_from_slice(&bytes);
            back.copy_from_slice(std::hint::black_box(&there));
        });
    });
    group.bench_function("two copies into fresh memory", |bencher| {
        bencher.iter(|| bytes.to_vec().clone());
    });
    group.finish();
}

/// A task that ends its process, and then one that does not.
fn recovery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crash_and_next");
    group.sample_size(20);
    let pool = ProcessPoolExecutor::new(1).unwrap();
    group.bench_function("loky", |bencher| {
        bencher.iter(|| {
            pool.submit(dies::call()).unwrap().wait().unwrap_err();
            pool.submit(nothing::call()).unwrap().wait().unwrap();
        });
    });
    pool.shutdown().unwrap();
    let pool = procspawn::Pool::new(1).unwrap();
    group.bench_function("procspawn", |bencher| {
        bencher.iter(|| {
            drop(procspawn::spawn!(in pool, () || end_process()).join());
            procspawn::spawn!(in pool, () || ()).join().unwrap();
        });
    });
    pool.shutdown();
    let mut pool = tarnished(1);
    group.bench_function("tarnish", |bencher| {
        bencher.iter(|| {
            drop(pool.call(Order::Die));
            pool.call(Order::Nothing).unwrap();
        });
    });
    group.finish();
}

fn end_process() {
    std::process::abort()
}

fn tarnished(workers: usize) -> tarnish::ProcessPool<Tarnished> {
    tarnish::ProcessPool::new(NonZeroUsize::new(workers).unwrap()).unwrap()
}
