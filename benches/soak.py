"""`python -m benches.soak --seconds 3600`: work without end, and look whether anything grows.

Small tasks, arrays both ways, errors, cancellations and dying workers. After a time to settle, the
memory, the descriptors and the mappings of this process and of its helpers are noted at intervals; at
the end the last quarter of the notes must not be above the first. Workers come and go, so they are
looked at together.
"""

import argparse
import contextlib
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benches import family, tasks

WORKERS = 2
SETTLE_S = 10.0
ROUND_TASKS = 500
ARRAY_BYTES = 1 << 20
GROWTH_MAX = 1.05
SLACK = {"memory_mib": 4.0, "descriptors": 2.0, "mappings": 16.0}

Note = dict[str, float]


def work(executor: Any, array: Any, turn: int) -> None:
    """One round of everything that a pool is used for."""
    for answer in [executor.submit(tasks.nothing, item) for item in range(ROUND_TASKS)]:
        answer.result()
    for answer in [executor.submit(abs, array) for _ in range(4)]:
        tasks.touch(answer.result())
    list(executor.map(tasks.nothing, range(5000), chunksize="auto", ordered=False))
    for answer in [executor.submit(tasks.nothing, item) for item in range(100)]:
        answer.cancel()
    with contextlib.suppress(TypeError):
        executor.submit(len, turn).result()
    if turn % 20 == 0:
        with contextlib.suppress(RuntimeError):
            executor.submit(tasks.die).result()


def note() -> dict[str, Note]:
    """Look at the parent and at everything below it."""
    notes = {"parent": _look([os.getpid()])}
    notes["below"] = _look(family.descendants(os.getpid()))
    return notes


def _look(pids: list[int]) -> Note:
    seen: Note = {"memory_mib": 0.0, "descriptors": 0.0, "mappings": 0.0, "processes": float(len(pids))}
    for pid in pids:
        folder = Path("/proc", str(pid))
        # A worker may end while it is looked at.
        with contextlib.suppress(OSError):
            seen["memory_mib"] += family.memory_bytes([pid]) / (1 << 20)
            seen["descriptors"] += len(os.listdir(folder / "fd"))
            seen["mappings"] += len(folder.joinpath("maps").read_text().splitlines())
    return seen


def verdict(notes: list[dict[str, Note]]) -> list[str]:
    """What grew, in words; nothing if nothing did."""
    quarter = max(1, len(notes) // 4)
    grown = []
    for who in ("parent", "below"):
        for what, slack in SLACK.items():
            first, last = (
                statistics.median(entry[who][what] for entry in part)
                for part in (notes[:quarter], notes[-quarter:])
            )
            line = f"{who}: {what} from {first:.1f} to {last:.1f}"
            sys.stdout.write(line + "\n")
            if last > first * GROWTH_MAX + slack:
                grown.append(line)
    return grown


def main() -> None:
    """Work, look, and fail if anything grew."""
    parser = argparse.ArgumentParser(description="Look whether a pool grows in long use.")
    parser.add_argument("--seconds", type=float, default=3600.0)
    seconds: float = parser.parse_args().seconds
    from loky import ProcessPoolExecutor

    array = tasks.make(ARRAY_BYTES)
    executor = ProcessPoolExecutor(max_workers=WORKERS)
    began = time.monotonic()
    notes: list[dict[str, Note]] = []
    settle_s, next_note = min(SETTLE_S, seconds / 4), 0.0
    turn = 0
    while time.monotonic() - began < seconds:
        turn += 1
        work(executor, array, turn)
        now = time.monotonic() - began
        if now > settle_s and now >= next_note:
            notes.append(note())
            next_note = now + max(0.2, seconds / 400)
    executor.shutdown()
    sys.stdout.write(f"{turn} rounds in {seconds:.0f} s, {len(notes)} notes\n")
    if family.descendants(os.getpid()):
        sys.stdout.write("processes are left after the shutdown: trackers of resources end with this one\n")
    grown = verdict(notes)
    sys.exit("grown:\n" + "\n".join(grown) if grown else 0)


if __name__ == "__main__":
    main()
