"""Limits on memory: the task that passes its own ends alone, before the machine suffers."""

import ctypes
import json
import subprocess
import sys

import pytest

from loky import ProcessPoolExecutor, TerminatedWorkerError, get_reusable_executor
from tests.evidence.groups import memory_group
from tests.support import programs
from tests.support.waiting import LIMIT_S

MIB = 2**20
LIMIT = 100 * MIB


def fill(count):
    """Take so many mebibytes."""
    return len([bytearray(b"x") * MIB for _ in range(count)])


def fill_in_c(count):
    """The same in one call of C that holds the interpreter's lock all the time."""
    buffer = ctypes.create_string_buffer(count * MIB)
    ctypes.pythonapi.memset(buffer, 1, count * MIB)
    return count


def fill_below(count):
    """The same in a process that the task starts."""
    code = f"x = bytearray(b'x') * ({count} << 20); import time; time.sleep(30)"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def square(number):
    return number * number


@pytest.mark.parametrize("on_crash", ["recover", "break"])
@pytest.mark.parametrize("launcher", ["zygote", "exec"])
def test_only_the_task_that_passes_its_limit_ends(pool, on_crash, launcher):
    executor = pool(2, on_crash=on_crash, launcher=launcher)
    others = [executor.submit(square, number) for number in range(40)]
    error = executor.options(memory_limit=LIMIT).submit(fill, 1500).exception()
    assert type(error) is TerminatedWorkerError
    report = error.report
    assert (report.cause, report.signal, report.exitcode, report.task) == (
        "memory_limit",
        "SIGKILL",
        -9,
        "fill",
    )
    assert "used more memory than its limit allows" in str(error).splitlines()[0]
    assert any("its limit was 100 MiB" in fact for fact in report.evidence)
    assert report.peak_rss_bytes < 1000 * MIB, "it was stopped on the way"
    assert [other.result() for other in others] == [number * number for number in range(40)]
    assert executor.submit(square, 5).result() == 25


def test_within_the_limit_nothing_happens(pool):
    executor = pool(1)
    assert executor.options(memory_limit=LIMIT).submit(fill, 20).result() == 20
    assert executor.submit(fill, 200).result() == 200


def test_a_loop_in_c_that_holds_the_interpreter_does_not_get_away(pool):
    executor = pool(1)
    error = executor.options(memory_limit=LIMIT).submit(fill_in_c, 3000).exception()
    assert error.report.cause == "memory_limit"


def test_what_the_task_has_started_counts(pool):
    executor = pool(1)
    error = executor.options(memory_limit=LIMIT).submit(fill_below, 400).exception()
    assert error.report.cause == "memory_limit"


def test_a_limit_for_all_tasks_and_another_one_for_some(pool):
    executor = pool(1, memory_limit="100M")
    assert executor.submit(fill, 1500).exception().report.cause == "memory_limit"
    assert executor.options(memory_limit="1G").submit(fill, 200).result() == 200
    assert executor.submit(square, 3).result() == 9


def test_many_tasks_pass_their_limits_and_each_is_told(pool):
    executor = pool(2)
    limited = executor.options(memory_limit=LIMIT)
    futures = [limited.submit(fill, 800 if number % 3 == 0 else 1) for number in range(12)]
    causes = [getattr(future.exception(), "report", None) for future in futures]
    assert [report and str(report.cause) for report in causes] == ["memory_limit", None, None] * 4


def test_a_task_that_passed_its_limit_may_be_tried_again(pool):
    executor = pool(1)
    error = executor.options(memory_limit=LIMIT, retries=1).submit(fill, 800).exception()
    assert [str(report.cause) for report in error.report.history] == ["memory_limit"]
    assert (error.report.cause, error.report.attempt) == ("memory_limit", 2)


def test_the_soft_limit_is_the_tasks_own_error(pool):
    executor = pool(1)
    limited = executor.options(soft_memory_limit=LIMIT, label="greedy")
    pids = {executor.submit(pid).result()}
    future = limited.submit(fill, 1500)
    assert type(future.exception()) is MemoryError
    assert limited.submit(fill, 20).result() == 20
    # The limit ends with the task, and the worker does not.
    assert executor.submit(fill, 200).result() == 200
    pids.add(executor.submit(pid).result())
    assert len(pids) == 1


def pid():
    import os

    return os.getpid()


def test_the_reusable_executor_takes_the_limit_as_well():
    executor = get_reusable_executor(max_workers=1, memory_limit=LIMIT)
    assert get_reusable_executor(max_workers=1, memory_limit=LIMIT) is executor
    assert executor.submit(fill, 800).exception().report.cause == "memory_limit"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (0, ValueError),
        (-1, ValueError),
        ("much", ValueError),
        ("0M", ValueError),
        (1.5, TypeError),
        (True, TypeError),
    ],
)
@pytest.mark.parametrize("name", ["memory_limit", "soft_memory_limit"])
def test_a_wrong_amount_names_the_option(name, value, kind):
    executor = ProcessPoolExecutor(1)
    with pytest.raises(kind, match=f"^{name} must be"):
        executor.options(**{name: value})


@pytest.mark.parametrize(
    ("text", "count"), [("512", 512), ("1k", 1024), ("1.5M", 3 << 19), ("2GiB", 2 << 30), ("1 TB", 1 << 40)]
)
def test_amounts_are_written_as_people_write_them(text, count):
    executor = ProcessPoolExecutor(1)
    assert executor.options(memory_limit=text)._options.memory_limit_bytes == count


PROGRAM = """
import json, os, sys
from pathlib import Path
from loky import ProcessPoolExecutor
from tests.evidence import test_memory_limit as tests

def group():
    return Path("/proc/self/cgroup").read_text()

launcher, on_crash = sys.argv[1:]
with ProcessPoolExecutor(2, memory_limit="100M", launcher=launcher, on_crash=on_crash) as executor:
    others = [executor.submit(tests.square, number) for number in range(20)]
    found = executor.submit(group).result()
    report = executor.submit(tests.fill_in_c, 2000).exception().report
    values = [other.result() for other in others]
    again = executor.submit(tests.square, 7).result()
print(json.dumps([found, report.as_dict(), values, again]))
"""


@pytest.mark.parametrize("launcher", ["zygote", "exec"])
@pytest.mark.parametrize("on_crash", ["recover", "break"])
def test_where_groups_may_be_made_each_worker_has_one(tmp_path, launcher, on_crash):
    with memory_group(2**40) as parent:
        path = programs.write(tmp_path / "program.py", PROGRAM)
        result = programs.run(path, launcher, on_crash, env={"LOKY_CGROUP": str(parent.folder)})
        assert result.status == 0, result.errors
        assert [entry for entry in parent.folder.iterdir() if entry.is_dir()] == [], "groups are left"
    membership, report, values, again = json.loads(result.output)
    assert f"{parent.name}/loky-" in membership
    assert report["cause"] == "memory_limit"
    assert values == [number * number for number in range(20)]
    assert again == 49


def test_groups_of_a_killed_zygote_are_removed_by_the_next_one(tmp_path):
    program = """
        import os, signal
        from pathlib import Path
        from loky import ProcessPoolExecutor
        with ProcessPoolExecutor(1, memory_limit="100M") as executor:
            executor.submit(os.getppid).result()
            os.kill(executor.submit(os.getppid).result(), signal.SIGKILL)
            print(executor.submit(abs, -3).result())
    """
    with memory_group(2**40) as parent:
        path = programs.write(tmp_path / "program.py", program)
        result = programs.run(path, env={"LOKY_CGROUP": str(parent.folder)})
        assert (result.lines, result.status) == (["3"], 0)
        left = [entry.name for entry in parent.folder.iterdir() if entry.is_dir()]
        programs.run(path, env={"LOKY_CGROUP": str(parent.folder)})
        now = [entry.name for entry in parent.folder.iterdir() if entry.is_dir()]
        assert not set(left) & set(now)
        for name in now:
            (parent.folder / name).rmdir()


def test_the_doctor_tells_which_way_is_taken():
    with memory_group(2**40) as parent:
        for env, way in (({}, "sampling"), ({"LOKY_CGROUP": str(parent.folder)}, "cgroup")):
            told = programs.run("-m", "loky", "doctor", "--json", "--no-self-test", env=env, limit_s=LIMIT_S)
            assert json.loads(told.output)["memory"]["memory_limit"] == way
