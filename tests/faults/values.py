"""Values and functions that make trouble on their way to a worker or back."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from tests.faults import tasks


def rebuild_slowly(folder: str) -> NoReturn:
    tasks.tell(folder, "rebuilding")
    tasks.wait_for_ever()


class BlocksOnLoad:
    """Never comes out of unpickling."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return rebuild_slowly, (self.folder,)


class BlocksOnDump:
    """Never comes out of pickling."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> NoReturn:
        tasks.tell(self.folder, "reducing")
        tasks.wait_for_ever()


def write_and_die(data: bytes) -> NoReturn:
    """Half an answer, then nothing more."""
    tasks.write_to_pool(data)
    os.kill(os.getpid(), signal.SIGKILL)
    tasks.wait_for_ever()


def write_and_wait(data: bytes) -> NoReturn:
    tasks.write_to_pool(data)
    tasks.wait_for_ever()


def close_everything_and_wait() -> NoReturn:
    os.closerange(0, 4096)
    tasks.wait_for_ever()


def die_after_answer(folder: str) -> str:
    """Have this worker die in the instruction after the one that sent this task's answer."""
    from loky import _child

    send = _child._Desk._reply

    def send_and_die(self: Any, *args: Any) -> NoReturn:
        send(self, *args)
        tasks.tell(folder, "answered")
        os.kill(os.getpid(), signal.SIGKILL)
        tasks.wait_for_ever()

    _child._Desk._reply = send_and_die  # type: ignore[method-assign,assignment]
    return "answered"


def start_at_gate(folder: str, gate: str) -> None:
    """An initializer that lets the test see it, and waits for it."""
    tasks.tell(folder, "starting")
    tasks.pass_gate(folder, gate)


def tell_and_die(folder: str, number: int) -> None:
    tasks.tell(folder, "dying")
    tasks.die_by(number)


def leave_mark(folder: str, name: str) -> None:
    Path(folder, name).touch()


class _ReducesTo:
    """Pickles to a call, by which it is rebuilt."""

    def __init__(self, function: Any, *args: Any) -> None:
        self._call = function, args

    def __reduce__(self) -> Any:
        return self._call


def raises_on_load(folder: str, error: BaseException) -> _ReducesTo:
    """A value that cannot be rebuilt, for this reason; whoever tries tells so first."""
    return _ReducesTo(rebuild_in_vain, folder, error)


def rebuild_in_vain(folder: str, error: BaseException) -> NoReturn:
    tasks.tell(folder, "rebuilding")
    raise error


class RaisesOnDump:
    """Cannot be pickled, for this reason."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> NoReturn:
        raise self._error


class OddError(Exception):
    """Its `args` say nothing of what its constructor wants."""

    def __init__(self, code: int, *, path: str) -> None:
        super().__init__(f"odd {code}")
        self.code = code
        self.path = path


class LockedError(Exception):
    """Holds what cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class WrongReductionError(Exception):
    """Tells pickle to call its constructor with arguments that this does not take."""

    def __init__(self) -> None:
        super().__init__("wrong")

    def __reduce__(self) -> Any:
        return type(self), (1, 2, 3)


class RaisingReductionError(Exception):
    """Does not let itself be pickled."""

    def __reduce__(self) -> NoReturn:
        raise ValueError("no reduction today")


class FalseError(Exception):
    """Is false where a condition is wanted."""

    def __bool__(self) -> bool:
        return False


class OwnerOnlyError(Exception):
    """Can be rebuilt in every process but the one with this number."""

    def __init__(self, pid: int) -> None:
        super().__init__("rebuilt elsewhere")
        self._pid = pid

    def __reduce__(self) -> Any:
        return rebuild_outside, (self._pid,)


def rebuild_outside(pid: int) -> OwnerOnlyError:
    if os.getpid() == pid:
        raise LookupError("not to be rebuilt here")
    return OwnerOnlyError(pid)


def raise_made(kind: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Make an exception in the worker, so that it travels but once."""
    raise kind(*args, **kwargs)


def raise_odd() -> NoReturn:
    raise OddError(7, path="/somewhere")


def raise_group() -> NoReturn:
    error = ExceptionGroup("several", [ValueError(1), OddError(2, path="x")])
    error.add_note("with a note")
    raise error


def raise_chain() -> NoReturn:
    try:
        raise KeyError("the first")
    except KeyError as first:
        raise RuntimeError("the second") from first


def return_lock() -> Any:
    """The guilty part is deep inside."""
    return {"fine": 1, "deep": [0, threading.Lock()]}


def nest_in_vain() -> Any:
    return tasks.nest(100_000)


def raise_always(error: BaseException, folder: str) -> NoReturn:
    """An initializer."""
    tasks.tell(folder, "initializing")
    raise error


def initialize_and_leave(folder: str, status: int) -> NoReturn:
    tasks.tell(folder, "initializing")
    sys.exit(status)


def initialize_for_ever(folder: str) -> NoReturn:
    tasks.tell(folder, "initializing")
    tasks.wait_for_ever()
