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
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WORKERS_MAX_ON_WINDOWS = 61
_CGROUP_MOUNT = "/sys/fs/cgroup"

physical_cores_cache: "dict[frozenset[int] | None, int | str]" = {}
_warned: set[str] = set()


def cpu_count(only_physical_cores: bool = False) -> int:
    """Number of CPUs that this process may use, at least 1: the least of all limits.

    The limits are the machine's CPUs, the affinity of the process, the CPU quota of its cgroup and
    of the groups around that (rounded up to whole CPUs), and the variable `LOKY_MAX_CPU_COUNT`.

    Args:
        only_physical_cores: also count the cores under these CPUs, where two hyper-threads are one.
    """
    machine = os.cpu_count() or 1
    if sys.platform == "win32":
        machine = min(machine, _WORKERS_MAX_ON_WINDOWS)
    affinity = _affinity()
    limits = [
        machine,
        len(affinity) if affinity else machine,
        _cgroup_limit(machine),
        _limit_of_user(machine),
    ]
    logical = max(1, min(limits))
    if not only_physical_cores:
        return logical
    cores = _physical_cores(affinity)
    if isinstance(cores, int):
        return max(1, min(logical, cores))
    return logical


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, UserWarning, stacklevel=4)


def _affinity() -> set[int] | None:
    try:
        return os.sched_getaffinity(0)
    except (AttributeError, NotImplementedError, OSError):
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


def _cgroup_limit(default: int, root: str = "") -> int:
    """CPUs that the quotas of this process's control groups leave, in version 2 or 1.

    Args:
        default: the answer where there is no quota.
        root: a directory in which `/proc` and `/sys` are looked up.
    """
    mount = root + _CGROUP_MOUNT
    v2, v1 = _own_groups(root)
    quotas = [_quota_v2(f"{mount}{group}/cpu.max") for group in _upwards(v2)]
    if all(quota is None for quota in quotas):
        quotas = [
            _quota_v1(f"{mount}/{folder}{group}")
            for folder in ("cpu", "cpu,cpuacct")
            for group in _upwards(v1)
        ]
    cpus = [math.ceil(quota) for quota in quotas if quota is not None]
    return min([default, *cpus])


def _own_groups(root: str) -> tuple[str, str]:
    """Paths of this process's groups: version 2, and the `cpu` controller of version 1."""
    v2 = v1 = "/"
    try:
        with open(f"{root}/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                number, controllers, path = line.rstrip("\n").split(":", 2)
                if number == "0" and not controllers:
                    v2 = path
                elif "cpu" in controllers.split(","):
                    v1 = path
    except (OSError, ValueError):
        pass  # The file system of a container may hide it; the groups at the root remain.
    return v2, v1


def _upwards(group: str) -> "Iterator[str]":
    """The group and those around it, the outermost as the empty string.

    A path from outside the cgroup namespace begins with `..` and cannot be seen from here.
    """
    group = posixpath.normpath("/" + group)
    while group.strip("/"):
        yield group
        group = posixpath.dirname(group)
    yield ""


def _first_line(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return None


def _quota_v2(path: str) -> float | None:
    line = _first_line(path)
    if line is None:
        return None
    fields = line.split()
    if len(fields) != 2:
        return None
    return _ratio(fields[0], fields[1], path)


def _quota_v1(folder: str) -> float | None:
    quota = _first_line(f"{folder}/cpu.cfs_quota_us")
    period = _first_line(f"{folder}/cpu.cfs_period_us")
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


def _physical_cores(affinity: set[int] | None) -> int | str:
    """Number of physical cores, or "not found", which is warned about once."""
    key = None if affinity is None else frozenset(affinity)
    known = physical_cores_cache.get(key)
    if known is not None:
        return known
    try:
        cores: int | str = _count_physical_cores(affinity)
        if not cores:
            raise ValueError("no processor names its core")
    except Exception as error:
        cores = "not found"
        warnings.warn(
            f"Could not find the number of physical cores for the following reason:\n{error}\n"
            "Returning the number of logical cores instead. You can silence this warning by setting "
            "LOKY_MAX_CPU_COUNT to the number of cores you want to use.",
            UserWarning,
            stacklevel=3,
        )
        traceback.print_tb(error.__traceback__)
    physical_cores_cache[key] = cores
    return cores


def _count_physical_cores(affinity: set[int] | None, root: str = "") -> int:
    platform: str = sys.platform
    if platform == "linux":
        return _count_cores_of_linux(affinity, root)
    if platform == "darwin":
        import subprocess

        answer = subprocess.run(
            ["sysctl", "-n", "hw.physicalcpu"], capture_output=True, text=True, check=True
        )
        return int(answer.stdout)
    raise NotImplementedError(f"unsupported platform: {platform}")


def _count_cores_of_linux(affinity: set[int] | None, root: str) -> int:
    """Distinct pairs of socket and core among the processors of the affinity set."""
    cores: set[tuple[str, str]] = set()
    fields: dict[str, str] = {}

    def finish_processor() -> None:
        if "core id" in fields and (affinity is None or int(fields["processor"]) in affinity):
            cores.add((fields.get("physical id", "0"), fields["core id"]))
        fields.clear()

    with open(f"{root}/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                fields[name.strip()] = value.strip()
            elif not line.strip():
                finish_processor()
    finish_processor()
    return len(cores)
