"""Stand-ins for the two queues that loky keeps on an executor: programs ask them for their state.

Nothing travels through them; the engine has the tasks and the answers.
"""

import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .process_executor import ProcessPoolExecutor


class ChannelView:
    """What is to be seen of one direction of an executor's traffic."""

    def __init__(self, executor: "ProcessPoolExecutor", *, tasks: bool) -> None:
        self._executor = weakref.ref(executor)
        self._tasks = tasks

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
