"""Values and functions that make trouble on their way to a worker or back."""

import os
import signal
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

    _child._Desk._reply = send_and_die  # type: ignore[method-assign]
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
