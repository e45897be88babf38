"""What the tasks of a campaign do. Each records its start where no death can take it away."""

import ctypes
import os
import signal
import struct
import subprocess
import sys
import time

RECORD = struct.Struct("<QI")
"""One start: the number of the task, the process that began it."""


def begin(ledger: str, number: int) -> None:
    """Record a start. An append of so few bytes is whole or not there, whoever dies."""
    handle = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, RECORD.pack(number, os.getpid()))
    finally:
        os.close(handle)


def double(ledger: str, number: int) -> int:
    """The shortest of tasks."""
    begin(ledger, number)
    return 2 * number


def nap(ledger: str, number: int, seconds: float) -> int:
    """A task that can be met while it runs."""
    begin(ledger, number)
    time.sleep(seconds)
    return 2 * number


def measure(ledger: str, number: int, payload: bytes) -> int:
    """Large arguments."""
    begin(ledger, number)
    return 2 * number if payload.count(number % 251) == len(payload) else -1


def produce(ledger: str, number: int, length: int) -> bytes:
    """Large values."""
    begin(ledger, number)
    return bytes([number % 251]) * length


def refuse(ledger: str, number: int) -> None:
    """An exception."""
    begin(ledger, number)
    raise ValueError(number)


def unpicklable(ledger: str, number: int) -> object:
    """A value that cannot travel."""
    begin(ledger, number)
    return (step for step in range(number))


def leave_children(ledger: str, number: int) -> int:
    """Children in sessions of their own, which nobody waits for."""
    begin(ledger, number)
    command = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
    subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
    return 2 * number


def die(ledger: str, number: int, how: str) -> None:
    """A death."""
    begin(ledger, number)
    if how == "exit":
        os._exit(number % 250)
    if how == "null":
        ctypes.string_at(0)
    os.kill(os.getpid(), getattr(signal, how))
    signal.pause()
