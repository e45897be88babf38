"""Runs the contest with every contender, each in a process of its own: `python -m tests.chaos.compare`.

The figures go to `tests/chaos/results/peers.json`, from which `tests.chaos.page` makes its table.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from typing import Any

from tests.chaos.page import PEERS_FILE, ROOT
from tests.chaos.peers import ELSEWHERE, PEERS

LIMIT_S = 1800


def contest(name: str, python: str, path: str, tasks: int, seed: int) -> dict[str, Any]:
    """The figures of one contender; only its name and what is known where it did not come to an end."""
    command = [python, "-m", "tests.chaos.contest", name, "--tasks", str(tasks), "--seed", str(seed)]
    # A file, because a process that is left behind would keep a pipe open.
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            status = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            return {"name": name, "tasks": tasks, "error": f"no end within {LIMIT_S} s"}
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        lines = output.read().splitlines()
    if status != 0 or not lines:
        return {"name": name, "tasks": tasks, "error": f"status {status}"}
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def main() -> None:
    """Run all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="contenders; all of them by default")
    parser.add_argument("--peers-python", required=True, help="the interpreter of an environment with loky")
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    known = json.loads(PEERS_FILE.read_text())["contenders"] if PEERS_FILE.exists() else []
    results = {figures["name"]: figures for figures in known}
    for name in arguments.names or PEERS:
        elsewhere = name in ELSEWHERE
        python = arguments.peers_python if elsewhere else sys.executable
        path = str(ROOT) if elsewhere else os.pathsep.join([str(ROOT / "python"), str(ROOT)])
        results[name] = contest(name, python, path, arguments.tasks, arguments.seed)
        print(json.dumps(results[name]), file=sys.stderr, flush=True)
        PEERS_FILE.parent.mkdir(exist_ok=True)
        ordered = [results[name] for name in PEERS if name in results]
        about = {"seed": arguments.seed, "python": platform.python_version(), "contenders": ordered}
        PEERS_FILE.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
