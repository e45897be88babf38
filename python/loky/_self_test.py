"""The trials of `python -m loky doctor`: small pools that meet real faults.

Each trial says what was wrong instead of raising, and the last one looks for what they have left.
"""

import os
import signal
import time

from ._exceptions import BrokenProcessPool, TerminatedWorkerError
from .process_executor import ProcessPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LIMIT_BYTES = 192 * 2**20
_FILL_MAX_BYTES = 4 * _LIMIT_BYTES
_SETTLE_S = 5.0
_PATIENCE_S = 60.0


class Trial:
    """What came of one trial.

    Attributes:
        name: what was tried.
        outcome: "passed", "failed" or "skipped".
        detail: what was found.
        seconds: how long it took.
    """

    def __init__(self, name: str, outcome: str, detail: str, seconds: float) -> None:
        self.name = name
        self.outcome = outcome
        self.detail = detail
        self.seconds = seconds

    def as_dict(self) -> "dict[str, Any]":
        """As plain values."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "detail": self.detail,
            "seconds": round(self.seconds, 3),
        }


class _WrongError(Exception):
    """A trial found something wrong."""


class _CannotError(Exception):
    """A trial cannot be made here."""


def run() -> list[Trial]:
    """Make all trials."""
    before = _belongings()
    trials = [_make(name, trial) for name, trial in _TRIALS.items()]
    trials.append(_make("nothing is left", lambda: _find_remains(before)))
    return trials


def _make(name: str, trial: "Callable[[], str]") -> Trial:
    begun_s = time.monotonic()
    try:
        outcome, detail = "passed", trial()
    except _CannotError as reason:
        outcome, detail = "skipped", str(reason)
    except _WrongError as fault:
        outcome, detail = "failed", str(fault)
    except BrokenProcessPool as error:
        outcome, detail = "failed", f"{error}" + (f"\n{error.__cause__}" if error.__cause__ else "")
    except Exception as error:
        outcome, detail = "failed", f"{type(error).__name__}: {error}"
    return Trial(name, outcome, detail, time.monotonic() - begun_s)


def _expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise _WrongError(f"{what}: {found!r} instead of {wanted!r}")


# Tasks. They are found by name in the workers.


def _square(number: int) -> int:
    return number * number


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fill() -> str:
    """Take more memory than is allowed, and still not so much that a machine without limits suffers."""
    pieces = [bytearray(b"x") * 2**20 for _ in range(_FILL_MAX_BYTES // 2**20)]
    return f"{len(pieces)} MiB, unhindered"


def _never_end() -> None:
    while True:
        pass


def _leave_a_child() -> int:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        while True:
            signal.pause()
    return pid


# Trials.


def _try_launcher(launcher: str) -> "Callable[[], str]":
    def trial() -> str:
        with ProcessPoolExecutor(2, launcher=launcher) as executor:
            _expect(
                list(executor.map(_square, range(50), timeout=_PATIENCE_S)),
                [n * n for n in range(50)],
                "values",
            )
        return ""

    return trial


def _try_death() -> str:
    with ProcessPoolExecutor(2) as executor:
        futures = [executor.submit(_square, number) for number in range(20)]
        error = executor.submit(_die).exception(_PATIENCE_S)
        if not isinstance(error, TerminatedWorkerError) or error.report is None:
            raise _WrongError(f"the task of a killed worker ended with {error!r}")
        _expect(error.report.signal, "SIGKILL", "signal")
        _expect([future.result(_PATIENCE_S) for future in futures], [n * n for n in range(20)], "other tasks")
        _expect(executor.submit(_square, 7).result(_PATIENCE_S), 49, "a task on the new worker")
    return "; ".join(error.report.evidence)


def _options(executor: ProcessPoolExecutor, **options: "Any") -> "Any":
    view = getattr(executor, "options", None)
    if view is None:
        raise _CannotError("this version has no options for tasks")
    return view(**options)


def _try_memory() -> str:
    with ProcessPoolExecutor(2) as executor:
        futures = [executor.submit(_square, number) for number in range(20)]
        error = _options(executor, memory_limit=_LIMIT_BYTES).submit(_fill).exception(_PATIENCE_S)
        report = getattr(error, "report", None)
        if report is None:
            raise _WrongError(f"a task that passed its limit ended with {error or 'a value'!r}")
        _expect(str(report.cause), "memory_limit", "cause")
        _expect([future.result(_PATIENCE_S) for future in futures], [n * n for n in range(20)], "other tasks")
    return "; ".join(report.evidence)


def _try_timeout() -> str:
    with ProcessPoolExecutor(2) as executor:
        futures = [executor.submit(_square, number) for number in range(20)]
        begun_s = time.monotonic()
        error = _options(executor, timeout=0.3).submit(_never_end).exception(_PATIENCE_S)
        ended_s = time.monotonic() - begun_s
        if not isinstance(error, TimeoutError):
            raise _WrongError(f"a task that passed its timeout ended with {error!r}")
        _expect([future.result(_PATIENCE_S) for future in futures], [n * n for n in range(20)], "other tasks")
    return f"a limit of 0.3 s, an end after {ended_s:.2f} s"


def _try_descendant() -> str:
    with ProcessPoolExecutor(1) as executor:
        child = executor.submit(_leave_a_child).result(_PATIENCE_S)
    if not _until(lambda: not _is_running(child), 2.0):
        raise _WrongError(f"process {child}, which a task had left, still runs")
    return ""


_TRIALS: "dict[str, Callable[[], str]]" = {
    "tasks on forked workers": _try_launcher("zygote"),
    "tasks on executed workers": _try_launcher("exec"),
    "a killed worker costs one task": _try_death,
    "a task that passes its memory limit ends alone": _try_memory,
    "a task that runs out of time ends": _try_timeout,
    "what a task has started ends with the pool": _try_descendant,
}


# What is left.


def _belongings() -> "dict[str, set[str]]":
    """What this process has: descriptors, and the processes below it."""
    found: dict[str, set[str]] = {"descriptor": set(), "process": set()}
    try:
        for number in os.listdir("/proc/self/fd"):
            try:
                found["descriptor"].add(f"{number} to {os.readlink(f'/proc/self/fd/{number}')}")
            except OSError:
                pass  # The one that the list was read with.
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                found["process"].update(file.read().split())
    except OSError:
        pass  # Another system: what cannot be seen is not counted.
    return found


def _find_remains(before: "dict[str, set[str]]") -> str:
    def remains() -> list[str]:
        now = _belongings()
        news = ((kind, sorted(now[kind] - before[kind])) for kind in now)
        return [f"{kind} {name}" for kind, names in news for name in names if not _is_standard(kind, name)]

    if not _until(lambda: not remains(), _SETTLE_S):
        raise _WrongError("left behind: " + ", ".join(remains()))
    return ""


def _is_standard(kind: str, name: str) -> bool:
    """Whether this belongs to a tracker of multiprocessing, which stays until the program ends."""
    if kind != "process":
        return "pipe:" in name
    try:
        with open(f"/proc/{name}/cmdline", "rb") as file:
            return b"tracker" in file.read()
    except OSError:
        return True


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in b"ZX"
    except OSError:
        return False


def _until(condition: "Callable[[], bool]", limit_s: float) -> bool:
    """Look until it holds, a hundred times a second."""
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True
