"""Measures the Rust front against its peers, several times in turn, and writes the table of medians.

Usage: `python -m benches.rust_peers [--rounds 5]` builds the benches of `crates/loky/peers`, runs all of
them in each round, so that every contender has its turn on a machine that changes, and renews the table in
`docs/performance.md`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tools import pages

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "crates" / "loky" / "peers"
PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- measured by benches/rust_peers.py: begin -->"
END = "<!-- measured by benches/rust_peers.py: end -->"
UNITS = {"ns": 1e-9, "µs": 1e-6, "us": 1e-6, "ms": 1e-3, "s": 1.0}
GROUPS = {
    "round_trip": "one empty task after the other",
    "throughput": "many empty tasks on two workers, the time of all",
    "64_MiB_both_ways": "64 MiB to a worker and back",
    "crash_and_next": "a task that ends its process, and the next one",
}
_NAME = re.compile(r"^(?P<name>\w+/.*?)(?:\s+time:.*)?$")
_TIME = re.compile(r"time:\s+\[\S+ \S+ (?P<value>[\d.]+) (?P<unit>\S+) \S+ \S+\]")


def build() -> Path:
    """Build the benches; the path of their program."""
    command = ["cargo", "bench", "--bench", "peers", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=PEERS, check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in lines.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "peers":
            return Path(message["executable"])
    raise RuntimeError("cargo has built no program `peers`")


def one_round(program: Path, only: str) -> dict[str, float]:
    """Run every bench once, briefly; seconds by name."""
    options = ["--bench", only, "--warm-up-time", "0.5", "--measurement-time", "1.5", "--sample-size", "10"]
    done = subprocess.run(
        [program, *options],
        cwd=PEERS,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return parsed(done.stdout)


def parsed(text: str) -> dict[str, float]:
    """Read what criterion prints: a name, then, on that line or the next, three times."""
    times: dict[str, float] = {}
    name = None
    for line in text.splitlines():
        named = _NAME.match(line)
        name = named["name"].strip() if named and not line.startswith(" ") else name
        found = _TIME.search(line)
        if found and name:
            times.setdefault(name, float(found["value"]) * UNITS[found["unit"]])
    return times


def table(rounds: Sequence[dict[str, float]]) -> str:
    """Render medians, each with the least and the most of the rounds."""
    lines = ["| | median | least … most |", "|---|---:|---:|"]
    for group, title in GROUPS.items():
        lines.append(f"| **{title}** | | |")
        for name in rounds[0]:
            if name.startswith(f"{group}/"):
                seen = [times[name] for times in rounds if name in times]
                spread = f"{shown(min(seen))} … {shown(max(seen))}"
                lines.append(f"| {name.partition('/')[2]} | {shown(statistics.median(seen))} | {spread} |")
    return "\n".join(lines)


def shown(seconds: float) -> str:
    """Show a time in the unit that suits it."""
    for unit in ("s", "ms", "µs"):
        if seconds >= UNITS[unit]:
            return f"{seconds / UNITS[unit]:.3g} {unit}"
    return f"{seconds / UNITS['ns']:.3g} ns"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and renew the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="a pattern of names; the page is left alone")
    options = parser.parse_args(arguments)
    program = build()
    before = os.getloadavg()[0]
    rounds = [one_round(program, options.only) for _ in range(options.rounds)]
    load = f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    day = datetime.now(UTC).date().isoformat()
    text = f"{day}, {os.cpu_count()} processors, {load}, {len(rounds)} rounds.\n\n{table(rounds)}"
    sys.stdout.write(text + "\n")
    if not options.only:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(pages.between(page, BEGIN, END, text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
