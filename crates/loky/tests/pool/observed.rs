//! What can be seen of a pool that works.

use std::sync::mpsc::channel;
use std::time::Duration;

use loky::{RunState, SlowTask, TaskOptions};

use crate::Test;
use crate::stage::{Gate, PATIENCE, Setting, end, until, value};
use crate::tasks::{computes_for_ever, double, exits, wait_at};

pub const TESTS: &[Test] = &[
    ("the_state_of_a_worker_is_told", worker_state),
    ("a_slow_task_is_told_of_once", slow),
    ("a_listener_that_panics_costs_nothing", rude_listener),
    ("a_pool_counts", statistics),
    ("a_pool_can_be_warmed_up", warm_up),
];

fn worker_state(setting: Setting) {
    let (pool, gate) = (setting.pool(2), Gate::new());
    let waiting = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    let computing = pool.submit(computes_for_ever::call()).unwrap();
    let state = until(|| {
        let state = waiting.worker_state().unwrap();
        (state.state == RunState::Waiting).then_some(state)
    });
    assert_eq!(state.process.pid, arrived.pid);
    assert!(state.threads >= 1 && state.resident_bytes > 0, "{state:?}");
    let busy = until(|| {
        let state = computing.worker_state()?;
        (state.cpu_time > Duration::ZERO).then_some(state)
    });
    assert_eq!(busy.state, RunState::Computing);
    assert_ne!(busy.process, state.process);
    drop(arrived);
    value(&waiting);
    assert_eq!(waiting.worker_state(), None);
    assert!(computing.cancel_by_force());
    assert!(end(&computing).is_err());
    pool.shutdown().unwrap();
}

fn slow(setting: Setting) {
    let (sender, receiver) = channel();
    let listener = move |slow: &SlowTask| sender.send(slow.clone()).unwrap();
    let pool = setting.builder(1).on_slow(listener).build().unwrap();
    let gate = Gate::new();
    let options = TaskOptions::new().slow_after(Duration::from_millis(50));
    let watched = pool.options(options.label("slow one"));
    let future = watched.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    let told = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told.task, "pool::tasks::wait_at");
    assert_eq!(told.label.as_deref(), Some("slow one"));
    assert_eq!(told.pid, arrived.pid);
    assert!(told.running >= Duration::from_millis(50));
    assert!(told.doing.starts_with("it was waiting"), "{told}");
    assert!(told.to_string().contains("wait_at (slow one) has been"));
    drop(arrived);
    value(&future);
    value(&watched.submit(double::call(1)).unwrap());
    pool.shutdown().unwrap();
    assert!(receiver.try_recv().is_err());
}

fn rude_listener(setting: Setting) {
    let (sender, receiver) = channel();
    let listener = move |slow: &SlowTask| {
        sender.send(()).unwrap();
        panic!("{slow} is none of my business");
    };
    let pool = setting.builder(1).on_slow(listener).build().unwrap();
    let options = TaskOptions::new().slow_after(Duration::from_millis(20));
    for _ in 0..2 {
        let gate = Gate::new();
        let watched = pool.options(options.clone());
        let future = watched.submit(wait_at::call(gate.name())).unwrap();
        let arrived = gate.arrival();
        receiver.recv_timeout(PATIENCE).unwrap();
        drop(arrived);
        value(&future);
    }
    pool.shutdown().unwrap();
}

fn statistics(setting: Setting) {
    let (pool, gate) = (setting.pool(1), Gate::new());
    for x in 0..3 {
        value(&pool.submit(double::call(x)).unwrap());
    }
    assert!(end(&pool.submit(exits::call(1)).unwrap()).is_err());
    let running = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    let waiting = pool.submit(double::call(1)).unwrap();
    assert!(waiting.cancel());
    let counts = pool.statistics();
    assert_eq!((counts.submitted, counts.answered), (6, 3));
    assert_eq!((counts.died, counts.cancelled), (1, 1));
    assert_eq!((counts.workers_started, counts.workers_died), (2, 1));
    assert_eq!(counts.unfinished(), 1);
    drop(arrived);
    value(&running);
    assert_eq!(pool.statistics().unfinished(), 0);
    pool.shutdown().unwrap();
}

fn warm_up(setting: Setting) {
    let pool = setting.pool(1);
    pool.warm_up().unwrap();
    assert!(loky_sys::process::has_children().unwrap());
    assert!(pool.workers().is_empty());
    assert_eq!(value(&pool.submit(double::call(1)).unwrap()), 2);
    pool.shutdown().unwrap();
}
