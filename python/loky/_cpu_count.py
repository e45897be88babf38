"""How many CPUs this process may use: the machine, its affinity, its cgroup and the user's wish.

Everything is read at each call, so that a change shows, except the number of physical cores, which
is remembered per set of CPUs. A value that cannot be understood is no limit, and is warned about
once. It changes nothing.
"""

import math
import os
import posixpath
import sys
import traceback

from . import _warnings
from ._physical_cores import (
    _count_physical_cores,
    _count_physical_cores_darwin,
    _count_physical_cores_freebsd,
    _count_physical_cores_linux,
    _count_physical_cores_win32,
    _count_physical_cores_win32_ctypes,
    _count_physical_cores_win32_powershell,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MAX_WINDOWS_WORKERS = 61
__all__ = [
    "_MAX_WINDOWS_WORKERS",
    "_count_physical_cores",
    "_count_physical_cores_darwin",
    "_count_physical_cores_freebsd",
    "_count_physical_cores_linux",
    "_count_physical_cores_win32",
    "_count_physical_cores_win32_ctypes",
    "_count_physical_cores_win32_powershell",
    "_cpu_count_affinity_set",
    "_cpu_count_cgroup",
    "cpu_count",
    "names",
    "physical_cores_cache",
]

_CGROUP_MOUNT = "/sys/fs/cgroup"

physical_cores_cache: "Any" = {}
"""Numbers of cores by set of CPUs. Programs may put a number in its place, which is then the answer."""

_warned: set[str] = set()


def names() -> "Any":
    """The module in which the parts are looked up: programs replace them in `loky.backend.context`."""
    return sys.modules.get("loky.backend.context") or sys.modules[__name__]


def cpu_count(only_physical_cores: bool = False) -> int:
    """Number of CPUs that this process may use, at least 1: the least of all limits.

    The limits are the machine's CPUs, the affinity of the process, the CPU quota of its cgroup and
    of the groups around that (rounded up to whole CPUs), and the variable `LOKY_MAX_CPU_COUNT`.

    Args:
        only_physical_cores: also count the cores under these CPUs, where two hyper-threads are one.
    """
    machine = os.cpu_count() or 1
    if sys.platform == "win32":
        machine = min(machine, _MAX_WINDOWS_WORKERS)
    module = names()
    affinity = module._cpu_count_affinity_set()
    limits: list[int] = [
        machine,
        machine if affinity is None else len(affinity),
        module._cpu_count_cgroup(machine),
        _limit_of_user(machine),
    ]
    logical = max(1, min(limits))
    if not only_physical_cores:
        return logical
    cores = _physical_cores(affinity)
    return logical if cores is None else max(1, min(logical, cores))


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        _warn(text)


def _cpu_count_affinity_set() -> set[int] | None:
    """The CPUs that this process may run on, or None if that cannot be known."""
    try:
        return os.sched_getaffinity(0)
    except (AttributeError, NotImplementedError, OSError):
        pass
    try:
        import psutil

        return set(psutil.Process().cpu_affinity())
    except (ImportError, AttributeError, OSError):
        pass
    if sys.platform == "linux" and os.environ.get("LOKY_MAX_CPU_COUNT") is None:
        _warn(
            "Failed to inspect CPU affinity constraints on this system. Please install psutil or set "
            "LOKY_MAX_CPU_COUNT."
        )
    return None


def _limit_of_user(default: int) -> int:
    text = os.environ.get("LOKY_MAX_CPU_COUNT")
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        _warn_once(f"LOKY_MAX_CPU_COUNT={text!r} is not a whole number and is ignored.")
        return default


def _cpu_count_cgroup(os_cpu_count: int, root: str = "") -> int:
    """CPUs that the quotas of this process's control groups leave, in version 2 or 1.

    That may be more than there are.

    Args:
        os_cpu_count: the answer where there is no quota.
        root: a directory in which `/proc` and `/sys` are looked up.
    """
    mount = root + _CGROUP_MOUNT
    v2, v1 = own_groups(f"{root}/proc/self/cgroup", "cpu")
    quotas = [_quota_v2(f"{mount}{group}/cpu.max") for group in upwards(v2)]
    if all(quota is None for quota in quotas):
        quotas = [
            _quota_v1(f"{mount}/{folder}{group}")
            for folder in ("cpu", "cpu,cpuacct")
            for group in upwards(v1)
        ]
    cpus = [math.ceil(quota) for quota in quotas if quota is not None]
    return min(cpus, default=os_cpu_count)


def own_groups(path: str, controller: str) -> tuple[str, str]:
    """Paths of this process's groups: version 2, and a controller of version 1."""
    v2 = v1 = "/"
    if not os.path.exists(path):
        return v2, v1
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                number, controllers, group = line.rstrip("\n").split(":", 2)
                if number == "0" and not controllers:
                    v2 = group
                elif controller in controllers.split(","):
                    v1 = group
    except (OSError, ValueError):
        pass  # The file system of a container may hide it; the groups at the root remain.
    return v2, v1


def upwards(group: str) -> "Iterator[str]":
    """The group and those around it, the outermost as the empty string.

    A path from outside the cgroup namespace begins with `..` and cannot be seen from here.
    """
    group = posixpath.normpath("/" + group)
    while group.strip("/"):
        yield group
        group = posixpath.dirname(group)
    yield ""


def _text_of(path: str) -> str | None:
    if not os.path.exists(path):
        return None
    try:
        # By the path alone: what programs put in the place of `open` may take no more than that.
        with open(path) as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _quota_v2(path: str) -> float | None:
    text = _text_of(path)
    if text is None:
        return None
    fields = text.split()
    if len(fields) != 2:
        return None
    return _ratio(fields[0], fields[1], path)


def _quota_v1(folder: str) -> float | None:
    quota = _text_of(f"{folder}/cpu.cfs_quota_us")
    period = _text_of(f"{folder}/cpu.cfs_period_us")
    if quota is None or period is None:
        return None
    return _ratio(quota, period, f"{folder}/cpu.cfs_quota_us")


def _ratio(quota: str, period: str, path: str) -> float | None:
    """Quota over period in CPUs; None without a quota."""
    if quota == "max":
        return None
    try:
        quota_us, period_us = int(quota), int(period)
    except ValueError:
        _warn_once(f"The CPU quota {quota!r} over {period!r} in {path} is not understood and is ignored.")
        return None
    if quota_us <= 0 or period_us <= 0:
        return None
    return quota_us / period_us


def _physical_cores(affinity: set[int] | None) -> int | None:
    """Number of physical cores, or None if it cannot be found, which is warned about."""
    if sys.platform != "linux":
        affinity = None
    if isinstance(names().physical_cores_cache, int):
        return int(names().physical_cores_cache)  # Programs put the number itself there.
    answer = _ask(names()._count_physical_cores, affinity)
    cores, error = answer if isinstance(answer, tuple) else (answer, None)
    if error is not None:
        _warn(
            f"Could not find the number of physical cores for the following reason:\n{error}\n"
            "Returning the number of logical cores instead. You can silence this warning by setting "
            "LOKY_MAX_CPU_COUNT to the number of cores you want to use."
        )
        traceback.print_tb(error.__traceback__)
    return cores if isinstance(cores, int) else None


def _ask(counter: "Any", affinity: set[int] | None) -> "Any":
    """Call the counter; one that a program has put in its place may take no argument."""
    try:
        positional = counter.__code__.co_argcount
    except AttributeError:
        positional = 1
    return counter(affinity) if positional else counter()


def _warn(text: str) -> None:
    _warnings.warn(text, "loky.backend.context")
