"""Plays a row on a stage: brings the fault about, and looks at everybody whom it may concern.

Run as a program it plays one row in an interpreter of its own, for rows that change or end that.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

from tests.faults.stage import WAIT_S, Stage
from tests.faults.table import Others, Row
from tests.support import census

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 25
DESCRIPTORS_MAX = 256


def play(row: Row, stage: Stage) -> None:
    """Assert all that the row says."""
    if not row.cold:
        stage.warm_up()
        if row.crowd:
            stage.gather_crowd()
    future = row.provoke(stage)
    if not row.cold and row.crowd:
        stage.fill_queue()
    outcome = row.outcome(stage.mode)
    error = None
    if outcome is not None:
        error, value = stage.outcome(future)
        outcome.check(error, value)
        del value
    row.proof(stage)
    _look_at_others(row, stage, error)


def _look_at_others(row: Row, stage: Stage, error: BaseException | None) -> None:
    others = row.bystanders(stage.mode)
    match others:
        case Others.UNTOUCHED | Others.REPLACED | Others.RENEWED:
            stage.check_living(replaced=others is Others.REPLACED, renewed=others is Others.RENEWED)
        case Others.BROKEN:
            stage.check_broken(error)
        case Others.SHUT:
            stage.check_shut()
        case Others.FINISHED:
            stage.check_finished()
        case Others.GONE:
            pass


def play_alone(name: str, mode: str, launcher: str, folder: Path) -> None:
    """Play a row in a fresh interpreter and demand that it succeeds there."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.theatre", name, mode, launcher, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stdout.endswith("as told\n"), done.stdout


def _main(name: str, mode: str, launcher: str, folder: str) -> None:
    from tests.faults.rows import ROWS

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS_MAX, hard))
    (row,) = [row for row in ROWS if row.name == name]
    before = census.take()
    stage = Stage(mode, launcher, Path(folder), row.options, lambda: "")
    try:
        play(row, stage)
    finally:
        stage.close()
    del stage
    left = census.settle(before, WAIT_S)
    assert not left, "left behind:\n  " + "\n  ".join(left)
    sys.stdout.write("as told\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
