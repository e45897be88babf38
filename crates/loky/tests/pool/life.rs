//! The life of a pool: tasks, sizes, and every way to its end.

use loky::{Error, ProcessPoolExecutor, TaskState};

use crate::Test;
use crate::stage::{Gate, PATIENCE, Setting, end, is_alive, until, value};
use crate::tasks::{
    Kind, Record, add, checked, double, factorial, nothing, pid, same, swapped, wait_at,
};

pub const TESTS: &[Test] = &[
    ("tasks_of_every_form_give_their_values", every_form),
    ("a_task_is_still_a_function", still_a_function),
    ("a_thousand_tasks_give_their_values", a_thousand_tasks),
    ("several_threads_share_a_pool", several_threads),
    ("a_resize_takes_effect", resize),
    ("numbers_out_of_range_are_refused", out_of_range),
    ("shutdown_finishes_what_was_accepted", shutdown),
    ("shutdown_now_ends_what_is_unfinished", shutdown_now),
    ("shutdown_timeout_waits_no_longer", shutdown_timeout),
    ("close_waits_for_nothing", close),
    (
        "the_last_handle_ends_the_pool_and_not_its_tasks",
        last_handle,
    ),
    ("idle_workers_leave_and_come_back", idle),
    ("a_worker_is_replaced_after_its_tasks", tasks_per_worker),
    ("the_reusable_executor_is_reused", reusable),
];

fn every_form(setting: Setting) {
    let pool = setting.pool(1);
    value(&pool.submit(nothing::call()).unwrap());
    assert_eq!(value(&pool.submit(double::call(21)).unwrap()), 42);
    assert_eq!(value(&pool.submit(add::call(1, 2)).unwrap()), 3);
    assert_eq!(value(&pool.submit(factorial::call(10)).unwrap()), 3_628_800);
    let text = "text".to_owned();
    let found = value(
        &pool
            .submit(swapped::call((7, text.clone()), vec![1]))
            .unwrap(),
    );
    assert_eq!(found, (text, vec![1, 7]));
    for kind in [Kind::Plain, Kind::With(1, 'ä'), Kind::Named { on: true }] {
        let record = Record {
            name: "name".repeat(30_000),
            numbers: vec![i64::MIN, -1, 0, i64::MAX],
            kind,
            index: [("a".to_owned(), Some(0.5)), ("b".to_owned(), None)].into(),
        };
        assert_eq!(
            value(&pool.submit(same::call(record.clone())).unwrap()),
            record
        );
    }
    assert_eq!(value(&pool.submit(checked::call(1)).unwrap()), Ok(1));
    assert_eq!(
        value(&pool.submit(checked::call(-1)).unwrap()),
        Err("-1 is negative".to_owned())
    );
    pool.shutdown().unwrap();
}

fn still_a_function(_: Setting) {
    assert_eq!(double(4), 8);
    assert_eq!([1, 2].map(double), [2, 4]);
}

fn a_thousand_tasks(setting: Setting) {
    let pool = setting.pool(3);
    let futures: Vec<_> = (0..1000)
        .map(|x| (x, pool.submit(double::call(x)).unwrap()))
        .collect();
    for (x, future) in futures {
        assert_eq!(value(&future), 2 * x);
    }
    pool.shutdown().unwrap();
}

fn several_threads(setting: Setting) {
    let pool = setting.pool(2);
    std::thread::scope(|scope| {
        for start in [0, 1000, 2000, 3000] {
            let pool = pool.clone();
            scope.spawn(move || {
                for x in start..start + 100 {
                    assert_eq!(value(&pool.submit(double::call(x)).unwrap()), 2 * x);
                }
            });
        }
    });
    pool.shutdown().unwrap();
}

fn resize(setting: Setting) {
    let pool = setting.pool(1);
    value(&pool.submit(nothing::call()).unwrap());
    for workers in [3, 1, 2] {
        pool.resize(workers).unwrap();
        until(|| (pool.workers().len() == workers).then_some(()));
    }
    pool.shutdown().unwrap();
}

fn out_of_range(setting: Setting) {
    let refused = setting.builder(0).build();
    assert!(matches!(
        refused,
        Err(Error::Config {
            name: "workers",
            ..
        })
    ));
    let pool = setting.pool(1);
    assert!(matches!(pool.resize(0), Err(Error::Config { .. })));
    pool.shutdown().unwrap();
}

fn shutdown(setting: Setting) {
    let pool = setting.pool(2);
    let futures: Vec<_> = (0..50)
        .map(|x| pool.submit(double::call(x)).unwrap())
        .collect();
    pool.shutdown().unwrap();
    for (x, future) in (0..50).zip(&futures) {
        assert_eq!(future.state(), TaskState::Finished);
        assert_eq!(value(future), 2 * x);
    }
    assert!(matches!(pool.submit(double::call(1)), Err(Error::Shutdown)));
    assert!(!pool.is_broken());
    pool.shutdown().unwrap();
}

fn shutdown_now(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let running = pool.submit(wait_at::call(gate.name())).unwrap();
    let waiting = pool.submit(double::call(1)).unwrap();
    let arrived = gate.arrival();
    pool.shutdown_now().unwrap();
    assert!(!is_alive(arrived.pid));
    assert!(matches!(end(&running), Err(Error::Shutdown)));
    assert!(matches!(end(&waiting), Err(Error::Shutdown)));
}

fn shutdown_timeout(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let future = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    assert!(!pool.shutdown_timeout(std::time::Duration::ZERO).unwrap());
    drop(arrived);
    assert!(pool.shutdown_timeout(PATIENCE).unwrap());
    value(&future);
}

fn close(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let future = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    pool.close().unwrap();
    assert!(matches!(pool.submit(double::call(1)), Err(Error::Shutdown)));
    assert!(!future.is_done());
    drop(arrived);
    value(&future);
    pool.shutdown().unwrap();
}

fn last_handle(setting: Setting) {
    let pool = setting.pool(2);
    let second = pool.clone();
    drop(pool);
    let gate = Gate::new();
    let running = second.submit(wait_at::call(gate.name())).unwrap();
    let waiting: Vec<_> = (0..10)
        .map(|x| second.submit(double::call(x)).unwrap())
        .collect();
    let arrived = gate.arrival();
    drop(second);
    drop(arrived);
    value(&running);
    for (x, future) in (0..10).zip(&waiting) {
        assert_eq!(value(future), 2 * x);
    }
}

fn idle(setting: Setting) {
    let pool = setting
        .builder(2)
        .idle_timeout(std::time::Duration::from_millis(1))
        .build()
        .unwrap();
    for _ in 0..3 {
        let process = value(&pool.submit(pid::call()).unwrap());
        until(|| pool.workers().is_empty().then_some(()));
        assert!(!is_alive(process));
    }
    assert!(!pool.is_broken());
    pool.shutdown().unwrap();
}

fn tasks_per_worker(setting: Setting) {
    let pool = setting.builder(1).tasks_per_worker(2).build().unwrap();
    let pids: Vec<i32> = (0..6)
        .map(|_| value(&pool.submit(pid::call()).unwrap()))
        .collect();
    assert_eq!(pids[0], pids[1]);
    assert_eq!(pids[2], pids[3]);
    assert_ne!(pids[1], pids[2]);
    assert_ne!(pids[3], pids[4]);
    pool.shutdown().unwrap();
}

fn reusable(setting: Setting) {
    let like = |workers: usize| setting.builder(workers).reuse().unwrap();
    let pids = |pool: &ProcessPoolExecutor| {
        value(&pool.submit(nothing::call()).unwrap());
        pool.workers()
    };
    let first = like(1);
    let workers = pids(&first);
    assert_eq!(pids(&like(1)), workers, "the same pool");
    let larger = like(2);
    value(&larger.submit(nothing::call()).unwrap());
    until(|| (larger.workers().len() == 2).then_some(()));
    assert!(larger.workers().contains(&workers[0]), "it was resized");
    larger.shutdown().unwrap();
    let second = like(2);
    assert!(!pids(&second).contains(&workers[0]), "it was replaced");
    let other = setting.builder(2).env("LOKY_TEST", "1").reuse().unwrap();
    value(&other.submit(nothing::call()).unwrap());
    second.shutdown().unwrap();
    other.shutdown().unwrap();
}
