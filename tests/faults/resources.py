"""Tasks that use up a resource of their worker, and give it back."""

import os
import resource
from pathlib import Path

from tests.faults import tasks

_filling: list[int] = []


def fill_table() -> int:
    """Open until nothing more can be opened; the error number that says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        while True:
            _filling.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno or 0


def empty_table() -> int:
    """Close what was opened, and say how many that were."""
    count = len(_filling)
    while _filling:
        os.close(_filling.pop())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return count


def _used_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()


def limit_memory(room_bytes: int) -> int:
    """Allow so many bytes more than this process has mapped, and show that more cannot be had."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_used_bytes() + room_bytes, hard))
    try:
        bytearray(2 * room_bytes)
    except MemoryError:
        return room_bytes
    raise AssertionError("the limit on memory does not bind")


def lift_memory_limit() -> tuple[int, int]:
    """Allow everything again; how much was used, of how much."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    return _used_bytes(), soft


def held_large(folder: str, gate: str, length: int) -> bytearray:
    """An answer that is ready when the gate opens."""
    value = bytearray(length)
    tasks.hold(folder, gate, None)
    return value
