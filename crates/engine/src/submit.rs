//! Tasks on their way in, and out again before they have begun.

use std::sync::Arc;

use loky_core::event::Event;
use loky_core::ids::TaskId;
use loky_core::options::TaskOptions;
use loky_sys::clock;

use crate::copies::held_of;
use crate::error::EngineError;
use crate::pool::{Shared, start_loop};
use crate::recognise::Draft;
use crate::state::{State, Watched};

/// Accepts a task, or lets go of all that it needed.
pub(crate) fn accept(
    shared: &Arc<Shared>,
    state: &mut State,
    draft: Draft,
    options: Option<Box<TaskOptions>>,
) -> Result<TaskId, EngineError> {
    let mut entry = draft.settle(&mut state.segments);
    if let Err(error) = expect_open(shared, state) {
        state.let_go_of(&mut entry);
        return Err(error);
    }
    state.task_last += 1;
    let task = TaskId(state.task_last);
    if let Some(options) = &options {
        state.limited_tasks += usize::from(options.memory_limit_bytes.is_some());
        entry.watched = Some(Box::new(Watched {
            submitted_ns: clock::monotonic_ns(),
            memory_limit_bytes: options.memory_limit_bytes,
            history: Vec::new(),
            seen: None,
        }));
    }
    for buffer in held_of(&entry.buffers) {
        state.waiting.add(task, buffer);
    }
    state.tasks.insert(task, entry);
    state.feed(Event::TaskSubmitted { task, options });
    Ok(task)
}

/// Tasks are accepted, and the loop runs.
fn expect_open(shared: &Arc<Shared>, state: &mut State) -> Result<(), EngineError> {
    if let Some(reason) = state.core.broken() {
        return Err(EngineError::Broken(reason));
    }
    if !state.core.accepts() {
        return Err(EngineError::ShutDown);
    }
    start_loop(shared, state)
}

pub(crate) fn withdraw(state: &mut State, task: TaskId) -> bool {
    if !state.tasks.contains_key(&task) {
        return false;
    }
    state.withdrawing = Some(task);
    state.feed(Event::CancelRequested {
        task,
        force_grace_ns: None,
    });
    state.withdrawing.take().is_none()
}
