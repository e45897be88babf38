"""What belongs to this test process at one moment, and what of it is more than at another.

Counted are processes, descriptors, shared memory and files, from what the kernel says of them:
nothing here asks the pool. Waiting is bounded and follows the end of processes and threads; it
never guesses a time after which things should be well.
"""

import contextlib
import gc
import os
import re
import select
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "LOKY_TEST_CENSUS"
"""An environment variable that each process of ours inherits, wherever it is moved to later."""

ZYGOTE_MARK = "loky-zygote"
"""What the command line of a zygote contains, so that one without a parent is still recognised."""

# Helpers of the standard library that stay, once started, for the life of the program.
_STANDARD_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
# So does the package's own tracker of resources.
_OWN_TRACKER = "loky.backend.resource_tracker import main"
_PROC = Path("/proc")


class CensusUnavailableError(RuntimeError):
    """There is no `/proc` here, so that nothing can be vouched for."""


@dataclass(frozen=True)
class Process:
    """A process of ours; the start time tells it from a later one with the same number."""

    pid: int
    started: int
    state: str
    command: str

    def __str__(self) -> str:
        """Name it as a reader would look for it."""
        return f"process {self.pid} ({self.state}): {self.command}"


@dataclass(frozen=True)
class Census:
    """All that was counted at one moment."""

    processes: frozenset[Process]
    descriptors: frozenset[tuple[int, str]]
    mappings: frozenset[str]
    files: frozenset[str]
    threads: frozenset[int]


@dataclass(frozen=True)
class _Stat:
    parent: int
    session: int
    started: int
    state: str


def adopt_marks() -> str:
    """Mark this process's environment, once, so that its descendants can be told from others."""
    if not _PROC.joinpath("self", "maps").exists():
        raise CensusUnavailableError("the census needs /proc")
    return os.environ.setdefault(MARK, f"{os.getpid()}-{_stat(os.getpid()).started}")


def take() -> Census:
    """Count everything now."""
    return Census(
        processes=frozenset(_processes()),
        descriptors=frozenset(_descriptors()),
        mappings=frozenset(_mappings()),
        files=frozenset(_files()),
        threads=frozenset(thread.ident or 0 for thread in threading.enumerate()),
    )


def surplus(before: Census, after: Census) -> list[str]:
    """List what is there now and was not before, one line each."""
    known = {(process.pid, process.started) for process in before.processes}
    lines = [
        str(process)
        for process in sorted(after.processes, key=lambda process: process.pid)
        if (process.pid, process.started) not in known
    ]
    new = sorted(after.descriptors - before.descriptors)
    lines += [f"descriptor {number}: {target}" for number, target in new]
    lines += [f"mapping {name}" for name in sorted(after.mappings - before.mappings)]
    lines += [f"file {name}" for name in sorted(after.files - before.files)]
    return lines


def settle(before: Census, limit_s: float) -> list[str]:
    """Wait until nothing is more than before, at most `limit_s`; return what still is."""
    deadline = time.monotonic() + limit_s
    while True:
        gc.collect()
        after = take()
        lines = surplus(before, after)
        if not lines or time.monotonic() >= deadline:
            return lines
        _wait_for_an_end(before, after, deadline)


def _wait_for_an_end(before: Census, after: Census, deadline: float) -> None:
    """Return when a process or thread of the surplus has ended, or after a short while."""
    remaining = max(0.0, deadline - time.monotonic())
    old = {(process.pid, process.started) for process in before.processes}
    new = [p for p in after.processes if (p.pid, p.started) not in old and p.state != "Z"]
    if new and hasattr(os, "pidfd_open"):
        with contextlib.ExitStack() as stack:
            poll = select.poll()
            for process in new:
                try:
                    descriptor = os.pidfd_open(process.pid)
                except ProcessLookupError:
                    return
                stack.callback(os.close, descriptor)
                poll.register(descriptor, select.POLLIN)
            poll.poll(remaining * 1000)
        return
    for thread in threading.enumerate():
        if thread.ident not in before.threads and thread is not threading.current_thread():
            thread.join(remaining)
            return
    # A descriptor, a mapping, a file or a zombie tells nobody of its end, so it is looked at again.
    select.poll().poll(min(remaining, 0.01) * 1000)


def _stat(pid: int) -> _Stat:
    # The name in parentheses may itself hold spaces and parentheses.
    fields = _PROC.joinpath(str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()
    return _Stat(int(fields[1]), int(fields[3]), int(fields[19]), fields[0])


def _read(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):
        return _PROC.joinpath(str(pid), name).read_bytes().decode(errors="replace")
    return ""


def _processes() -> Iterator[Process]:
    me = os.getpid()
    stats: dict[int, _Stat] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stats[int(entry)] = _stat(int(entry))
    mark = f"{MARK}={os.environ.get(MARK)}"
    for pid, stat in stats.items():
        if pid == me:
            continue
        command = _read(pid, "cmdline").replace("\0", " ").strip()
        ours = (
            _descends(pid, me, stats)
            or mark in _read(pid, "environ").split("\0")
            or (ZYGOTE_MARK in command and stat.session == stats[me].session)
        )
        if ours and not _is_standard_helper(command):
            yield Process(pid, stat.started, stat.state, command[:120] or "[no command line]")


def _is_standard_helper(command: str) -> bool:
    # The family carries the name of one of these helpers too, so its own names come first.
    if _OWN_TRACKER in command:
        return True
    return "loky-" not in command and any(helper in command for helper in _STANDARD_HELPERS)


def _descends(pid: int, ancestor: int, stats: dict[int, _Stat]) -> bool:
    while pid in stats:
        pid = stats[pid].parent
        if pid == ancestor:
            return True
    return False


def _descriptors() -> Iterator[tuple[int, str]]:
    folder = "/proc/self/fd"
    kept = set()
    for number in _standard_helper_descriptors():
        with contextlib.suppress(OSError):
            kept.add(os.readlink(f"{folder}/{number}"))
    for entry in os.listdir(folder):
        with contextlib.suppress(OSError):  # the one that listed this folder is closed by now
            target = os.readlink(f"{folder}/{entry}")
            # As long as such a helper waits to be needed, both ends of its pipe are here.
            if target not in kept:
                yield int(entry), target


def _standard_helper_descriptors() -> set[int]:
    """Find the pipes to the helpers that stay, without importing what they are for."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    tracker = getattr(module, "_resource_tracker", None)
    server_module = sys.modules.get("multiprocessing.forkserver")
    server = getattr(server_module, "_forkserver", None)
    own_module = sys.modules.get("loky.backend.resource_tracker")
    own_tracker = getattr(own_module, "_resource_tracker", None)
    shared_module = sys.modules.get("loky._standard_tracker")
    numbers = (
        getattr(shared_module, "_writer", None),
        getattr(tracker, "_fd", None),
        getattr(own_tracker, "_fd", None),
        getattr(server, "_forkserver_alive_fd", None),
    )
    return {number for number in numbers if number is not None}


def _mappings() -> Iterator[str]:
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        match = re.match(r"\S+ \S+ \S+ \S+ (\d+)\s+(/memfd:\S*|/dev/shm/\S+|/dev/zero)", line)
        if match:
            yield f"{match[2]} inode {match[1]}"


def _files() -> Iterator[str]:
    # The plug-in gives the tests a folder for temporary files that is theirs alone.
    for entry in os.scandir(tempfile.gettempdir()):
        yield entry.path
    with contextlib.suppress(OSError):
        for entry in os.scandir("/dev/shm"):
            # A semaphore is never ours; another program on this machine may be making some.
            if "loky" in entry.name and not entry.name.startswith("sem."):
                yield entry.path
