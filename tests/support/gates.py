"""A gate: tasks that say when they have begun and wait until the test lets them go on."""

import os
import select
import time
from pathlib import Path

from tests.support.waiting import LIMIT_S


def pass_gate(folder: str, value: object = None) -> object:
    """As a task: say that it has begun, wait at the gate, return `value`.

    The gate opens by itself when the process that made it has gone.
    """
    announce(folder)
    with open(f"{folder}/open", "rb", buffering=0) as gate:
        gate.read(1)
    return value


def announce(folder: str) -> None:
    """As a task: say that it has begun."""
    with open(f"{folder}/begun", "wb", buffering=0) as begun:
        begun.write(f"{os.getpid()}\n".encode())


class Gate:
    """The test's side of a gate.

    Attributes:
        folder: what the tasks are given.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = str(folder)
        for name in ("begun", "open"):
            os.mkfifo(folder / name)
        # Opened for both directions, so that neither side waits for the other to open it.
        self._begun = os.open(folder / "begun", os.O_RDWR | os.O_CLOEXEC)
        self._open = os.open(folder / "open", os.O_RDWR | os.O_CLOEXEC)
        self._read = b""

    def wait_begun(self, count: int = 1, limit_s: float = LIMIT_S) -> list[int]:
        """Wait until `count` more tasks have begun; the process ids of their workers."""
        deadline_s = time.monotonic() + limit_s
        poll = select.poll()
        poll.register(self._begun, select.POLLIN)
        while self._read.count(b"\n") < count:
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0 or not poll.poll(remaining_s * 1000):
                raise TimeoutError(f"of {count} tasks only these have begun: {self._read!r}")
            self._read += os.read(self._begun, 4096)
        *lines, rest = self._read.split(b"\n", count)
        self._read = rest
        return [int(line) for line in lines]

    def nobody_begins(self) -> bool:
        """Whether no task has begun that was not waited for, as far as can be seen now."""
        poll = select.poll()
        poll.register(self._begun, select.POLLIN)
        return not self._read and not poll.poll(0)

    def let_pass(self, count: int = 1) -> None:
        """Let so many tasks go on."""
        os.write(self._open, b"." * count)

    def open(self) -> None:
        """Let all go on, present and future."""
        self.let_pass(4096)

    def close(self) -> None:
        """Let go of it. Tasks that still wait go on."""
        for name in ("_begun", "_open"):
            number = getattr(self, name)
            if number >= 0:
                os.close(number)
                setattr(self, name, -1)
