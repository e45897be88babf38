"""What the workers are asked to do. Imported by name in them; each tells what it has done before it
does something that nobody survives."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn


def tell(folder: str, word: str, number: int | None = None) -> None:
    """Write a line that the test waits for. It is short, so it arrives whole."""
    with open(Path(folder, "news"), "w", encoding="ascii") as news:
        news.write(f"{word} {os.getpid() if number is None else number}\n")


def pass_gate(folder: str, name: str) -> None:
    """Wait until the test opens this gate."""
    with open(Path(folder, name), "rb", buffering=0) as gate:
        gate.read(1)


def hold(folder: str, gate: str, value: Any) -> Any:
    """Begin, wait at the gate, give the value."""
    tell(folder, "held")
    pass_gate(folder, gate)
    return value


def give(value: Any) -> Any:
    return value


def raise_(error: BaseException) -> NoReturn:
    raise error


def make(function: Any, *args: Any) -> Any:
    """Call something in the worker, so that only its result travels."""
    return function(*args)


def do(folder: str, gate: str, function: Any, *args: Any) -> Any:
    """Tell that the task has begun in this process, wait for the cue, then do it."""
    tell(folder, "began")
    pass_gate(folder, gate)
    return function(*args)


def die_by(number: int) -> None:
    """Send a signal to oneself, with its default effect."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def segfault() -> None:
    ctypes.string_at(0)


def c_exit(status: int) -> None:
    ctypes.CDLL(None).exit(status)


def kill_parent() -> NoReturn:
    os.kill(os.getppid(), signal.SIGKILL)
    wait_for_ever()


def wait_for_ever() -> NoReturn:
    while True:
        signal.pause()


def have_strays(folder: str) -> NoReturn:
    """Start three that are easily lost: all in sessions of their own, one of them without an environment."""
    for options in ({}, {"env": {}}):
        child = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True, **options)  # type: ignore[call-overload]
        tell(folder, "stray", child.pid)
    if os.fork() == 0:
        os.setsid()
        tell(folder, "stray")
        signal.alarm(60)
    wait_for_ever()


def own_sockets() -> list[int]:
    """The descriptors of this process that lead to sockets."""
    numbers = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:"):
            numbers.append(int(entry))
    return numbers


def write_to_pool(data: bytes) -> int:
    """Write to the socket that leads to the pool; what was written there is told."""
    (number,) = own_sockets()
    return os.write(number, data)


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def nest(depth: int) -> list[Any]:
    """A list in a list, so deep that nothing recursive gets to the bottom."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def interrupt_oneself() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    wait_for_ever()


def leave(status: object) -> NoReturn:
    sys.exit(status)  # type: ignore[arg-type]


def run(folder: str) -> int:
    """Record a run of this task where no death takes it away; which one it is, from 1."""
    with open(Path(folder, "runs"), "ab", buffering=0) as file:
        file.write(b".")
    return runs(folder)


def runs(folder: str) -> int:
    """How often `run` was called."""
    with contextlib.suppress(FileNotFoundError):
        return Path(folder, "runs").stat().st_size
    return 0


def die_until(folder: str, times: int) -> int:
    """End the worker so many times."""
    number = run(folder)
    if number <= times:
        die_by(signal.SIGKILL)
    return number


def raise_until(folder: str, times: int) -> int:
    """Raise so many times."""
    number = run(folder)
    if number <= times:
        raise ConnectionError(f"run {number}")
    return number


def late_until(folder: str, times: int) -> int:
    """Wait for ever so many times, where an interrupt is seen."""
    number = run(folder)
    if number <= times:
        wait_for_ever()
    return number


def hold_the_lock_until(folder: str, times: int) -> int:
    """Hold the interpreter's lock so many times."""
    number = run(folder)
    if number <= times:
        hold_the_lock()
    return number


def hold_the_lock() -> int:
    """Native code that never lets go of the interpreter's lock."""
    return sum(range(10**15))


def ignore_interrupts() -> NoReturn:
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def swell(mebibytes: int) -> NoReturn:
    """Take memory, all of it touched, and keep it."""
    kept = [bytearray(b"x") * 2**20 for _ in range(mebibytes)]
    wait_for_ever()
    assert kept


def swell_in_child(mebibytes: int) -> NoReturn:
    if os.fork() == 0:
        swell(mebibytes)
    wait_for_ever()


def start_late(folder: str, starts: int) -> None:
    """An initializer: the first `starts` workers never get ready."""
    if run(folder) <= starts:
        tell(folder, "late")
        wait_for_ever()


def fork_until_refused(folder: str, gate: str) -> NoReturn:
    """Make children that wait, until the kernel refuses; that is told once the gate is open."""
    try:
        while True:
            if os.fork() == 0:
                tell(folder, "child")
                wait_for_ever()
    finally:
        pass_gate(folder, gate)


def fork_until_refused_and_die(folder: str, gate: str) -> None:
    try:
        fork_until_refused(folder, gate)
    except BlockingIOError:
        die_by(signal.SIGKILL)
