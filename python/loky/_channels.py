"""Stand-ins for the two queues that loky keeps on an executor: programs ask them for their state.

Nothing travels through them; the engine has the tasks and the answers.
"""

import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .process_executor import ProcessPoolExecutor


class ChannelView:
    """What is to be seen of one direction of an executor's traffic."""

    def __init__(self, executor: "ProcessPoolExecutor", *, tasks: bool) -> None:
        self._executor = weakref.ref(executor)
        self._tasks = tasks
        self._running: list[Any] | None = None

    @property
    def running_work_items(self) -> "list[Any]":
        """Numbers of the tasks that workers have begun, or the list that somebody put in this place."""
        if self._running is not None:
            return self._running
        executor = self._executor()
        return [] if executor is None else executor._running_work_items

    @running_work_items.setter
    def running_work_items(self, items: "list[Any]") -> None:
        self._running = items

    def task_failed(self, task: object) -> None:
        """A task could not be sent: it is no longer among the running ones.

        Raises:
            Exception: whatever a list that somebody has put here makes of it. That is the end of the
                pool, as an error in the thread that feeds loky's workers is.
        """
        if self._running is not None:
            self._running.remove(task)

    def empty(self) -> bool:
        """For tasks: whether none waits for a worker. Answers are taken as they arrive."""
        executor = self._executor()
        if executor is None or not self._tasks:
            return True
        return len(executor._pending_work_items) <= len(executor._running_work_items)

    def join_thread(self) -> None:
        """Return at once: no thread writes tasks."""

    def close(self) -> None:
        """Nothing is open."""
