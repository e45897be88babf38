"""Where and when numbers were taken, in words that belong beside them."""

import datetime
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def describe(peers_python: str) -> dict[str, str]:
    """Collect what a reader must know to compare."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} x {_processor()}, {_memory_gib()} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "loky-rs": f"{version('loky-rs')} ({_commit()})",
        "loky": _ask(peers_python, "import loky; print(loky.__version__)"),
        "numpy": version("numpy"),
    }


def short_name() -> str:
    """Name the kind of machine for a file name."""
    return f"{platform.system().lower()}-{platform.machine()}-{os.cpu_count()}cpu"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "no commit"


def _ask(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
