"""What may be asked for a single task: deadlines, retries, a label, its place in the queue.

Checked when it is given, so that a wrong value is an error of the line that has it. A task for which
nothing is asked has no options at all, and costs nothing.
"""

import math
import operator
import weakref

from . import _map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Literal, ParamSpec, TypedDict, TypeVar, Unpack

    from ._base import Future
    from .process_executor import ProcessPoolExecutor

    P = ParamSpec("P")
    T = TypeVar("T")

    RetryOn = type[BaseException] | tuple[type[BaseException], ...]

    class Defaults(TypedDict, total=False):
        """The options as arguments of an executor."""

        task_timeout: float | None
        queue_timeout: float | None
        retries: int
        retry_on: RetryOn
        label: str | None
        priority: int
        slow_after: float | None
        soft_memory_limit: int | str | None

    class Given(TypedDict, total=False):
        """The options as arguments of `executor.options`."""

        timeout: float | None
        queue_timeout: float | None
        retries: int
        retry_on: RetryOn
        label: str | None
        priority: int
        slow_after: float | None
        memory_limit: int | str | None
        soft_memory_limit: int | str | None

    NativeOptions = tuple[float | None, float | None, int, bool, int, float | None, int | None]

_RETRIES_MAX = 2**32 - 1
_PRIORITY_MAX = 2**31 - 1


class TaskOptions:
    """The options of a task, checked.

    Attributes:
        timeout_s: longest run of an attempt, from its start.
        queue_timeout_s: longest wait for the first start.
        retries: attempts that may follow one whose worker died.
        retry_on: exceptions after which an attempt is followed by another, too.
        label: what the task is called in reports and messages.
        priority: the higher goes first.
        slow_after_s: run time after which it is told of.
        memory_limit_bytes: what its worker may have while it runs.
        soft_memory_limit_bytes: what makes `MemoryError` in the task.
        native: the same for the engine; None where that has nothing to do.
    """

    __slots__ = (
        "label",
        "memory_limit_bytes",
        "native",
        "priority",
        "queue_timeout_s",
        "retries",
        "retry_on",
        "slow_after_s",
        "soft_memory_limit_bytes",
        "timeout_s",
    )

    def __init__(
        self,
        *,
        timeout: float | None = None,
        queue_timeout: float | None = None,
        retries: int = 0,
        retry_on: "RetryOn" = (),
        label: str | None = None,
        priority: int = 0,
        slow_after: float | None = None,
        memory_limit: int | str | None = None,
        soft_memory_limit: int | str | None = None,
        timeout_name: str = "timeout",
    ) -> None:
        self.timeout_s = check_seconds(timeout_name, timeout)
        self.queue_timeout_s = check_seconds("queue_timeout", queue_timeout)
        self.retries = _check_integer("retries", retries, 0, _RETRIES_MAX)
        self.retry_on = _check_exceptions(retry_on)
        self.label = _check_label(label)
        self.priority = _check_integer("priority", priority, -_PRIORITY_MAX - 1, _PRIORITY_MAX)
        self.slow_after_s = check_seconds("slow_after", slow_after)
        self.memory_limit_bytes = check_bytes("memory_limit", memory_limit)
        self.soft_memory_limit_bytes = check_bytes("soft_memory_limit", soft_memory_limit)
        if self.retry_on and self.retries == 0:
            raise ValueError("retry_on has no effect without retries: give retries=1 or more as well")
        self.native = self._native()

    def _native(self) -> "NativeOptions | None":
        native: NativeOptions = (
            self.timeout_s,
            self.queue_timeout_s,
            self.retries,
            self._retries_timeouts(),
            self.priority,
            self.slow_after_s,
            self.memory_limit_bytes,
        )
        return None if native == (None, None, 0, False, 0, None, None) else native

    def _retries_timeouts(self) -> bool:
        if not self.retry_on:
            return False
        from ._exceptions import TaskTimeoutError

        return issubclass(TaskTimeoutError, self.retry_on)

    def given(self) -> "Given":
        """The options as they were given."""
        return {
            "timeout": self.timeout_s,
            "queue_timeout": self.queue_timeout_s,
            "retries": self.retries,
            "retry_on": self.retry_on,
            "label": self.label,
            "priority": self.priority,
            "slow_after": self.slow_after_s,
            "memory_limit": self.memory_limit_bytes,
            "soft_memory_limit": self.soft_memory_limit_bytes,
        }


_NAMES = frozenset(
    (
        "timeout",
        "queue_timeout",
        "retries",
        "retry_on",
        "label",
        "priority",
        "slow_after",
        "memory_limit",
        "soft_memory_limit",
    )
)


def with_changes(old: TaskOptions | None, changes: "Given") -> TaskOptions:
    """The old options with some of them changed.

    Raises:
        TypeError: an option is unknown or of a wrong type.
        ValueError: the value of one is out of range.
    """
    _check_names(changes, _NAMES, "options()")
    merged: Given = {} if old is None else old.given()
    merged.update(changes)
    if "retries" in changes and changes["retries"] == 0 and "retry_on" not in changes:
        merged["retry_on"] = ()
    return TaskOptions(**merged)


def from_defaults(defaults: "Defaults") -> TaskOptions | None:
    """The options that an executor has for all its tasks; None if it has none.

    Its `timeout` is the one of idle workers, so that of tasks is called `task_timeout`.

    Raises:
        TypeError, ValueError: as `with_changes`.
    """
    if not defaults:
        return None
    _check_names(defaults, (_NAMES - {"timeout", "memory_limit"}) | {"task_timeout"}, "an executor")
    values: dict[str, Any] = dict(defaults)
    if "task_timeout" in values:
        values["timeout"] = values.pop("task_timeout")
    return TaskOptions(**values, timeout_name="task_timeout")


def _check_names(given: "Iterable[str]", known: "frozenset[str]", where: str) -> None:
    for name in given:
        if name not in known:
            raise TypeError(f"{name!r} is no option of {where}; there are {', '.join(sorted(known))}")


def check_seconds(name: str, value: float | None) -> float | None:
    """A time limit: a positive number of seconds, or None for none.

    Raises:
        TypeError: it is no number.
        ValueError: it is not positive, or no time at all.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None, not {value!r}")
    seconds = float(value)
    if math.isnan(seconds) or seconds <= 0:
        raise ValueError(f"{name} must be a positive number of seconds or None, not {value!r}")
    return None if math.isinf(seconds) else seconds


_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def check_bytes(name: str, value: int | str | None) -> int | None:
    """An amount of memory: a positive number of bytes, a text such as "512M", or None for none.

    Raises:
        TypeError: it is neither.
        ValueError: it is not positive, or the text is no amount.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip().upper().removesuffix("B").removesuffix("I")
        number, unit = text.rstrip("KMGT"), text[len(text.rstrip("KMGT")) :]
        try:
            amount = float(number) * _UNITS[unit]
        except (KeyError, ValueError):
            amount = math.nan
        if not (1 <= amount < 2**63):
            raise ValueError(f"{name} must be an amount of memory such as '512M', not {value!r}")
        return int(amount)
    return _check_integer(name, value, 1, 2**63 - 1)


def check_grace(name: str, value: float) -> float:
    """A time to come to an end in: a number of seconds, 0 included.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must be a number of seconds from 0 on, not {value!r}")
    return float(value)


def _check_integer(name: str, value: int, least: int, most: int) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value!r}")
    return number


def _check_exceptions(value: "RetryOn") -> "tuple[type[BaseException], ...]":
    classes = value if isinstance(value, tuple) else (value,)
    for cls in classes:
        # A caller without a type checker may have given anything.
        given: object = cls
        if not (isinstance(given, type) and issubclass(given, BaseException)):
            raise TypeError(f"retry_on must be an exception class or a tuple of them, not {value!r}")
    return classes


def _check_label(value: str | None) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"label must be a string or None, not {value!r}")
    return value


class ExecutorView:
    """An executor with other options for the tasks that are submitted through it.

    It is light: it holds the executor and the options, and nothing of its own is started or ended.
    """

    def __init__(self, executor: "ProcessPoolExecutor", options: TaskOptions) -> None:
        self._executor = executor
        self._options = options

    def options(self, **changes: "Unpack[Given]") -> "ExecutorView":
        """A view with some of the options of this one changed."""
        return ExecutorView(self._executor, with_changes(self._options, changes))

    def submit(self, fn: "Callable[P, T]", /, *args: "P.args", **kwargs: "P.kwargs") -> "Future[T]":
        """As the executor's `submit`, with these options."""
        return self._executor._submit(self._options, fn, args, kwargs)

    def map(
        self,
        fn: "Callable[..., T]",
        *iterables: "Iterable[Any]",
        timeout: float | None = None,
        chunksize: "int | Literal['auto']" = 1,
        buffersize: int | None = None,
        ordered: bool = True,
    ) -> "Iterator[T]":
        """As the executor's `map`, with these options for each task; a chunk is one task."""
        return _map.over(self, fn, iterables, timeout, chunksize, buffersize, ordered)

    @property
    def _max_workers(self) -> int:
        return self._executor._max_workers

    def _weakly(self) -> "Callable[[], ExecutorView | None]":
        """Gives a view like this while its executor lives."""
        executor, options = weakref.ref(self._executor), self._options

        def living_view() -> ExecutorView | None:
            living = executor()
            return None if living is None else ExecutorView(living, options)

        return living_view

    def __repr__(self) -> str:
        asked = {name: value for name, value in self._options.given().items() if value not in (None, 0, ())}
        words = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        return f"<{self._executor!r} with options {words or 'none'}>"
