"""What the workers are asked to do. Imported by name in them; each tells what it has done before it
does something that nobody survives."""

import ctypes
import os
import signal
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
