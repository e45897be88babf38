//! The lines of small chronicles, and chronicles that are in order, to go wrong after.

use loky_core::{Attempt, Departure, Effect, Event, Outcome, ShutdownMode, TaskId, WorkerId};

use super::super::Line;

pub const W1: WorkerId = WorkerId(1);
pub const W2: WorkerId = WorkerId(2);
pub const T1: TaskId = TaskId(1);
pub const T2: TaskId = TaskId(2);
pub const FIRST: Attempt = Attempt(1);

pub fn told(event: Event) -> Line {
    Line::Told(10, event)
}

pub fn ordered(effect: Effect) -> Line {
    Line::Ordered(effect)
}

pub fn rest(alive: usize, unfinished: usize) -> Line {
    Line::Rest { alive, unfinished }
}

pub fn submitted(task: TaskId) -> Line {
    told(Event::TaskSubmitted {
        task,
        options: None,
    })
}

pub fn spawn(worker: WorkerId, index: u32) -> Line {
    ordered(Effect::SpawnWorker { worker, index })
}

pub fn send(worker: WorkerId, task: TaskId, attempt: u32) -> Line {
    ordered(Effect::SendTask {
        worker,
        task,
        attempt: Attempt(attempt),
    })
}

pub fn complete(task: TaskId, outcome: Outcome) -> Line {
    ordered(Effect::CompleteTask { task, outcome })
}

pub fn started(task: TaskId, worker: WorkerId) -> Line {
    Line::Started {
        task,
        worker,
        attempt: FIRST,
        at_ns: 10,
    }
}

pub fn finished(worker: WorkerId, task: TaskId, attempt: u32) -> Line {
    told(Event::TaskFinished {
        worker,
        task,
        attempt: Attempt(attempt),
        run_ns: 1,
        retry_wanted: false,
    })
}

pub fn exited(worker: WorkerId, started: &[TaskId]) -> Line {
    told(Event::WorkerExited {
        worker,
        started: started.to_vec(),
    })
}

pub fn gone(worker: WorkerId, departure: Departure) -> Line {
    ordered(Effect::WorkerGone { worker, departure })
}

pub fn shutdown(mode: ShutdownMode) -> Line {
    told(Event::ShutdownRequested { mode })
}

/// One worker, ready, to which the one task has been sent.
pub fn prologue() -> Vec<Line> {
    vec![
        submitted(T1),
        spawn(W1, 0),
        rest(1, 1),
        told(Event::WorkerSpawned { worker: W1 }),
        rest(1, 1),
        told(Event::WorkerReady { worker: W1 }),
        send(W1, T1, 1),
        rest(1, 1),
    ]
}

/// The same, and the task runs.
pub fn running() -> Vec<Line> {
    let mut lines = prologue();
    lines.push(started(T1, W1));
    lines
}

/// One worker with one task, whose owner does not want it any more.
pub fn cancelling() -> Vec<Line> {
    let mut lines = prologue();
    lines.push(told(Event::CancelRequested {
        task: T1,
        force_grace_ns: None,
    }));
    lines
}

/// Two workers, of which one holds two tasks and the other none.
pub fn loaded_and_idle() -> Vec<Line> {
    let mut lines = answered();
    lines.extend([
        submitted(T2),
        send(W1, T2, 1),
        submitted(TaskId(3)),
        send(W1, TaskId(3), 1),
        rest(1, 2),
        spawn(W2, 1),
        told(Event::WorkerReady { worker: W2 }),
    ]);
    lines
}

/// One worker that has run and answered the one task.
pub fn answered() -> Vec<Line> {
    let mut lines = running();
    lines.extend([
        finished(W1, T1, 1),
        complete(T1, Outcome::Answered { worker: W1 }),
        rest(1, 0),
    ]);
    lines
}

pub fn with(mut lines: Vec<Line>, more: impl IntoIterator<Item = Line>) -> Vec<Line> {
    lines.extend(more);
    lines
}

/// A worker that becomes idle, up to before the rest.
pub fn prologue_of_idle() -> Vec<Line> {
    let mut lines = answered();
    lines.pop();
    lines
}
