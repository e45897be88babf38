"""Memory cgroups that a test makes for the processes that it starts, and removes."""

import contextlib
import os
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import eventually

_ROOT = Path("/sys/fs/cgroup")


class MemoryGroup:
    """A cgroup with a limit on memory.

    Attributes:
        folder: where it is.
        name: its path, as the kernel names it.
        version: 1 or 2.
    """

    def __init__(self, folder: Path, mount: Path, version: int) -> None:
        self.folder = folder
        self.name = "/" + str(folder.relative_to(mount))
        self.version = version

    @property
    def procs(self) -> str:
        """The file that a process writes its number to in order to join."""
        return str(self.folder / "cgroup.procs")

    def join(self) -> None:
        """Move the calling process into it: for a child between fork and exec."""
        Path(self.procs).write_text(str(os.getpid()), encoding="ascii")

    def members(self) -> list[int]:
        """The processes that are in it."""
        return [int(line) for line in Path(self.procs).read_text(encoding="ascii").split()]


def _places() -> Iterator[tuple[Path, int]]:
    for mount in (_ROOT, _ROOT / "unified"):
        with contextlib.suppress(OSError):
            if "memory" in (mount / "cgroup.controllers").read_text(encoding="ascii").split():
                yield mount, 2
    if (_ROOT / "memory" / "memory.limit_in_bytes").exists():
        yield _ROOT / "memory", 1


def _make(mount: Path, version: int, limit_bytes: int) -> MemoryGroup:
    folder = mount / f"loky-test-{uuid.uuid4().hex[:12]}"
    folder.mkdir()
    try:
        name = "memory.max" if version == 2 else "memory.limit_in_bytes"
        (folder / name).write_text(str(limit_bytes), encoding="ascii")
        swap, value = ("memory.swap.max", 0) if version == 2 else ("memory.memsw.limit_in_bytes", limit_bytes)
        with contextlib.suppress(OSError):  # without accounting of swap there is no such file
            (folder / swap).write_text(str(value), encoding="ascii")
    except OSError:
        folder.rmdir()
        raise
    return MemoryGroup(folder, mount, version)


def reason_against() -> str:
    """Why no memory cgroup can be made here; empty where one can."""
    reasons = []
    for mount, version in _places():
        try:
            _make(mount, version, 2**40).folder.rmdir()
        except OSError as error:
            reasons.append(f"{mount}: {error}")
        else:
            return ""
    return "no memory cgroup can be made here: " + ("; ".join(reasons) or "none is mounted")


@contextlib.contextmanager
def memory_group(limit_bytes: int) -> Iterator[MemoryGroup]:
    """A group with this limit. Where none can be made the test is skipped, and says so aloud."""
    reasons = []
    group = None
    for mount, version in _places():
        try:
            group = _make(mount, version, limit_bytes)
            break
        except OSError as error:
            reasons.append(f"{mount}: {error}")
    if group is None:
        reason = "no memory cgroup can be made here: " + ("; ".join(reasons) or "none is mounted")
        warnings.warn(f"NOT TESTED WITH THE KERNEL: {reason}", stacklevel=2)
        pytest.skip(reason)
    try:
        yield group
    finally:
        assert eventually(lambda: not group.members()), "a process of the test is still in its group"
        group.folder.rmdir()
