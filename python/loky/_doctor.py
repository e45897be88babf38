"""`python -m loky doctor`: what this machine offers to a pool, and whether a pool works on it.

Its output belongs into every report of a fault. Looking changes nothing; the self-test starts pools of
its own and leaves nothing.
"""

import json
import os
import platform
import sys

from . import IMPLEMENTATION, __version__, _cpu_count, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any


class Fact:
    """One line of the table.

    Attributes:
        name: what it is about; also its name in JSON.
        value: what was found, as a plain value.
        remark: what that means, for people.
    """

    def __init__(self, name: str, value: "Any", remark: str = "") -> None:
        self.name = name
        self.value = value
        self.remark = remark


def run(as_json: bool, self_test: bool) -> int:
    """Look, try, write; the exit status."""
    sections: dict[str, list[Fact]] = {title: list(look()) for title, look in _SECTIONS.items()}
    trials = []
    if self_test:
        from . import _self_test

        trials = _self_test.run()
    failed = [trial for trial in trials if trial.outcome == "failed"]
    if as_json:
        found: dict[str, Any] = {
            title: {fact.name: fact.value for fact in facts} for title, facts in sections.items()
        }
        found["self-test"] = [trial.as_dict() for trial in trials]
        found["healthy"] = not failed
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _table(sections)))
        if trials:
            sys.stdout.write("self-test\n")
        for trial in trials:
            sys.stdout.write(f"  {trial.outcome:8} {trial.seconds:6.2f} s  {trial.name}\n")
            for line in trial.detail.splitlines():
                sys.stdout.write(f"{'':21}{line}\n")
        if self_test:
            sys.stdout.write(
                "\nAll is well.\n" if not failed else f"\n{len(failed)} of {len(trials)} trials failed.\n"
            )
    sys.stdout.flush()
    return 1 if failed else 0


def _table(sections: "dict[str, list[Fact]]") -> "Iterator[str]":
    for title, facts in sections.items():
        if not facts:
            continue
        yield title
        for fact in facts:
            yield f"  {fact.name:22} {_shown(fact.value):18} {fact.remark}".rstrip()
        yield ""


def _shown(value: "Any") -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _versions() -> "Iterator[Fact]":
    yield Fact("loky", __version__, IMPLEMENTATION)
    yield Fact("engine", _native.__version__)
    yield Fact("python", platform.python_version(), f"{platform.python_implementation()}, {sys.executable}")
    yield Fact("system", f"{platform.system()} {platform.release()}", platform.machine())
    yield Fact("c_library", " ".join(platform.libc_ver()).strip() or None)
    yield Fact("package", os.path.dirname(os.path.abspath(__file__)))


def _processes() -> "Iterator[Fact]":
    machine = _native.machine()
    launcher = os.environ.get("LOKY_LAUNCHER")
    default = "zygote" if sys.platform == "linux" else "exec"
    remark = "by the variable LOKY_LAUNCHER" if launcher else "the default; LOKY_LAUNCHER or launcher= choose"
    yield Fact("launcher", launcher or default, remark)
    transport = os.environ.get("LOKY_TRANSPORT")
    remark = "by the variable LOKY_TRANSPORT" if transport else "the default"
    yield Fact("transport", transport or "ring", remark)
    yield Fact("pidfd", machine["pidfd"], "" if machine["pidfd"] else "ends are asked for at intervals")
    yield Fact("memfd", machine["memory_files"], "" if machine["memory_files"] else "unlinked files are used")
    yield Fact("seals", machine["seals"], "" if machine["seals"] else "lengths are checked, not fixed")
    lists = machine["children_lists"]
    yield Fact("children_lists", lists, "" if lists else "descendants are found by looking at all processes")
    lost = "children of a worker that dies with its zygote are lost: by a hard limit (ulimit -Hx) or a filter"
    yield Fact("marks", machine["marks"], "" if machine["marks"] else lost)
    soft, hard = machine["open_files"]
    # A worker has a socket, a ledger and a stack file; the rest is the program's own.
    room = None if soft is None else max(0, soft - 64) // 4
    yield Fact("open_files", soft, f"hard limit {_shown(hard)}; room for some {_shown(room)} workers")
    yield Fact("user_processes", _limit("RLIMIT_NPROC"), "of this user (ulimit -u); root is not bound by it")
    yield from _processes_of_group()
    yield Fact("stack_bytes", _limit("RLIMIT_STACK"), "of the main thread (ulimit -s)")


def _limit(name: str) -> int | None:
    try:
        import resource
    except ImportError:
        return None
    number = getattr(resource, name, None)
    if number is None:
        return None
    soft: int = resource.getrlimit(number)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _processes_of_group() -> "Iterator[Fact]":
    """The tightest limit on processes of the groups around this process, and how often it was met."""
    limits = {group: _text_of(f"{group}/pids.max") or "max" for group in _groups_with_pids()}
    found = {group: int(text) for group, text in limits.items() if text != "max"}
    if not found:
        yield Fact("cgroup_processes", None, "no cgroup that can be seen from here limits processes")
        return
    group = min(found, key=found.__getitem__)
    refused = (_text_of(f"{group}/pids.events") or "").removeprefix("max ")
    remark = (
        f"{_text_of(f'{group}/pids.current')} are there; processes refused so far: {refused or 'not counted'}"
    )
    yield Fact("cgroup_processes", found[group], remark)


def _groups_with_pids() -> "Iterator[str]":
    v2, v1 = _cpu_count.own_groups("/proc/self/cgroup", "pids")
    for mount, own in (("/sys/fs/cgroup/pids", v1), ("/sys/fs/cgroup", v2)):
        for group in _cpu_count.upwards(own):
            yield mount + group


def _memory() -> "Iterator[Fact]":
    machine = _native.machine()
    total, available, swap = (_meminfo(name) for name in ("MemTotal", "MemAvailable", "SwapTotal"))
    yield Fact("total_bytes", total, _size(total))
    yield Fact("available_bytes", available, _size(available))
    yield Fact("swap_bytes", swap, _size(swap))
    group = machine["group"]
    if group is None:
        yield Fact("cgroup", None, "no memory cgroup can be seen from here")
    else:
        yield Fact("cgroup", f"version {group['version']}", group["name"])
        limit = group["limit_bytes"]
        yield Fact("cgroup_limit_bytes", limit, _size(limit) or "no limit of its own or around it")
        yield Fact("cgroup_usage_bytes", group["usage_bytes"], _size(group["usage_bytes"]))
        yield Fact(
            "cgroup_oom_kills", group["kills"], "" if group["kills"] is not None else "not counted here"
        )
    counted = machine["kernel_kills"]
    yield Fact("system_oom_kills", counted, "since the start" if counted is not None else "not counted here")
    mechanism = machine["limit_mechanism"]
    remark = (
        f"groups are made in {machine['limit_place']}"
        if mechanism == "cgroup"
        else "the variable LOKY_CGROUP can name a cgroup in which groups may be made"
    )
    yield Fact("memory_limit", mechanism, remark)


def _meminfo(name: str) -> int | None:
    for line in (_text_of("/proc/meminfo") or "").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _size(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:.0f} MiB"


def _processors() -> "Iterator[Fact]":
    machine = os.cpu_count() or 1
    affinity = _cpu_count._cpu_count_affinity_set()
    quota = _cpu_count._cpu_count_cgroup(machine)
    wish = os.environ.get("LOKY_MAX_CPU_COUNT")
    bounds = {
        "the machine": machine,
        "the affinity of this process": len(affinity) if affinity else machine,
        "the quota of a cgroup": quota,
        "LOKY_MAX_CPU_COUNT": _cpu_count._limit_of_user(machine),
    }
    count = _cpu_count.cpu_count()
    reason = next((name for name, bound in bounds.items() if bound == count), "at least one")
    yield Fact("cpu_count", count, f"by {reason}; the default number of workers")
    yield Fact("machine", machine)
    yield Fact("affinity", len(affinity) if affinity else None)
    yield Fact("cgroup_quota", quota if quota < machine else None)
    yield Fact("wish", wish, "the variable LOKY_MAX_CPU_COUNT")


def _crashes() -> "Iterator[Fact]":
    pattern = _text_of("/proc/sys/kernel/core_pattern")
    limit = _limit("RLIMIT_CORE")
    if pattern is not None and pattern.startswith("|"):
        remark = "core files go to a program"
    elif limit == 0:
        remark = "no core files: their limit is 0 (ulimit -c)"
    else:
        remark = "core files are written into the directory of the worker"
    yield Fact("core_pattern", pattern, remark)
    yield Fact("core_limit_bytes", limit)
    mode = os.environ.get("LOKY_ON_CRASH")
    yield Fact("on_crash", mode or "recover", "by the variable LOKY_ON_CRASH" if mode else "the default")
    yield Fact(
        "python_stacks",
        "PYTHONFAULTHANDLER" not in os.environ,
        "to standard error by PYTHONFAULTHANDLER, not into reports"
        if "PYTHONFAULTHANDLER" in os.environ
        else "in the reports of crashes",
    )


def _environment() -> "Iterator[Fact]":
    for name in sorted(os.environ):
        if name.startswith("LOKY_"):
            yield Fact(name, os.environ[name])


def _text_of(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


_SECTIONS: "dict[str, Callable[[], Iterable[Fact]]]" = {
    "versions": _versions,
    "processes": _processes,
    "memory": _memory,
    "processors": _processors,
    "crashes": _crashes,
    "environment": _environment,
}
