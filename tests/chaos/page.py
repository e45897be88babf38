"""Makes the tables of `docs/reliability.md` from the results beside this file: `python -m tests.chaos.page`.

`--check` only compares. Nothing in a table is typed by hand.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tools import pages

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = Path(__file__).parent / "results"
PEERS_FILE = RESULTS / "peers.json"

_ENDS = {
    "value": "its value",
    "ValueError": "the exception that it raised",
    "TypeError": "the error of a value that cannot be pickled",
    "cancelled": "cancelled, by force or not",
    "died": "`TerminatedWorkerError`, blamed and begun",
    "broken": "`TerminatedWorkerError`, its pool was broken by another's death, as asked for",
    "timeout": "`TaskTimeoutError`, it had run for too long",
    "expired": "`TaskTimeoutError`, it had waited for too long and never ran",
    "memory_limit": "`TerminatedWorkerError`, it passed its limit on memory",
    "MemoryError": "`MemoryError`, it passed its soft limit",
    "lacked a resource": "the error of a resource that was scarce",
}
_BLOWS = {
    "SIGKILL": "SIGKILL to a worker",
    "SIGTERM": "SIGTERM to a worker",
    "SIGSEGV": "SIGSEGV to a worker",
    "SIGABRT": "SIGABRT to a worker",
    "stop": "SIGSTOP to a worker, SIGCONT later",
    "zygote SIGKILL": "SIGKILL to the zygote",
    "all and zygote SIGKILL": "SIGKILL to all workers and, at once, the zygote",
    "zygote SIGSEGV": "SIGSEGV to the zygote",
    "zygote SIGTERM": "SIGTERM to the zygote",
    "zygote stop": "SIGSTOP to the zygote, SIGCONT later",
    "resize": "another number of workers",
    "cancel": "a quarter of the waiting tasks cancelled",
    "cancel by force": "running and waiting tasks cancelled by force",
    "files": "the table of descriptors full",
    "processes": "no process can be started",
    "memory": "a worker gets no more memory",
}
_COLUMNS: tuple[tuple[str, str], ...] = (
    ("as planned", "ended as planned"),
    ("cancelled", "cancelled"),
    ("lost", "lost"),
    ("lost and never begun", "of these never begun"),
    ("without an end", "without an end"),
    ("wrong", "wrong end"),
    ("began twice", "began twice"),
    ("broken pools", "pools broken"),
    ("hangs", "pools hung"),
    ("blocked calls", "calls blocked"),
    ("ends that failed", "forced ends that failed"),
    ("processes left", "processes left"),
    ("seconds", "seconds"),
)


def _row(*cells: object) -> str:
    shown = (f"{cell:,}" if isinstance(cell, (int, float)) else str(cell) for cell in cells)
    return f"| {' | '.join(shown)} |"


def _counts(title: str, names: dict[str, str], found: dict[str, int]) -> Iterable[str]:
    unknown = found.keys() - names.keys()
    if unknown:
        raise ValueError(f"the page has no words for {sorted(unknown)}")
    yield _row(title, "count")
    yield _row("---", "---:")
    for name, words in names.items():
        if found.get(name):
            yield _row(words, found[name])


def add_up(total: dict[str, Any], figures: dict[str, Any]) -> None:
    """Add the figures of a run to those of others."""
    for name, value in figures.items():
        if isinstance(value, dict):
            add_up(total.setdefault(name, {}), value)
        elif isinstance(value, list):
            total[name] = [*total.get(name, []), *value]
        else:
            total[name] = round(total.get(name, 0) + value, 1)


def campaign_table() -> str:
    """What the long campaign has found, in one or more parts side by side."""
    found: dict[str, Any] = {}
    for part in sorted(RESULTS.glob("campaign*.json")):
        add_up(found, json.loads(part.read_text(encoding="utf-8")))
    figures = {
        "tasks": found["tasks"],
        "executions, as the tasks recorded them": found["executions"],
        "workers started": found["workers"],
        "segments, each with a pool of its own": sum(last - first + 1 for first, last in found["seeds"]),
        "seeds": ", ".join(f"{first} to {last}" for first, last in found["seeds"]),
        "seconds, added up over all segments": round(found["seconds"]),
        "broken promises": found["violations"],
    }
    if "broken" in found:
        figures["pools broken by a death, as asked for"] = found["broken"]
    if "strays" in found:
        # What is left is a broken promise by now, and not counted.
        figures["stray children of tasks"] = found["strays"]
    lines = [
        _row("figure", "value"),
        _row("---", "---:"),
        *(_row(name, value) for name, value in figures.items()),
        "",
        *_counts("end of a task", _ENDS, found["ends"]),
        "",
        *_counts("done to the pool", _BLOWS, found["blows"]),
    ]
    return "\n".join(lines)


def peers_table() -> str:
    """What each contender made of the same plan."""
    found = json.loads(PEERS_FILE.read_text(encoding="utf-8"))
    contenders: list[dict[str, Any]] = found["contenders"]
    tasks = {figures["tasks"] for figures in contenders}
    counts = " or ".join(f"{count:,}" for count in sorted(tasks))
    lines = [
        f"{counts} tasks, seed {found['seed']}, Python {found['python']}.",
        "",
        _row("", *(figures["name"] for figures in contenders)),
        _row("---", *("---:" for _ in contenders)),
    ]
    lines += [
        _row(
            words,
            *(figures["error"] if "error" in figures else figures.get(name, 0) for figures in contenders),
        )
        for name, words in _COLUMNS
    ]
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {"campaign": campaign_table, "peers": peers_table}


def renewed(page: str) -> str:
    """Put the tables between their marks.

    Raises:
        ValueError: a mark is missing, or a result has no words on the page.
    """
    for name, table in PARTS.items():
        begin, end = f"<!-- {name}: made by tests/chaos/page.py -->", f"<!-- end of {name} -->"
        page = pages.between(page, begin, end, table())
    return page


def main() -> int:
    """Renew or compare; 1 where the page is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    return pages.renew_or_check(PAGE, renewed(PAGE.read_text(encoding="utf-8")), options)


if __name__ == "__main__":
    sys.exit(main())
