"""What a pool says of its workers' ends beside the outcomes of tasks: stacks and warnings."""

import os

from . import _state, _warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._pool_options import PoolOptions

_STOPPED_WITH_WORK = (
    "A worker stopped while some jobs were given to the executor. This can be caused by a too short "
    "worker timeout or by a memory leak."
)
_GREW = (
    "A worker was restarted because its memory had grown by more than {limit:.0f} MB since its "
    "first task; look for a memory leak in the tasks."
)


class Mourner:
    """Says each thing as often as it should be said. Of the manager thread alone."""

    def __init__(self, options: "PoolOptions") -> None:
        self._options = options
        self._warned_of_growth = False
        self._stack_shown_of: int | None = None

    def show_stack(self, facts: "Mapping[str, Any]") -> None:
        """Write the fault handler's text where the worker would have written it, once a death.

        A death is told once for each thing that it costs, and then once by itself.
        """
        stack = facts.get("python_stack")
        # Where this pool ended a task, the stack was asked for, and is told with the task's error.
        asked_for = facts.get("cause") in ("timeout", "cancelled")
        if not stack or asked_for or self._stack_shown_of == facts.get("pid"):
            return
        self._stack_shown_of = facts.get("pid")
        try:
            os.write(2, stack.encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # There is no standard error; the stack is in the report, too.

    def buried(self, facts: "Mapping[str, Any]") -> None:
        """The worker is over, and everything that its end has cost has been told."""
        self.show_stack(facts)
        self._stack_shown_of = None

    def stopped_with_work(self) -> None:
        """Warn that a worker left although there was something to do."""
        _warn(_STOPPED_WITH_WORK)

    def grew(self) -> None:
        """Warn, once, that a worker was replaced because it had grown."""
        if self._warned_of_growth:
            return
        self._warned_of_growth = True
        limit_bytes = _state.memory_growth_limit_bytes(
            str((self._options.environment or {}).get("LOKY_MAX_MEMORY_LEAK_SIZE", ""))
            or os.environ.get("LOKY_MAX_MEMORY_LEAK_SIZE")
        )
        _warn(_GREW.format(limit=limit_bytes / 1e6))


def _warn(text: str) -> None:
    try:
        _warnings.warn(text, "loky.process_executor")
    except UserWarning:
        pass  # A filter that turns warnings into errors must not break the pool.


def prepare() -> None:
    """Have at hand what describes workers, tells of ends and goes with tasks, while the helper starts.

    Later there may be no descriptor left to read it with. Not in another thread: two threads that
    import what depends on each other may see each other's unfinished modules.
    """
    try:
        from . import _broken, _report, _soft_limit, _surroundings, _timeouts  # noqa: F401
    except OSError:
        pass  # There is no descriptor already.
