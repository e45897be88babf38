"""A program that forks: the child's copy of a pool is inert, and the parent's is not disturbed."""

import pytest

from tests.support import programs

PROGRAM = """
import os, sys, warnings, loky
warnings.simplefilter("ignore", DeprecationWarning)
executor = loky.{make}
pids = []
def started():
    return executor.submit(os.getpid).result()
first = started()

def in_child(work):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
            sys.stdout.flush()
        except BaseException as error:
            print("child:", type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

{body}
print("parent:", executor.submit(pow, 2, 3).result(), first in executor._processes)
"""

MAKES = ["ProcessPoolExecutor(1)", "get_reusable_executor(1)"]


def run(body, make=MAKES[0]):
    result = programs.run("-c", PROGRAM.format(make=make, body=body))
    assert result.errors == ""
    assert result.status == 0
    *lines, last = result.lines
    assert last == "parent: 8 True"
    return lines


@pytest.mark.parametrize("make", MAKES)
def test_a_submit_in_the_child_is_a_clear_error(make):
    (line,) = run("in_child(lambda: executor.submit(pow, 2, 3))", make)
    assert line.startswith("child: RuntimeError")
    assert "os.fork()" in line


def test_waiting_in_the_child_for_a_task_of_the_parent_is_a_clear_error():
    body = "import threading\nfuture = executor.submit(lambda: __import__('time').sleep(1))\n"
    (line,) = run(body + "in_child(future.result)")
    assert line.startswith("child: RuntimeError")


def test_a_result_that_is_there_can_be_read_in_the_child():
    body = "future = executor.submit(bytes, 1000000); executor.submit(pow, 2, 3).result()\n"
    assert run(body + "in_child(lambda: print(len(future.result())))") == ["1000000"]


@pytest.mark.parametrize(
    "how", ["executor.shutdown()", "executor.shutdown(kill_workers=True)", "globals().pop('executor')"]
)
def test_ending_the_childs_copy_does_not_touch_the_parents(how):
    assert run(f"print(in_child(lambda: {how}))") == ["0"]


def test_a_child_that_exits_normally_does_not_touch_the_parents():
    body = (
        "sys.stdout.flush()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.exit(4)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert run(body) == ["4"]


@pytest.mark.parametrize("make", MAKES)
def test_the_child_may_have_pools_of_its_own(make):
    body = (
        "def work():\n"
        "    own = loky.get_reusable_executor(1)\n"
        "    print(own is executor, own.submit(pow, 3, 2).result())\n"
        "    own.shutdown()\n"
        "print(in_child(work))\n"
    )
    assert run(body, make) == ["False 9", "0"]


def test_a_pool_of_a_multiprocessing_child_ends_with_it():
    body = (
        "import multiprocessing\n"
        "def work():\n"
        "    print(loky.ProcessPoolExecutor(1).submit(pow, 3, 3).result(), flush=True)\n"
        "child = multiprocessing.get_context('fork').Process(target=work)\n"
        "child.start(); child.join()\n"
        "print(child.exitcode)\n"
    )
    assert run(body) == ["27", "0"]


def test_a_child_that_lives_on_does_not_keep_the_workers():
    body = (
        "other = loky.ProcessPoolExecutor(1)\n"
        "other.submit(pow, 2, 3).result()\n"
        "(pid,) = other._processes\n"
        "end, hold = os.pipe()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.close(hold)\n"
        "    os.read(end, 1)\n"
        "    os._exit(0)\n"
        "other.shutdown()\n"
        "print(os.path.exists(f'/proc/{pid}'))\n"
        "os.close(hold)\n"
        "os.waitpid(child, 0)\n"
    )
    assert run(body) == ["False"]


def test_a_map_of_the_parent_goes_on_after_a_fork_in_its_midst():
    body = (
        "results = executor.map(pow, range(50), [2] * 50)\n"
        "next(results)\n"
        "in_child(lambda: None)\n"
        "print(sum(results))\n"
    )
    assert run(body) == [str(sum(n**2 for n in range(50)))]
