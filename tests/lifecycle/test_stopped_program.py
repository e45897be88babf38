"""The helper process dies while the program is stopped: what had not begun is nobody's loss.

When the program goes on it finds the end of the helper before the last answers of its workers. One of
them turns out to have nothing to do, and another, which is over by then too, to have tasks to spare.
"""

import os
import re
import select
import signal
import time
from pathlib import Path

import pytest

from tests.faults.stage import has_stopped, state_of
from tests.support import programs
from tests.support.waiting import LIMIT_S

PROGRAM = """
    import os, sys
    from pathlib import Path
    from loky import ProcessPoolExecutor, TerminatedWorkerError

    folder = Path(sys.argv[1])

    def hold(name):
        (folder / f"held-{name}-{os.getpid()}").touch()
        with open(folder / name, "rb", buffering=0) as gate:
            gate.read(1)

    def mark(number):
        (folder / f"mark-{number}-{os.getpid()}").touch()
        return number

    if __name__ == "__main__":
        with ProcessPoolExecutor(2) as executor:
            # Short tasks have others handed on ahead of time.
            list(executor.map(abs, range(200)))
            held = [executor.submit(hold, name) for name in ("first", "second")]
            while len(list(folder.glob("held-*"))) < 2:
                pass
            marks = [executor.submit(mark, number) for number in range(10)]
            (folder / "ready-now").touch()
            for future in held + marks:
                error = future.exception()
                print("value" if error is None else f"{error.report.cause} {error.report.started}")
"""


def names(folder, prefix):
    return sorted(path.name for path in folder.glob(f"{prefix}-*"))


def wait_for(folder, prefix, count):
    deadline_s = time.monotonic() + LIMIT_S
    while len(names(folder, prefix)) < count:
        assert time.monotonic() < deadline_s, f"{names(folder, prefix)} of {count} {prefix}"
        select.poll().poll(2)
    return names(folder, prefix)


def stop(program):
    """Stop all of its threads."""
    os.kill(program, signal.SIGSTOP)
    deadline_s = time.monotonic() + LIMIT_S
    while not has_stopped(program):
        assert time.monotonic() < deadline_s
        select.poll().poll(2)


@pytest.mark.parametrize("free", ["first", "second"])
def test_tasks_that_have_not_begun_survive_the_helper(free, tmp_path):
    for name in ("first", "second"):
        os.mkfifo(tmp_path / name)
    gates = {name: os.open(tmp_path / name, os.O_RDWR) for name in ("first", "second")}
    script = programs.write(tmp_path / "program.py", PROGRAM)
    process = programs.start(script, tmp_path)
    with programs.ended_after(process):
        wait_for(tmp_path, "ready", 1)
        stop(process.pid)
        held = dict(name.removeprefix("held-").split("-") for name in names(tmp_path, "held"))
        worker = int(held[free])
        zygote = int(re.search(r"\) \w (\d+) ", Path(f"/proc/{worker}/stat").read_text())[1])
        os.write(gates[free], b".")
        # As many as had been handed to this worker run now, and their answers are not read.
        wait_for(tmp_path, "mark", 4)
        deadline_s = time.monotonic() + LIMIT_S
        looks = 0
        while looks < 20:
            assert time.monotonic() < deadline_s
            looks = looks + 1 if state_of(worker) == "S" else 0
            select.poll().poll(2)
        assert 0 < len(names(tmp_path, "mark")) < 10, "the other worker holds some of them"
        os.kill(zygote, signal.SIGKILL)
        while state_of(zygote) not in "ZX-" or state_of(worker) not in "ZX-":
            assert time.monotonic() < deadline_s
            select.poll().poll(2)
        os.kill(process.pid, signal.SIGCONT)
        output, errors = process.communicate(timeout=LIMIT_S)
    for number in gates.values():
        os.close(number)
    ends = output.split("\n")[:-1]
    blamed = ends[1 if free == "first" else 0]
    assert (process.returncode, errors) == (0, "")
    assert blamed == "zygote True"
    assert sorted(ends) == ["value"] * 11 + ["zygote True"]
