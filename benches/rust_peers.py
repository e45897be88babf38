"""Measures the Rust front against its peers, several times in turn, and writes the table of medians.

Usage: `python -m benches.rust_peers [--rounds 5]` builds the benches of `crates/loky/peers`, runs all of
them in each round, so that every contender has its turn on a machine that changes, and renews the table in
`docs/performance.md`. Each runs in a process of its own, in a session that is ended with it: what one leaves
behind costs the next one nothing, and one that hangs is named and not waited for.
"""

import argparse
import contextlib
import json
import os
import re
import signal
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
LIMIT_S = 60.0
BRIEFLY = ("--warm-up-time", "0.2", "--measurement-time", "0.6", "--sample-size", "10", "--discard-baseline")
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


def names(program: Path) -> list[str]:
    """Ask for the names of all benches, in their order."""
    listed = subprocess.run(
        [program, "--bench", "--list"], cwd=PEERS, check=True, stdout=subprocess.PIPE, text=True
    )
    lines = (line.removesuffix(": benchmark") for line in listed.stdout.splitlines())
    return [line for line in lines if line]


def one_round(program: Path, wanted: Sequence[str]) -> dict[str, float]:
    """Run each of these once, briefly; seconds by name. One that does not end has no time."""
    times: dict[str, float] = {}
    for name in wanted:
        printed = run_alone([str(program), "--bench", "--exact", name, *BRIEFLY])
        if printed is None:
            sys.stderr.write(f"{name}: has not ended within {LIMIT_S} s\n")
        else:
            times |= parsed(printed)
    return times


def run_alone(command: Sequence[str], limit_s: float = LIMIT_S) -> str | None:
    """Run a program in a session of its own, which ends with it; what it printed, unless it took too long."""
    with subprocess.Popen(
        command,
        cwd=PEERS,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            printed = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if printed is not None and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return printed


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
        for name in dict.fromkeys(name for times in rounds for name in times):
            if name.startswith(f"{group}/"):
                seen = [times[name] for times in rounds if name in times]
                spread = f"{shown(min(seen))} … {shown(max(seen))}"
                lines.append(f"| {name.partition('/')[2]} | {shown(statistics.median(seen))} | {spread} |")
    return "\n".join(lines)


MANY = 20_000
"""How many tasks the benches of many tasks have."""

ROUND_TRIP = "round_trip/loky"
SLEEPING = "round_trip/floor: memory, both sleep and are woken"
LOOKING = "round_trip/floor: memory, both look without end"
ROWS = ("throughput/loky, 20,000, map ahead by/64", "throughput/loky, 20,000, map ahead by/1024")
LARGE = "64_MiB_both_ways/loky"
COPIES = "64_MiB_both_ways/floor: two copies into memory that is there"


def goals(rounds: Sequence[dict[str, float]]) -> str:
    """Say how far off the goals are. What is compared was measured in the same round."""

    def ratio(ours: str, floor: str) -> str:
        ratios = [times[ours] / times[floor] for times in rounds if {ours, floor} <= times.keys()]
        if not ratios:
            return "not measured"
        return f"{statistics.median(ratios):.2g} ({min(ratios):.2g} … {max(ratios):.2g})"

    rates = [
        MANY / min(times[name] for name in ROWS if name in times)
        for times in rounds
        if {*ROWS} & times.keys()
    ]
    rate = (
        f"{statistics.median(rates):,.0f} ({min(rates):,.0f} … {max(rates):,.0f})"
        if rates
        else "not measured"
    )
    return "\n".join(
        (
            "| goal | wanted | median of the rounds, least … most |",
            "|---|---|---:|",
            f"| round trip, to memory and sleepers | at most 1.5 times | {ratio(ROUND_TRIP, SLEEPING)} |",
            f"| round trip, to memory and lookers | – | {ratio(ROUND_TRIP, LOOKING)} |",
            f"| empty tasks a second, two workers | at least 300,000 | {rate} |",
            f"| 64 MiB there and back, to two bare copies | 1: copy speed | {ratio(LARGE, COPIES)} |",
        )
    )


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
    wanted = [name for name in names(program) if re.search(options.only, name)]
    rounds = [one_round(program, wanted) for _ in range(options.rounds)]
    load = f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    day = datetime.now(UTC).date().isoformat()
    text = f"{day}, {os.cpu_count()} processors, {load}, {len(rounds)} rounds."
    text = f"{text}\n\n{table(rounds)}\n\n{goals(rounds)}"
    sys.stdout.write(text + "\n")
    if not options.only:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(pages.between(page, BEGIN, END, text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
