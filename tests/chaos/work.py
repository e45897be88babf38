"""What the tasks of a campaign do. Each records its start where no death can take it away.

Nothing here knows a pool, so that every contender can run it.
"""

import ctypes
import os
import signal
import struct
import subprocess
import sys
import time

RECORD = struct.Struct("<QQI")
"""One start: the number of the task, the monotonic clock in nanoseconds, the process."""


CHILD = "import signal; signal.pause()"
"""What the children of tasks run."""


def begin(ledger: str, number: int) -> None:
    """Record a start. An append of so few bytes is whole or not there, whoever dies."""
    handle = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, RECORD.pack(number, time.monotonic_ns(), os.getpid()))
    finally:
        os.close(handle)


def attempt_at(ledger: str, number: int) -> int:
    """Record a start, and say which one of this task it is, from 1."""
    begin(ledger, number)
    handle = os.open(f"{ledger}.attempts", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        before = os.pread(handle, 1, number)
        count = (before[0] if before else 0) + 1
        os.pwrite(handle, bytes([count]), number)
    finally:
        os.close(handle)
    return count


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
    return 2 * number if payload.count(payload[0]) == len(payload) else -1


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
    command = [sys.executable, "-S", "-c", CHILD]
    subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
    return 2 * number


def die(ledger: str, number: int, how: str) -> None:
    """A death."""
    begin(ledger, number)
    _die(number, how)


def fail_until(ledger: str, number: int, times: int, how: str) -> int:
    """Fail so many times, then give a value."""
    if attempt_at(ledger, number) > times:
        return 2 * number
    if how == "raise":
        raise ValueError(number)
    _die(number, how)
    return -1


def hold_the_lock(ledger: str, number: int) -> None:
    """Native code that never lets go of the interpreter's lock."""
    begin(ledger, number)
    sum(range(10**15))


def swell(ledger: str, number: int, mebibytes: int, seconds: float) -> int:
    """Take memory, all of it touched, and keep it for a while."""
    begin(ledger, number)
    kept = [bytearray(b"x") * 2**20 for _ in range(mebibytes)]
    time.sleep(seconds)
    return 2 * number if len(kept) == mebibytes else -1


def _die(number: int, how: str) -> None:
    if how == "exit":
        os._exit(number % 250)
    if how == "null":
        ctypes.string_at(0)
    os.kill(os.getpid(), getattr(signal, how))
    signal.pause()
