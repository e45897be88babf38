"""`python -m benches.run`: measure all contenders in turn, write a result file. See README.md."""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benches import machine
from benches.measure import MARK
from benches.peers import ELSEWHERE, ONLY, PEERS
from benches.scenarios import HANG, SCENARIOS
from benches.table import markdown
from benches.timing import Numbers

RESULTS = Path(__file__).resolve().parent / "results"
LIMIT_S = 90.0
FAILED = "failed"


def measure(python: str, scenario: str, contender: str) -> Numbers:
    """Run one measurement in a fresh interpreter; what does not end in time is a hang."""
    command = [python, "-m", "benches.measure", scenario, contender]
    # A session of its own, so that nothing of a contender that hangs is left behind.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        output, errors = "", ""
        failure = HANG
    else:
        failure = FAILED
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for line in reversed(output.splitlines()):
        if line.startswith(MARK):
            return dict(json.loads(line.removeprefix(MARK)))
    if failure == FAILED:
        sys.stderr.write(f"{scenario}/{contender} gave no numbers:\n{errors[-2000:]}\n")
    return {"": failure}


def summary(samples: list[float | str]) -> dict[str, Any]:
    """Reduce the rounds of one number: median and range, or why there is none."""
    words = [sample for sample in samples if isinstance(sample, str)]
    numbers = [sample for sample in samples if not isinstance(sample, str)]
    if words:
        # One hang in five is a hang: its user would meet it.
        return {"median": None, "note": words[0], "rounds": len(samples)}
    return {
        "median": statistics.median(numbers),
        "low": min(numbers),
        "high": max(numbers),
        "rounds": len(samples),
    }


def run(options: argparse.Namespace) -> dict[str, dict[str, dict[str, Any]]]:
    """Measure; the result is by scenario and number, then by contender."""
    samples: dict[tuple[str, str], dict[str, list[float | str]]] = defaultdict(lambda: defaultdict(list))
    for turn in range(options.rounds):
        for scenario in options.scenarios:
            # Each round begins with another contender, so that none is always after the same one.
            shift = turn % len(options.contenders)
            for contender in options.contenders[shift:] + options.contenders[:shift]:
                if scenario not in ONLY.get(contender, SCENARIOS):
                    continue
                python = options.peers_python if contender in ELSEWHERE else sys.executable
                numbers = measure(python, scenario, contender)
                for name, value in numbers.items():
                    samples[scenario, contender][name].append(value)
                sys.stderr.write(f"round {turn + 1}: {scenario}/{contender}: {numbers}\n")
    return collect(samples)


def collect(
    samples: dict[tuple[str, str], dict[str, list[float | str]]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Order the samples by row; a contender that failed a scenario has a note in all its rows."""
    names: dict[str, list[str]] = defaultdict(list)
    for (scenario, _), numbers in samples.items():
        names[scenario] += [name for name in numbers if name and name not in names[scenario]]
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for (scenario, contender), numbers in samples.items():
        for name in names[scenario]:
            values = numbers.get(name, []) + numbers.get("", [])
            # A contender that cannot do it has nothing in the row.
            if values:
                rows.setdefault(f"{scenario} · {name}", {})[contender] = summary(values)
    return rows


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure process pools against each other.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter with loky")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--contenders", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    result = {
        "about": machine.describe(options.peers_python),
        "contenders": options.contenders,
        "rounds": options.rounds,
        "rows": run(options),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    stem = options.output / f"{result['about']['date']}-{machine.short_name()}"
    stem.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(markdown(result), encoding="utf-8")
    print(f"written: {stem}.md")


if __name__ == "__main__":
    main()
