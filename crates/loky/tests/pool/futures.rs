//! A future: waited for, awaited, cancelled, asked.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loky::{Error, ProcessPoolExecutor, TaskFuture, TaskState};

use crate::Test;
use crate::stage::{Gate, PATIENCE, Setting, end, is_alive, until, value};
use crate::tasks::{double, wait_at};

pub const TESTS: &[Test] = &[
    ("a_wait_ends_at_its_deadline_and_the_task_goes_on", deadline),
    ("a_result_can_be_asked_for_twice", twice),
    ("a_future_can_be_awaited", awaited),
    ("the_last_waker_is_woken", last_waker),
    ("a_task_that_has_not_begun_is_cancelled", cancelled),
    ("a_task_that_has_begun_is_not_cancelled", not_cancelled),
    ("a_task_that_has_begun_is_cancelled_by_force", by_force),
    ("a_state_is_told", states),
    ("several_threads_wait_for_one_result", several_waiters),
    ("a_waker_may_use_the_pool", waker_uses_the_pool),
    (
        "a_thread_that_waits_finds_the_result_itself",
        found_by_waiter,
    ),
    ("a_thread_that_has_no_time_does_not_look", no_time_to_look),
];

fn deadline(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let future = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    let late = future.wait_timeout(Duration::from_millis(1));
    assert!(matches!(late, Err(Error::WaitTimeout)));
    assert_eq!(future.state(), TaskState::Running);
    drop(arrived);
    value(&future);
    pool.shutdown().unwrap();
}

fn twice(setting: Setting) {
    let pool = setting.pool(1);
    let future = pool.submit(double::call(1)).unwrap();
    assert_eq!((value(&future), value(&future)), (2, 2));
    pool.shutdown().unwrap();
}

/// Tells a channel that it was woken.
struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.send(()).unwrap();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let (sender, receiver) = channel();
    let waker = Waker::from(Arc::new(Bell(sender)));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        receiver.recv_timeout(PATIENCE).unwrap();
    }
}

fn awaited(setting: Setting) {
    let pool = setting.pool(2);
    let sum = block_on(async {
        let mut sum = 0;
        for x in 0..20 {
            sum += pool.submit(double::call(x))?.await?;
        }
        Ok::<u64, Error>(sum)
    });
    assert_eq!(sum.unwrap(), 380);
    let gate = Gate::new();
    let future = pool.submit(wait_at::call(gate.name())).unwrap();
    let waiting = std::thread::spawn(move || block_on(future));
    let arrived = gate.arrival();
    let pid = arrived.pid;
    drop(arrived);
    assert_eq!(waiting.join().unwrap().unwrap(), pid);
    pool.shutdown().unwrap();
}

fn last_waker(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let mut future = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    let (first, first_rung) = channel();
    let (last, last_rung) = channel();
    for sender in [first, last] {
        let waker = Waker::from(Arc::new(Bell(sender)));
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    drop(arrived);
    last_rung.recv_timeout(PATIENCE).unwrap();
    assert!(first_rung.try_recv().is_err());
    assert!(future.is_done());
    pool.shutdown().unwrap();
}

fn cancelled(setting: Setting) {
    let pool = setting.pool(1);
    let (gate, never) = (Gate::new(), Gate::new());
    let running = pool.submit(wait_at::call(gate.name())).unwrap();
    let waiting = pool.submit(wait_at::call(never.name())).unwrap();
    let arrived = gate.arrival();
    assert!(waiting.cancel());
    assert!(waiting.cancel(), "it stays cancelled");
    assert_eq!(waiting.state(), TaskState::Cancelled);
    assert!(matches!(end(&waiting), Err(Error::Cancelled)));
    drop(arrived);
    value(&running);
    pool.shutdown().unwrap();
}

fn not_cancelled(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let running = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    assert!(!running.cancel());
    drop(arrived);
    value(&running);
    assert!(!running.cancel(), "it has ended");
    pool.shutdown().unwrap();
}

fn by_force(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let running = pool.submit(wait_at::call(gate.name())).unwrap();
    let next = pool.submit(double::call(1)).unwrap();
    let arrived = gate.arrival();
    assert!(running.cancel_by_force());
    assert!(matches!(end(&running), Err(Error::Cancelled)));
    assert_eq!(running.state(), TaskState::Cancelled);
    assert_eq!(value(&next), 2, "the others go on");
    assert!(!is_alive(arrived.pid));
    assert!(!running.cancel_by_force(), "it has ended");
    assert!(!pool.is_broken());
    pool.shutdown().unwrap();
}

fn states(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let running = pool.submit(wait_at::call(gate.name())).unwrap();
    let waiting = pool.submit(double::call(1)).unwrap();
    let arrived = gate.arrival();
    assert_eq!(running.state(), TaskState::Running);
    assert_eq!(waiting.state(), TaskState::Pending);
    drop(arrived);
    value(&waiting);
    assert_eq!(running.state(), TaskState::Finished);
    assert_eq!(running.task(), "pool::tasks::wait_at");
    pool.shutdown().unwrap();
}

fn several_waiters(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let future: TaskFuture<i32> = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..4).map(|_| scope.spawn(|| value(&future))).collect();
        let pid = arrived.pid;
        drop(arrived);
        for wait in waits {
            assert_eq!(wait.join().unwrap(), pid);
        }
    });
    pool.shutdown().unwrap();
}

/// Submits a task when it is woken, which would wait for ever under the pool's lock.
struct Submits(loky::ProcessPoolExecutor, Sender<TaskFuture<u64>>);

impl Wake for Submits {
    fn wake(self: Arc<Self>) {
        self.1
            .send(self.0.submit(double::call(4)).unwrap())
            .unwrap();
    }
}

fn waker_uses_the_pool(setting: Setting) {
    let pool = setting.pool(1);
    let gate = Gate::new();
    let mut future = pool.submit(wait_at::call(gate.name())).unwrap();
    let arrived = gate.arrival();
    let (sender, submitted) = channel();
    let waker = Waker::from(Arc::new(Submits(pool.clone(), sender)));
    assert!(
        Pin::new(&mut future)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(arrived);
    assert_eq!(value(&submitted.recv_timeout(PATIENCE).unwrap()), 8);
    pool.shutdown().unwrap();
}

/// Whether somebody looks depends on the load of the machine, so tasks follow until somebody did.
fn looks(pool: &ProcessPoolExecutor, wait: impl Fn(&TaskFuture<u64>) -> u64) {
    let found = until(|| {
        let future = pool.submit(double::call(21)).unwrap();
        assert_eq!(wait(&future), 42);
        assert_eq!(value(&future), 42, "it stays");
        let found = pool.statistics().found_by_waiter;
        (found > 0).then_some(found)
    });
    assert_eq!(found, 1, "each is counted once");
}

fn found_by_waiter(setting: Setting) {
    if std::thread::available_parallelism().is_ok_and(|count| count.get() == 1) {
        return; // Whoever looks would take the processor from the worker.
    }
    let (first, second) = (setting.pool(1), setting.pool(1));
    looks(&first, |future| future.wait().unwrap());
    looks(&second, value);
    first.shutdown().unwrap();
    second.shutdown().unwrap();
}

fn no_time_to_look(setting: Setting) {
    let pool = setting.pool(1);
    for x in 0..200 {
        let future = pool.submit(double::call(x)).unwrap();
        until(|| match future.wait_timeout(Duration::ZERO) {
            Err(Error::WaitTimeout) => None,
            result => Some(result.unwrap()),
        });
    }
    assert_eq!(pool.statistics().found_by_waiter, 0);
    pool.shutdown().unwrap();
}
