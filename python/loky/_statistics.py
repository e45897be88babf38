"""What a pool has done in its life, and how it stands now: `ProcessPoolExecutor.statistics()`."""

import dataclasses

# Dataclasses look for this module among the loaded ones, where they may find it half made.
import typing  # noqa: F401

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A pool at one moment. All counts begin with the executor and only grow, but for those of what is.

    Every task is in exactly one place: `tasks_submitted` is the sum of `tasks_finished`,
    `tasks_failed`, `tasks_cancelled`, `tasks_running` and `tasks_waiting`.

    Attributes:
        tasks_submitted: tasks that `submit` and `map` have taken; a chunk of `map` is one task.
        tasks_finished: tasks whose value has come.
        tasks_failed: tasks that ended with an error, whichever.
        tasks_cancelled: tasks that ended as cancelled. One that is cancelled by force counts once it
            has really ended, which may be later than its future says.
        tasks_retried: attempts that failed and were followed by another.
        tasks_running: tasks that a worker is executing now.
        tasks_waiting: tasks that are not over and not running now: in the queue, handed to a worker
            ahead of time, pausing before another attempt, or done with the answer still on its way.
        failures: the failed tasks by kind: "raised", "died", "timeout", "queue_timeout",
            "pool_broken", "shutdown", "undeliverable" (a resource was lacking for its bytes) and
            "unpicklable" (it never reached the pool). Kinds that did not occur are left out.
        workers_alive: worker processes that there are now.
        workers_started: worker processes that have been started.
        workers_lost: workers that ended when they should not have, by the cause that reports give;
            "start_timeout" for those that were not ready in time. Causes that did not occur are left out.
        workers_restarted: workers that were started in the place of a lost one.
        workers_idled_out: workers that left because they had nothing to do for `timeout` seconds.
        workers_recycled: workers that left to be replaced by a fresh one, after
            `max_tasks_per_child` tasks or because their memory had grown.
        starts_failed: attempts to start a worker that failed for lack of a resource.
        helpers_lost: deaths of the helper process that starts workers.
        replies_dropped: messages of workers that came too late or from nobody who was to be heard.
        shared_bytes_copied: bytes of large arguments that were copied into shared memory.
        shared_bytes_recognised: bytes of large arguments that were there already, so that they were not.
        shared_bytes_held: bytes of shared memory that tasks and workers hold now.
    """

    tasks_submitted: int = 0
    tasks_finished: int = 0
    tasks_failed: int = 0
    tasks_cancelled: int = 0
    tasks_retried: int = 0
    tasks_running: int = 0
    tasks_waiting: int = 0
    failures: "Mapping[str, int]" = dataclasses.field(default_factory=dict)
    workers_alive: int = 0
    workers_started: int = 0
    workers_lost: "Mapping[str, int]" = dataclasses.field(default_factory=dict)
    workers_restarted: int = 0
    workers_idled_out: int = 0
    workers_recycled: int = 0
    starts_failed: int = 0
    helpers_lost: int = 0
    replies_dropped: int = 0
    shared_bytes_copied: int = 0
    shared_bytes_recognised: int = 0
    shared_bytes_held: int = 0

    def as_dict(self) -> "dict[str, Any]":
        """The fields as plain values that can be written as JSON."""
        return dataclasses.asdict(self)


_KINDS = {
    "raised": "raised",
    "died": "died",
    "timed_out": "timeout",
    "expired": "queue_timeout",
    "broken": "pool_broken",
    "shut_down": "shutdown",
    "undeliverable": "undeliverable",
}
"""The failures by the engine's name for them."""


def from_counts(counts: "Mapping[str, Any]", unpicklable: int) -> PoolStatistics:
    """The statistics of a pool.

    Args:
        counts: what the engine has counted.
        unpicklable: tasks that could not be pickled, of which the engine has not heard.
    """
    ends: Mapping[str, int] = counts["ends"]
    failures = {kind: ends[name] for name, kind in _KINDS.items() if ends[name]}
    if unpicklable:
        failures["unpicklable"] = unpicklable
    return PoolStatistics(
        tasks_submitted=counts["accepted"] + unpicklable,
        tasks_finished=ends["values"],
        tasks_failed=sum(failures.values()),
        tasks_cancelled=ends["cancelled"],
        tasks_retried=counts["retried"],
        tasks_running=counts["running"],
        tasks_waiting=counts["unfinished"] - counts["running"],
        failures=failures,
        workers_alive=counts["workers"],
        workers_started=counts["spawned"],
        workers_lost=counts["lost"],
        workers_restarted=counts["respawned"],
        workers_idled_out=counts["retired_idle"],
        workers_recycled=counts["recycled"],
        starts_failed=counts["spawns_failed"],
        helpers_lost=counts["launchers_died"],
        replies_dropped=counts["replies_dropped"],
        shared_bytes_copied=counts["copied_bytes"],
        shared_bytes_recognised=counts["recognised_bytes"],
        shared_bytes_held=counts["shared_bytes"],
    )
