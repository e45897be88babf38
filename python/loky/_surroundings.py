"""Describes to a new worker the process that owns it: the setup, made anew for each start.

Runs in the thread that wants workers. What it writes is read by `_world` and `_child` in the
worker. It changes nothing in this process.
"""

import multiprocessing.context
import os
import signal
import sys
from _pickle import dumps
from multiprocessing.process import current_process

from . import _alias, _inheritance, _launch, _pickling, _standard_tracker, _state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_start_directory: str | None
try:
    _start_directory = os.getcwd()
except OSError:
    _start_directory = None


class _PassedDescriptor:
    """What multiprocessing puts in place of a descriptor that a child inherits by number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def detach(self) -> int:
        """The number, which is the same in the child."""
        return self._number


class _Inheritance:
    """Stands for the child that is being started, as far as multiprocessing's objects ask.

    Locks, queues and connections let themselves be pickled only while a child is started, and name
    to it the descriptors that the child is to have.
    """

    DupFd = _PassedDescriptor

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def duplicate_for_child(self, number: int) -> int:
        """Have the child inherit this descriptor under the same number."""
        self.descriptors.append(number)
        return number


class Setup:
    """A setup, ready for the engine.

    Attributes:
        blob: the description, pickled from built-in types.
        descriptors: pairs of a descriptor here and its number in the worker.
        environment: the worker's variables.
    """

    def __init__(
        self, blob: bytes, descriptors: "list[tuple[int, int]]", environment: "dict[str, str]"
    ) -> None:
        self.blob = blob
        self.descriptors = descriptors
        self.environment = environment


def capture(
    environment: "Mapping[str, Any] | None",
    initializer: "Callable[..., object] | None",
    initargs: "tuple[Any, ...]",
    result_reducers: "_pickling.Reducers | None",
    first_number: int,
    context: "Any" = None,
) -> Setup:
    """Describe this process as it is now.

    Args:
        environment: variables over those of `os.environ`; values are turned into strings.
        initializer: called first in the worker, with `initargs`.
        initargs: its arguments; may hold what can only be inherited, such as locks.
        result_reducers: how results are pickled in the worker, by exact type.
        first_number: number of processes of this name that were started before this pool's.
        context: the executor's context or None; workers follow it in whether they import
            the main script.

    Raises:
        BaseException: whatever pickling the initializer, its arguments or the reducers raises.
    """
    inheritance = _Inheritance()
    process: Any = current_process()
    directory = _directory()
    setup = {
        "environment": _launch.environment_with(environment),
        "directory": directory,
        **_from_the_kernel(),
        "path": [entry or directory or _start_directory or "/" for entry in sys.path],
        "argv": list(sys.argv),
        "depth": _state.depth + 1,
        "identity": _state.identity,
        "first_number": first_number,
        "authkey": bytes(process.authkey),
        "owner_pid": os.getpid(),
        "owner_name": process.name,
        "logging": _logging(),
        "trackers": _trackers(inheritance),
        "aliases": _alias.in_use(),
        "start_method": _method(context),
        "main": _main_script(_method(context)),
        "ignores_interrupt": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "reducers": None,
        "initializer": None,
    }
    if result_reducers:
        setup["reducers"] = _in_band(result_reducers)
    if initializer is not None:
        spawning: Any = multiprocessing.context.set_spawning_popen
        spawning(inheritance)
        try:
            setup["initializer"] = _in_band((initializer, initargs))
        finally:
            spawning(None)
    numbers = dict.fromkeys((*_standard_streams(), *inheritance.descriptors))
    pairs = [(number, number) for number in numbers]
    return Setup(dumps(setup, 5), pairs, setup["environment"])


def _in_band(value: "Any") -> bytes:
    """Pickle without buffers outside the stream."""
    from io import BytesIO

    from ._by_value import ByValuePickler

    stream = BytesIO()
    ByValuePickler(stream).dump(value)
    return stream.getvalue()


def _standard_streams() -> list[int]:
    """Output descriptors that a child inherits: a worker writes where its owner writes now.

    Where the program has closed one, its number may belong to something that was opened later.
    """
    numbers = []
    for number in (1, 2):
        try:
            if os.get_inheritable(number):
                numbers.append(number)
        except OSError:
            continue
    return numbers


def _directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _method(context: "Any") -> str:
    """The start method that a worker is to name."""
    if context is None:
        module: Any = sys.modules.get(f"{__package__}.backend.context")
        chosen: str | None = None if module is None else module.get_start_method()
        return chosen or "loky"
    method: str = context.get_start_method()
    return method


def _main_script(method: str) -> "dict[str, str]":
    """How a worker finds the main script, where the start method wants it imported again.

    Raises:
        RuntimeError: this process is itself just importing the main script.
    """
    if method in ("loky", "fork"):
        return {}
    from multiprocessing import spawn

    data = spawn.get_preparation_data("worker")
    names = ("init_main_from_name", "init_main_from_path")
    return {name: data[name] for name in names if name in data}


def _from_the_kernel() -> "dict[str, Any]":
    """What a plain child of this process would have."""
    return {
        "umask": _umask(),
        "affinity": _affinity(),
        "niceness": _niceness(),
        "limits": _inheritance.limits(),
        "ignored_signals": _inheritance.ignored_signals(),
    }


def _umask() -> int:
    """The umask, read without setting it: setting is the only portable way but is seen by threads."""
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return 0o022


def _affinity() -> "set[int] | None":
    try:
        return os.sched_getaffinity(0)
    except (AttributeError, OSError):
        return None


def _niceness() -> int | None:
    try:
        return os.getpriority(os.PRIO_PROCESS, 0)
    except (AttributeError, OSError):
        return None


def _logging() -> "tuple[int, bool, str | None] | None":
    """Level, whether to standard error, and layout of multiprocessing's logger, if it is in use."""
    util: Any = sys.modules.get("multiprocessing.util")
    logger = getattr(util, "_logger", None)
    if logger is None:
        return None
    layout = None
    for handler in logger.handlers[:1]:
        layout = getattr(handler.formatter, "_fmt", None)
    return logger.getEffectiveLevel(), bool(util._log_to_stderr), layout


def _trackers(inheritance: _Inheritance) -> "list[tuple[int, int | None]]":
    """The resource trackers of this package and of multiprocessing, which workers are to share.

    The pipes are there from here on: what a worker registers must not depend on who was first.
    """
    from .backend import resource_tracker

    own = resource_tracker._resource_tracker
    held = _occupy_streams()
    try:
        trackers = [own._share(), _standard_tracker.share()]
    finally:
        for number in held:
            os.close(number)
    for descriptor, _ in trackers:
        inheritance.duplicate_for_child(descriptor)
    return trackers


def _occupy_streams() -> list[int]:
    """Hold the numbers of streams that the program has closed, so that nothing lasting gets them."""
    held: list[int] = []
    try:
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            held.append(number)
        os.close(number)
    except OSError:
        pass  # There are no more descriptors, and so none for anything else.
    return held
