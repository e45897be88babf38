"""Makes the kernel refuse to fork for one process and those below it, and counts the refusals.

A limit on the number of a user's processes (`RLIMIT_NPROC`) does not bind root, so root puts the
process into a cgroup of its own with a limit on its number of processes. Without the right to do
that, the limit of the user is set, for that process alone.
"""

import contextlib
import os
import resource
import select
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_END_S = 10.0
# The pids controller of the first and of the second version of cgroups.
_ROOTS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))


@dataclass
class Refusal:
    """What the kernel says of its refusals."""

    events: Path | None

    def count(self) -> int:
        """How many forks have been refused; where nobody counts, one."""
        if self.events is None:
            return 1
        return int(self.events.read_text().split()[1])


@contextlib.contextmanager
def forks_refused(pid: int, room: int = 0) -> Iterator[Refusal]:
    """This process, and those below it, can make `room` more until the block ends.

    Who is not root has no room: the limit that there is counts all processes of the user.
    """
    if os.geteuid() == 0:
        with _in_cgroup(pid, room) as refusal:
            yield refusal
        return
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NPROC)
    # Whoever may not raise a limit may still put the soft one back.
    resource.prlimit(pid, resource.RLIMIT_NPROC, (1, hard))
    yield Refusal(None)
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_NPROC, (soft, hard))


@contextlib.contextmanager
def _in_cgroup(pid: int, room: int) -> Iterator[Refusal]:
    root = next((root for root in _ROOTS if _has_pids(root)), None)
    if root is None:
        pytest.skip("root is bound by no limit on processes, and there is no pids controller here")
    group = root / f"loky-tests-{uuid.uuid4().hex[:12]}"
    group.mkdir()
    try:
        home = _group_of(pid, root)
        (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text(str(1 + room))
        yield Refusal(group / "pids.events")
        (group / "pids.max").write_text("max")
        with contextlib.suppress(ProcessLookupError):
            (home / "cgroup.procs").write_text(str(pid))
        # Those that were forked meanwhile are in the group as well.
        for member in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (home / "cgroup.procs").write_text(member)
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """Remove a group as soon as the last of its processes that is coming to its end has been waited for."""
    deadline_s = time.monotonic() + _END_S
    while True:
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            select.poll().poll(2)
        else:
            return


def _has_pids(root: Path) -> bool:
    if root.name == "pids":
        return root.is_dir() and os.access(root, os.W_OK)
    try:
        return "pids" in (root / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False


def _group_of(pid: int, root: Path) -> Path:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == ("pids" if root.name == "pids" else ""):
            return root / path.lstrip("/")
    return root
