"""Out of memory is said where the kernel has killed for it, and nowhere else."""

import json
import subprocess
import sys

import pytest

from tests.evidence.groups import memory_group
from tests.support import programs
from tests.support.waiting import LIMIT_S

LIMIT_BYTES = 160 << 20

PROGRAM = """
import json, os, signal, sys
from loky import ProcessPoolExecutor, TerminatedWorkerError

def fill():
    pieces = []
    while True:
        pieces.append(bytearray(b"x") * (1 << 20))

def killed():
    os.kill(os.getpid(), signal.SIGKILL)

def work(item):
    return item * 10

def main(procs, kinds):
    with open(procs, "w") as file:
        file.write(str(os.getpid()))
    told = []
    with ProcessPoolExecutor(2, launcher=sys.argv[3]) as executor:
        for kind in kinds.split():
            others = [executor.submit(work, item) for item in range(10)]
            future = executor.submit(globals()[kind])
            error = future.exception()
            assert type(error) is TerminatedWorkerError, error
            assert [other.result() for other in others] == [10 * item for item in range(10)]
            told.append([error.report.as_dict(), str(error)])
    print(json.dumps(told))

main(*sys.argv[1:3])
"""


def reports(tmp_path, group, kinds, launcher):
    path = programs.write(tmp_path / "program.py", PROGRAM)
    process = subprocess.run(
        [sys.executable, path, group.procs, kinds, launcher],
        capture_output=True,
        text=True,
        timeout=LIMIT_S * 2,
        check=False,
        env=programs.environment(),
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.parametrize("launcher", ["zygote", "exec"])
def test_a_kill_by_the_kernel_is_told_as_what_it_is(tmp_path, launcher):
    with memory_group(LIMIT_BYTES) as group:
        [[report, text]] = reports(tmp_path, group, "fill", launcher)
    assert (report["cause"], report["signal"], report["exitcode"]) == ("oom", "SIGKILL", -9)
    assert report["task"] == "fill"
    facts = " ".join(report["evidence"])
    assert f"has counted an out-of-memory kill in its memory cgroup {group.name}" in facts
    assert "160 MiB" in facts
    first = text.splitlines()[0]
    assert "was killed by the kernel for lack of memory" in first
    assert "{SIGKILL(-9)}" in first


def test_a_kill_from_elsewhere_is_not_taken_for_one_by_the_kernel(tmp_path):
    with memory_group(LIMIT_BYTES) as group:
        told = reports(tmp_path, group, "killed fill killed", "zygote")
    assert [report["cause"] for report, _ in told] == ["signal", "oom", "signal"]
    for report, text in (told[0], told[2]):
        assert any("has counted no out-of-memory kill" in fact for fact in report["evidence"])
        assert "which this pool did not send; possibly out of memory" in text.splitlines()[0]
