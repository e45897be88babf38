"""What the kernel says of a process and its descendants: memory and processor time. Linux only."""

import contextlib
import os
from pathlib import Path

_PROC = Path("/proc")


def descendants(ancestor: int) -> list[int]:
    """List all processes below one."""
    parents: dict[int, int] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = _PROC.joinpath(entry, "stat").read_text(errors="replace")
                parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found = [ancestor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def memory_bytes(pids: list[int]) -> int:
    """Add up the proportional set sizes: a page shared by n processes counts 1/n for each."""
    total = 0
    for pid in pids:
        for line in _PROC.joinpath(str(pid), "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def processor_ns(pids: list[int]) -> int:
    """Add up the time on a processor of all threads."""
    total = 0
    for pid in pids:
        for task in _PROC.joinpath(str(pid), "task").iterdir():
            total += int(task.joinpath("schedstat").read_text().split()[0])
    return total


def switches(pids: list[int]) -> int:
    """Add up how often their threads gave up a processor to wait, and so were woken."""
    total = 0
    for pid in pids:
        for task in _PROC.joinpath(str(pid), "task").iterdir():
            for line in task.joinpath("status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
    return total
