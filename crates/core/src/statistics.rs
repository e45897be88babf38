//! What a pool has counted in its life.
//!
//! Owner: the pool, which only adds. The laws in `invariants` compare the counts with the state.

/// Counts since the pool was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Tasks that were submitted, the refused ones included.
    pub submitted: u64,
    /// Tasks that ended because a worker answered.
    pub answered: u64,
    /// Tasks that ended as cancelled.
    pub cancelled: u64,
    /// Tasks that ended with the death of their worker.
    pub died: u64,
    /// Tasks that ended because their time had run out.
    pub timed_out: u64,
    /// Tasks that had not started when they should have.
    pub expired: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
    /// Tasks that ended because the pool broke or was broken.
    pub broken: u64,
    /// Tasks that ended because the pool was shut down.
    pub shut_down: u64,
    /// Times that a task was handed to a worker.
    pub sent: u64,
    /// Times that a task left a worker's hands, for whatever cause.
    pub released: u64,
    /// Times that a task went back into the queue.
    pub requeued: u64,
    /// Tasks that were being withdrawn.
    pub revokes: u64,
    /// Interrupts that were ordered.
    pub interrupts: u64,
    /// Withdrawals that succeeded.
    pub revokes_granted: u64,
    /// Withdrawals that came too late.
    pub revokes_refused: u64,
    /// Withdrawals that something else made pointless before they were answered.
    pub revokes_overtaken: u64,
    /// Answers of workers that were dropped: late, foreign, or from one that is not heard any more.
    pub replies_dropped: u64,
    /// Other events that named nobody or came too late to matter.
    pub events_dropped: u64,
    /// Workers that were ordered.
    pub spawns_ordered: u64,
    /// Orders that were answered by a process.
    pub spawned: u64,
    /// Orders that failed.
    pub spawns_failed: u64,
    /// Orders that were given up because nobody would answer them.
    pub spawns_abandoned: u64,
    /// Orders that filled the place of a worker that was lost.
    pub respawned: u64,
    /// Workers that left, for whatever reason, with nothing started.
    pub retired: u64,
    /// Those of them that were asked because they idled.
    pub retired_idle: u64,
    /// Those of them that left to be replaced by a fresh one: for memory or after enough tasks.
    pub recycled: u64,
    /// Workers that the pool killed, at its end or with a task that was to end.
    pub workers_killed: u64,
    /// Workers that died.
    pub workers_died: u64,
    /// Launchers that died.
    pub launchers_died: u64,
}

impl Statistics {
    /// Tasks that have ended.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.answered
            + self.cancelled
            + self.died
            + self.timed_out
            + self.expired
            + self.broken
            + self.shut_down
    }
}
