"""Tasks that take time, fail and leave a record of having run."""

import ctypes
import os
import signal
import time

from tests.support.gates import announce, pass_gate


def record(path: str) -> None:
    """Add a line to a file in one write: how often a task has run, told by the task itself."""
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(number, b"ran\n")
    finally:
        os.close(number)


def runs(path: str) -> int:
    """How often `record` was called with this file."""
    try:
        with open(path, "rb") as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0


def record_and_wait(path: str, folder: str) -> None:
    """Run, and wait at a gate."""
    record(path)
    pass_gate(folder)


def hold_the_lock(folder: str | None = None) -> None:
    """Run native code that never lets go of the interpreter's lock."""
    if folder is not None:
        announce(folder)
    sum(range(10**15))


def sleep(seconds: float) -> float:
    """Wait where an interrupt is seen."""
    time.sleep(seconds)
    return seconds


def sleep_on(folder: str, seconds: float) -> None:
    """Say that it has begun, and wait where an interrupt is seen."""
    announce(folder)
    time.sleep(seconds)


def ignore_interrupts(folder: str, seconds: float) -> None:
    """Go on after every interrupt, until the time is over."""
    announce(folder)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        try:
            time.sleep(end_s - time.monotonic())
        except KeyboardInterrupt:
            continue


def die(path: str, number: int = signal.SIGKILL) -> None:
    """Record the run and end the worker."""
    record(path)
    os.kill(os.getpid(), number)
    signal.pause()


def die_until(path: str, times: int) -> int:
    """End the worker so many times, then give the number of the run."""
    record(path)
    number = runs(path)
    if number <= times:
        os._exit(9)
    return number


def raise_until(path: str, times: int, error: type[BaseException]) -> int:
    """Raise so many times, then give the number of the run."""
    record(path)
    number = runs(path)
    if number <= times:
        raise error(f"run {number}")
    return number


def exit_on_sigterm(folder: str) -> None:
    """Ignore interrupts and leave at SIGTERM with a code of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(33))
    announce(folder)
    while True:
        signal.pause()


def crash_while_waiting(folder: str) -> None:
    """Say that it has begun and touch memory that is not there."""
    announce(folder)
    ctypes.string_at(0)


def pass_and_append(folder: str, path: str, name: str) -> None:
    """Wait at a gate and write down a name."""
    pass_gate(folder)
    append(path, name)


def append(path: str, name: str) -> None:
    """Write down a name."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(name + "\n")
