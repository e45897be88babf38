"""How many physical cores there are, asked of each system in its own way.

The answer of a system is remembered in `physical_cores_cache`, failure included. A counter that a
program puts in the place of one of these is looked up in `loky.backend.context` at each call.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    Cores = tuple[int | str, Exception | None]

NOT_FOUND = "not found"


def _count_physical_cores(cpu_set: "Collection[int] | None" = None) -> "Cores":
    """The number and None, or "not found" and the reason, which is told only the first time.

    Args:
        cpu_set: only cores under these CPUs count, on Linux; None: all.
    """
    from . import _cpu_count

    cache = _cpu_count.names().physical_cores_cache
    if isinstance(cache, int):
        return cache, None
    if not isinstance(cache, dict):
        return _ask_system(cpu_set)
    key = None if cpu_set is None else frozenset(cpu_set)
    if key in cache:
        return cache[key], None
    answer = _ask_system(cpu_set)
    cache[key] = answer[0]
    return answer


def _ask_system(cpu_set: "Collection[int] | None") -> "Cores":
    try:
        count = _counter()(cpu_set)
        if count < 1:
            raise ValueError(f"found {count} physical cores < 1")
    except Exception as error:
        return NOT_FOUND, error
    return count, None


def _counter() -> "Callable[[Collection[int] | None], int]":
    from . import _cpu_count

    names = _cpu_count.names()
    platform: str = sys.platform
    if platform == "linux":
        return lambda cpu_set: int(names._count_physical_cores_linux(cpu_set))
    if platform == "win32":
        return lambda _cpu_set: int(names._count_physical_cores_win32())
    if platform == "darwin":
        return lambda _cpu_set: int(names._count_physical_cores_darwin())
    if platform.startswith("freebsd"):
        return lambda _cpu_set: int(names._count_physical_cores_freebsd())
    raise NotImplementedError(f"unsupported platform: {platform}")


def _count_physical_cores_linux(cpu_set: "Collection[int] | None" = None, root: str = "") -> int:
    """Distinct pairs of socket and core among the processors of the set."""
    cores: set[tuple[str, str]] = set()
    fields: dict[str, str] = {}

    def finish_processor() -> None:
        if "core id" in fields and (cpu_set is None or int(fields["processor"]) in cpu_set):
            cores.add((fields.get("physical id", "0"), fields["core id"]))
        fields.clear()

    # By the path alone: what programs put in the place of `open` may take no more than that.
    with open(f"{root}/proc/cpuinfo") as lines:
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                fields[name.strip()] = value.strip()
            elif not line.strip():
                finish_processor()
    finish_processor()
    if not cores:
        raise ValueError("no physical core is listed in /proc/cpuinfo")
    return len(cores)


def _count_physical_cores_darwin() -> int:
    return int(_output_of("sysctl", "-n", "hw.physicalcpu"))


def _count_physical_cores_freebsd() -> int:
    return int(_output_of("sysctl", "-n", "kern.smp.cores"))


def _count_physical_cores_win32() -> int:
    """By the first way that answers: the system's call, PowerShell, the older tool before that."""
    from . import _cpu_count

    names = _cpu_count.names()
    ways: tuple[Callable[[], int], ...] = (
        names._count_physical_cores_win32_ctypes,
        names._count_physical_cores_win32_powershell,
        _count_physical_cores_win32_wmic,
    )
    for way in ways:
        try:
            count = int(way())
        except Exception:
            continue
        if count > 0:
            return count
    raise ValueError("neither the system nor its tools name a number")


def _count_physical_cores_win32_powershell() -> int:
    """The sum of the numbers that PowerShell prints, one for each socket."""
    query = "(Get-CimInstance -ClassName Win32_Processor).NumberOfCores"
    return _sum_of_lines(_output_of("powershell.exe", "-Command", query))


def _count_physical_cores_win32_wmic() -> int:
    return _sum_of_lines(_output_of("wmic", "CPU", "Get", "NumberOfCores", "/Format:csv"))


def _count_physical_cores_win32_ctypes() -> int:
    """Records of the relation "one core" that the system gives; each begins with kind and size."""
    import ctypes

    ask = ctypes.WinDLL("kernel32").GetLogicalProcessorInformationEx  # type: ignore[attr-defined]
    length = ctypes.c_ulong(0)
    ask(0, None, ctypes.byref(length))
    records = ctypes.create_string_buffer(length.value)
    if not ask(0, records, ctypes.byref(length)):
        raise OSError("the relations of the processors cannot be had")
    content = records.raw
    cores = offset = 0
    while offset + 8 <= length.value:
        size = int.from_bytes(content[offset + 4 : offset + 8], "little")
        if size <= 0:
            break
        cores += 1
        offset += size
    return cores


def _sum_of_lines(text: str) -> int:
    numbers = [line.rpartition(",")[2].strip() for line in text.splitlines()]
    return sum(int(number) for number in numbers if number.isdigit())


def _output_of(*command: str) -> str:
    import subprocess

    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
