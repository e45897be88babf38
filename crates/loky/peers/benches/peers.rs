//! What a task costs here, with what would be taken instead, and what the machine lets nobody undercut.
//!
//! Each peer does what its own examples do. Where one has no way to do something (many tasks at once,
//! a process that outlives its task, messages of more than a kibibyte) it is not in that group. Nobody
//! has a process before his turn, nor after it.
//!
//! Run it on a quiet machine: `make bench-rust`.

mod machine;

use std::num::NonZeroUsize;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use loky::{Bytes, ProcessPoolExecutor};
use serde::{Deserialize, Serialize};

use machine::{Echo, Pair, Threads, Wait};

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
            Order::Die => std::process::abort(),
        }
    }
}

#[process_fun::process]
pub fn forked_nothing() -> u8 {
    0
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() {
    loky::init();
    machine::init();
    procspawn::init();
    tarnish::main::<Tarnished>(bench);
}

fn bench() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("round_trip");
    round_trip(&mut group);
    round_trip_without_pool(&mut group);
    group.finish();
    let mut group = criterion.benchmark_group("throughput");
    throughput(&mut group);
    group.finish();
    let mut group = criterion.benchmark_group("64_MiB_both_ways");
    // One after the other: a sample is not filled up with many of them.
    group.sampling_mode(SamplingMode::Flat);
    large(&mut group);
    group.finish();
    let mut group = criterion.benchmark_group("crash_and_next");
    recovery(&mut group);
    group.finish();
    criterion.final_summary();
}

/// One empty task after the other.
fn round_trip(group: &mut Group<'_>) {
    let mut pool = None;
    group.bench_function("loky", |bencher| {
        let pool = pool.get_or_insert_with(|| ours(2));
        bencher.iter(|| pool.submit(nothing::call()).unwrap().wait().unwrap());
    });
    if let Some(pool) = pool {
        pool.shutdown().unwrap();
    }
    let mut pool = None;
    group.bench_function("procspawn", |bencher| {
        let pool = pool.get_or_insert_with(|| procspawn::Pool::new(2).unwrap());
        bencher.iter(|| procspawn::spawn!(in pool, () || ()).join().unwrap());
    });
    if let Some(pool) = pool {
        pool.shutdown();
    }
    let mut pool = None;
    group.bench_function("tarnish", |bencher| {
        let pool = pool.get_or_insert_with(|| tarnished(2));
        bencher.iter(|| pool.call(Order::Nothing).unwrap());
    });
}

/// The same without a pool: floors, and a process for each.
fn round_trip_without_pool(group: &mut Group<'_>) {
    let waits = [
        ("floor: memory, both look without end", Wait::Spin),
        ("floor: memory, both sleep and are woken", Wait::Sleep),
    ];
    for (name, wait) in waits {
        let mut pair = None;
        group.bench_function(name, |bencher| {
            let pair = pair.get_or_insert_with(|| Pair::start(wait));
            bencher.iter(|| pair.round_trip());
        });
    }
    let mut echo = None;
    group.bench_function("floor: a socket", |bencher| {
        let echo = echo.get_or_insert_with(Echo::start);
        bencher.iter(|| echo.round_trip());
    });
    drop(echo);
    // It waits for none of its processes, so there are as many dead ones as it has had tasks.
    group.bench_function("process-fun, a fork a task", |bencher| {
        bencher.iter(|| forked_nothing_process().unwrap().wait().unwrap());
    });
    group.bench_function("a process a task", |bencher| bencher.iter(machine::process));
}

/// Many empty tasks on two workers.
fn throughput(group: &mut Group<'_>) {
    group.throughput(Throughput::Elements(MANY));
    let mut pool = None;
    for ahead in [64, 1024] {
        group.bench_function(
            BenchmarkId::new("loky, 20,000, map ahead by", ahead),
            |bencher| {
                let pool = pool.get_or_insert_with(|| ours(2));
                bencher.iter(|| {
                    let calls = (0..MANY).map(|_| nothing::call());
                    let mut results = pool.map(calls).look_ahead(ahead);
                    assert!(results.all(|result| result.is_ok()));
                });
            },
        );
    }
    if let Some(pool) = pool {
        pool.shutdown().unwrap();
    }
    let mut threads = None;
    group.bench_function("floor: a thread pool, 20,000", |bencher| {
        let threads = threads.get_or_insert_with(|| Threads::start(2));
        bencher.iter(|| threads.many(MANY));
    });
    // It has descriptors for each task that waits.
    group.throughput(Throughput::Elements(FEW));
    let mut pool = None;
    group.bench_function("procspawn, 200 at once", |bencher| {
        let pool = pool.get_or_insert_with(|| procspawn::Pool::new(2).unwrap());
        bencher.iter(|| {
            let handles: Vec<_> = (0..FEW)
                .map(|_| procspawn::spawn!(in pool, () || ()))
                .collect();
            for handle in handles {
                handle.join().unwrap();
            }
        });
    });
    if let Some(pool) = pool {
        pool.shutdown();
    }
}

/// 64 MiB to a worker and back, others each time: bytes that are known would not be sent again.
fn large(group: &mut Group<'_>) {
    let mut count = 0;
    let mut fresh = || {
        count += 1;
        let mut bytes = vec![7; LARGE];
        bytes
            .iter_mut()
            .step_by(4096)
            .for_each(|byte| *byte = count);
        bytes
    };
    let mut pool = None;
    group.bench_function("loky", |bencher| {
        let pool = pool.get_or_insert_with(|| ours(1));
        let back = |bytes| {
            let back = pool.submit(echo::call(bytes)).unwrap().wait().unwrap();
            assert_eq!((back.len(), back[LARGE - 1]), (LARGE, 7));
            back
        };
        bencher.iter_batched(|| Bytes::from(fresh()), back, BatchSize::PerIteration);
    });
    if let Some(pool) = pool {
        pool.shutdown().unwrap();
    }
    let mut pool = None;
    group.bench_function("procspawn", |bencher| {
        let pool = pool.get_or_insert_with(|| procspawn::Pool::new(1).unwrap());
        let back = |bytes| {
            let handle = procspawn::spawn!(in pool, (bytes) || bytes);
            handle.join().unwrap()
        };
        let bytes = || serde_bytes::ByteBuf::from(fresh());
        bencher.iter_batched(bytes, back, BatchSize::PerIteration);
    });
    if let Some(pool) = pool {
        pool.shutdown();
    }
    group.bench_function("floor: two copies into memory that is there", |bencher| {
        let mut there = vec![1; LARGE];
        let mut back = vec![1; LARGE];
        let copies = |bytes: Vec<u8>| {
            there.copy_from_slice(&bytes);
            back.copy_from_slice(std::hint::black_box(&there));
            bytes
        };
        bencher.iter_batched(&mut fresh, copies, BatchSize::PerIteration);
    });
    group.bench_function("two copies into fresh memory", |bencher| {
        let copies = |bytes: Vec<u8>| {
            let there = std::hint::black_box(bytes.clone());
            (bytes, there.clone(), there)
        };
        bencher.iter_batched(&mut fresh, copies, BatchSize::PerIteration);
    });
}

/// A task that ends its process, and then one that does not.
fn recovery(group: &mut Group<'_>) {
    let mut pool = None;
    group.bench_function("loky", |bencher| {
        let pool = pool.get_or_insert_with(|| ours(1));
        bencher.iter(|| {
            pool.submit(dies::call()).unwrap().wait().unwrap_err();
            pool.submit(nothing::call()).unwrap().wait().unwrap();
        });
    });
    if let Some(pool) = pool {
        pool.shutdown().unwrap();
    }
    let mut pool = None;
    group.bench_function("procspawn", |bencher| {
        let pool = pool.get_or_insert_with(|| procspawn::Pool::new(1).unwrap());
        bencher.iter(|| {
            drop(procspawn::spawn!(in pool, () || end_process()).join());
            procspawn::spawn!(in pool, () || ()).join().unwrap();
        });
    });
    if let Some(pool) = pool {
        pool.shutdown();
    }
    let mut pool = None;
    group.bench_function("tarnish", |bencher| {
        let pool = pool.get_or_insert_with(|| tarnished(1));
        bencher.iter(|| {
            drop(pool.call(Order::Die));
            pool.call(Order::Nothing).unwrap();
        });
    });
}

fn end_process() {
    std::process::abort()
}

fn ours(workers: usize) -> ProcessPoolExecutor {
    ProcessPoolExecutor::new(workers).unwrap()
}

fn tarnished(workers: usize) -> tarnish::ProcessPool<Tarnished> {
    tarnish::ProcessPool::new(NonZeroUsize::new(workers).unwrap()).unwrap()
}
