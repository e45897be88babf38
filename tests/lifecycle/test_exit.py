"""The end of a program: its tasks are done first, its status is its own, and nobody says a word."""

import time

import pytest

from tests.support import programs
from tests.support.waiting import has_ended

LAST_ACTS = {
    "nothing": "",
    "wait=False": "executor.shutdown(wait=False)",
    "del": "del executor",
    "del all": "del executor, futures",
    "a cycle": "futures.append(futures); executor.me = executor; del executor",
}

TASKS = """
import atexit, sys, loky
from tests.support import tasks
path = sys.argv[1]
atexit.register(tasks.touch, path, "atexit handler")
executor = loky.ProcessPoolExecutor(2)
futures = [executor.submit(tasks.touch, path, number) for number in range(20)]
futures[0].add_done_callback(lambda done: tasks.touch(path, "callback"))
{last}
{end}
"""


def lines_of(path):
    return path.read_text().split("\n")[:-1]


@pytest.mark.parametrize("last", LAST_ACTS)
def test_all_tasks_are_done_before_the_exit_handlers_run(tmp_path, last):
    result = programs.run("-c", TASKS.format(last=LAST_ACTS[last], end=""), tmp_path / "log")
    assert (result.status, result.output, result.errors) == (0, "", "")
    *done, final = lines_of(tmp_path / "log")
    assert final == "atexit handler"
    assert sorted(done) == sorted([*map(str, range(20)), "callback"])


@pytest.mark.parametrize("last", ["", "executor.shutdown(wait=False)", "del executor"])
def test_the_status_of_sys_exit_is_kept(tmp_path, last):
    result = programs.run("-c", TASKS.format(last=last, end="sys.exit(7)"), tmp_path / "log")
    assert (result.status, result.errors) == (7, "")
    assert len(lines_of(tmp_path / "log")) == 22


def test_an_exception_ends_the_program_as_always(tmp_path):
    result = programs.run("-c", TASKS.format(last="", end="raise LookupError('mine')"), tmp_path / "log")
    assert result.status == 1
    assert result.errors.splitlines()[-1] == "LookupError: mine"
    assert result.errors.count("Traceback") == 1
    assert len(lines_of(tmp_path / "log")) == 22


IDLE = """
import loky, time, atexit
executor = loky.{make}
executor.submit(pow, 2, 3).result()
begin = time.monotonic()
atexit.register(lambda: print(time.monotonic() - begin))
"""


@pytest.mark.parametrize(
    "make", ["get_reusable_executor(2, timeout=1000)", "ProcessPoolExecutor(2)", "get_reusable_executor(2)"]
)
def test_a_forgotten_idle_pool_costs_no_time(make):
    result = programs.run("-c", IDLE.format(make=make))
    assert (result.status, result.errors) == (0, "")
    assert float(result.output) < 1


def test_a_pool_that_never_started_is_no_burden():
    result = programs.run("-c", "import loky\nexecutor = loky.ProcessPoolExecutor(2)\n")
    assert (result.status, result.errors) == (0, "")


def test_cancelled_and_undecoded_futures_are_no_burden():
    program = (
        "import loky\n"
        "executor = loky.ProcessPoolExecutor(1)\n"
        "futures = [executor.submit(bytes, 1 << 20) for _ in range(20)]\n"
        "for future in futures[10:]: future.cancel()\n"
    )
    result = programs.run("-c", program)
    assert (result.status, result.errors) == (0, "")


IN_EXIT_HANDLER = """
import atexit, loky

def late():
    try:
        executor.submit(pow, 2, 3)
    except RuntimeError as error:
        print(type(error).__name__, error)
atexit.register(late)
executor = loky.ProcessPoolExecutor(1)
{used}
"""


USES = {
    "this": ("executor.submit(pow, 2, 3)", "ShutdownExecutorError"),
    "another": ("loky.ProcessPoolExecutor(1).submit(pow, 2, 3)", "RuntimeError"),
    "none": ("", "RuntimeError"),
}


@pytest.mark.parametrize(("used", "kind"), USES.values(), ids=USES)
def test_exit_handlers_cannot_submit(used, kind):
    result = programs.run("-c", IN_EXIT_HANDLER.format(used=used))
    assert result.output == f"{kind} cannot schedule new futures after interpreter shutdown\n"
    assert (result.status, result.errors) == (0, "")


def test_a_callback_that_submits_at_exit_is_refused_and_the_program_ends():
    program = (
        "import loky\n"
        "executor = loky.ProcessPoolExecutor(1)\n"
        "def again(done):\n"
        "    try:\n"
        "        executor.submit(pow, 2, 3).add_done_callback(again)\n"
        "    except RuntimeError as error:\n"
        "        print(error)\n"
        "executor.submit(pow, 2, 3).add_done_callback(again)\n"
    )
    result = programs.run("-c", program)
    assert "cannot schedule new futures after" in result.output
    assert (result.status, result.errors) == (0, "")


def test_results_are_read_by_other_threads_at_exit():
    program = (
        "import loky, threading\n"
        "executor = loky.ProcessPoolExecutor(1)\n"
        "future = executor.submit(sum, range(1000))\n"
        "threading.Thread(target=lambda: print(future.result())).start()\n"
    )
    result = programs.run("-c", program)
    assert (result.lines, result.errors) == (["499500"], "")


def test_a_failed_task_and_a_broken_pool_are_no_burden():
    program = (
        "import loky, os\n"
        "executor = loky.ProcessPoolExecutor(2, on_crash='break')\n"
        "print(type(executor.submit(os._exit, 1).exception()).__name__)\n"
        "loky.ProcessPoolExecutor(1).submit(divmod, 1, 0)\n"
    )
    result = programs.run("-c", program)
    assert (result.lines, result.errors) == (["TerminatedWorkerError"], "")


def test_nested_idle_pools_end_with_the_program():
    program = (
        "import loky\n"
        "def inner():\n"
        "    return loky.get_reusable_executor(1, timeout=1000).submit(pow, 2, 3).result()\n"
        "print(loky.get_reusable_executor(1, timeout=1000).submit(inner).result())\n"
    )
    result = programs.run("-c", program)
    assert (result.lines, result.errors) == (["8"], "")


def test_many_pools_end_together():
    program = (
        "import loky\n"
        "pools = [loky.ProcessPoolExecutor(1) for _ in range(6)]\n"
        "futures = [pool.submit(pow, 2, n) for n, pool in enumerate(pools)]\n"
        "pools[2] = None\n"
    )
    result = programs.run("-c", program)
    assert (result.status, result.errors) == (0, "")


def test_a_development_mode_run_warns_of_nothing():
    program = (
        "import loky, numpy\n"
        "executor = loky.ProcessPoolExecutor(2)\n"
        "print(sum(executor.map(abs, range(-10, 0))))\n"
        "array = executor.submit(numpy.ones, 1 << 20).result()\n"
        "print(array.sum(), executor.submit(numpy.sum, array).result())\n"
        "executor.shutdown()\n"
    )
    result = programs.run("-X", "dev", "-W", "error", "-c", program)
    assert (result.lines, result.errors) == (["55", "1048576.0 1048576.0"], "")


ABRUPT = """
import os, sys, loky
from tests.support.gates import pass_gate
executor = loky.ProcessPoolExecutor(2)
futures = [executor.submit(pass_gate, sys.argv[1]) for _ in range(2)]
while not all(future.running() for future in futures):
    pass
print(*executor._processes, flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_no_worker_outlives_a_program_that_ends_abruptly(gate, end):
    """In the original loky they stay, for ever if the pool has no idle timeout."""
    begin_s = time.monotonic()
    result = programs.run("-c", ABRUPT.format(end=end), gate.folder)
    pids = [int(pid) for pid in result.output.split()]
    assert len(pids) == 2
    assert all(has_ended(pid, 5) for pid in pids)
    assert time.monotonic() - begin_s < 20
    assert result.status != 0
