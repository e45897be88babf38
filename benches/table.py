"""A result file as a table for readers."""

from typing import Any

OURS, MODEL = "loky-rs", "loky"

TITLES = {
    "start_up · import_ms": "import, ms",
    "start_up · first_result_ms": "start-up to first result, ms",
    "round_trip · p50_us": "round trip, median, µs",
    "round_trip · p99_us": "round trip, 99th percentile, µs",
    "throughput · submit_per_s": "`submit`, tasks a second",
    "throughput · map_1_per_s": "`map`, tasks a second",
    "throughput · map_100_per_s": "`map(chunksize=100)`, tasks a second",
    "arrays · in_1mib_ms": "1 MiB array in, ms",
    "arrays · out_1mib_ms": "1 MiB array out, ms",
    "arrays · in_64mib_ms": "64 MiB array in, ms",
    "arrays · out_64mib_ms": "64 MiB array out, ms",
    "crash_exit · seen_ms": "worker exits: error seen, ms",
    "crash_exit · next_ok_ms": "worker exits: next good result, ms",
    "crash_kill · seen_ms": "worker killed: error seen, ms",
    "crash_kill · next_ok_ms": "worker killed: next good result, ms",
    "idle · memory_per_worker_mib": "idle: memory a worker, MiB",
    "idle · processor_ms_per_s": "idle: processor time, ms a second",
    "shutdown · ms": "shutdown, ms",
    "arrays · in_64kib_ms": "64 KiB array in, ms",
    "arrays · out_64kib_ms": "64 KiB array out, ms",
    "arrays · both_64kib_ms": "64 KiB array in and out, ms",
    "arrays · both_1mib_ms": "1 MiB array in and out, ms",
    "arrays · both_64mib_ms": "64 MiB array in and out, ms",
    "backlog · submit_ms": "100,000 tasks: submit all, ms",
    "backlog · finish_ms": "100,000 tasks: last result, ms",
    "backlog · growth_mib": "100,000 tasks: memory of the parent, MiB",
    "map_auto · chunk_100_per_s": "`map(chunksize=100)` of 300,000, a second",
    "map_auto · chunk_1000_per_s": "`map(chunksize=1000)`, a second",
    "map_auto · chunk_10000_per_s": "`map(chunksize=10000)`, a second",
    "map_auto · auto_per_s": "`map(chunksize='auto')`, a second",
    "closure · per_task_us": "closure of 1 MiB, µs a task",
    "shared · array_s": "200 MiB array in 1,000 tasks, s",
    "shared · array_moved_mib": "… MiB copied for that",
    "shared · handle_us_per_task": "dict of 100,000 items by `loky.share`, µs a task",
    "crowd · cold_ms": "64 workers: 64 × 10 ms from nothing, ms",
    "crowd · warm_ms": "64 workers: 64 × 10 ms again, ms",
    "crowd · at_work": "64 workers: so many at work",
    "crowd · memory_per_worker_mib": "64 workers: memory a worker, MiB",
    "crowd · shutdown_ms": "64 workers: shutdown, ms",
    "cancel · all_ms": "10,000 waiting tasks cancelled, ms",
    "cancel · cancelled": "… so many of them",
    "processor · us_per_task": "processor time of all, µs a task",
    "forgotten · exit_ms": "exit of a program that forgot its pool, ms",
    "reusable · again_us": "`get_reusable_executor()` of a living pool, µs",
    "reusable · grow_2_to_4_ms": "… from 2 workers to 4, ms",
    "reusable · shrink_4_to_2_ms": "… from 4 workers to 2, ms",
    "numpy_task · first_result_ms": "start-up to first result of a task with numpy, ms",
    "numpy_task · later_worker_ms": "… a task with numpy in a new worker, preloaded, ms",
    "new_worker · task_ms": "a task in a worker of its own, ms",
    "wake_ups · per_s": "idle: wake-ups a second",
}


def markdown(result: dict[str, Any]) -> str:
    """Write the whole result: what was measured where, the table, the spread of our own numbers."""
    about = result["about"]
    lines = [f"# Measured on {about['date']}", ""]
    lines += [f"- {name}: {value}" for name, value in about.items() if name != "date"]
    lines += [f"- rounds: {result['rounds']}, medians shown", "", *table(result), ""]
    lines += ["## Spread", "", "Lowest and highest round.", ""]
    lines += ["| | loky-rs | loky |", "|---|---|---|"]
    for row, cells in result["rows"].items():
        spread = (_range(cells.get(name)) for name in (OURS, MODEL))
        lines.append(f"| {TITLES.get(row, row)} | {' | '.join(spread)} |")
    return "\n".join(lines) + "\n"


def table(result: dict[str, Any]) -> list[str]:
    """Write the rows, ours first; the last column says how much better than loky we are."""
    contenders = result["contenders"]
    lines = [f"| | {' | '.join(contenders)} | better than loky |"]
    lines.append("|---|" + "---:|" * (len(contenders) + 1))
    for row, cells in result["rows"].items():
        shown = [_cell(cells.get(contender)) for contender in contenders]
        lines.append(f"| {TITLES.get(row, row)} | {' | '.join(shown)} | {gain(row, cells)} |")
    return lines


def gain(row: str, cells: dict[str, Any]) -> str:
    """Say how many times better ours is than loky's, whichever direction is better."""
    ours, model = (cells.get(name, {}).get("median") for name in (OURS, MODEL))
    if not ours or not model:
        return "-"
    ratio = ours / model if row.endswith("_per_s") else model / ours
    return f"{number(ratio)} ×"


def number(value: float) -> str:
    """Write three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "-"
    if cell["median"] is None:
        return str(cell["note"])
    return number(cell["median"])


def _range(cell: dict[str, Any] | None) -> str:
    if cell is None or cell["median"] is None:
        return _cell(cell)
    return f"{number(cell['low'])} - {number(cell['high'])}"
