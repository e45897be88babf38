"""Pools inside workers: how deep, how they end, and what they are told."""

import os

import pytest

from loky import ProcessPoolExecutor, get_reusable_executor, process_executor
from loky.process_executor import LokyRecursionError
from tests.support import programs, tasks
from tests.support.gates import pass_gate
from tests.support.waiting import has_ended


def depth(levels):
    """As a task: the depth that the innermost of so many pools sees."""
    if levels == 0:
        return process_executor._CURRENT_DEPTH
    with ProcessPoolExecutor(1) as executor:
        return executor.submit(depth, levels - 1).result()


def test_a_users_process_is_at_depth_zero():
    assert process_executor._CURRENT_DEPTH == 0


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_each_level_counts_one(levels):
    assert depth(levels) == levels


def test_the_default_limit_is_ten():
    assert int(os.environ.get("LOKY_MAX_DEPTH", "10")) == process_executor.MAX_DEPTH


LIMITED = """
import loky
from tests.behaviour.test_nesting import depth
print(depth({deepest}))
try:
    depth({deepest} + 1)
except loky.process_executor.LokyRecursionError as error:
    print(type(error).__name__, "MAX_DEPTH={deepest}" in str(error), "LOKY_MAX_DEPTH" in str(error))
"""


def test_one_level_more_than_allowed_is_an_error_that_travels_back():
    result = programs.run("-c", LIMITED.format(deepest=2), env={"LOKY_MAX_DEPTH": "2"})
    assert result.lines == ["2", "LokyRecursionError True True"]
    assert result.errors == ""


def test_no_limit_at_zero():
    program = "from tests.behaviour.test_nesting import depth\nprint(depth(3))"
    assert programs.run("-c", program, env={"LOKY_MAX_DEPTH": "0"}).lines == ["3"]


def test_the_error_is_raised_by_the_constructor(monkeypatch):
    monkeypatch.setattr(process_executor, "MAX_DEPTH", 1)
    monkeypatch.setattr(process_executor, "_CURRENT_DEPTH", 1)
    with pytest.raises(LokyRecursionError, match="MAX_DEPTH=1"):
        ProcessPoolExecutor(1)


def test_a_worker_is_no_daemon_and_its_processes_have_nested_names(pool):
    def inner():
        import multiprocessing

        with ProcessPoolExecutor(1) as executor:
            return executor.submit(lambda: multiprocessing.current_process().name).result()

    executor = pool(1)
    name = executor.submit(inner).result()
    outer_name = next(iter(executor._processes.values())).name
    assert name == f"{outer_name}:1"


def test_a_reusable_pool_inside_a_worker_ends_with_it(pool, gate):
    def inner(folder):
        executor = get_reusable_executor(2, timeout=None)
        return executor.submit(os.getpid).result(), list(executor._processes)

    executor = pool(1)
    pid, pids = executor.submit(inner, gate.folder).result()
    assert pid in pids
    again, same = executor.submit(inner, gate.folder).result()
    assert (again in pids, same) == (True, pids)
    executor.shutdown()
    assert all(has_ended(inner_pid) for inner_pid in pids)


def test_pools_of_a_killed_worker_go_with_it(pool, gate):
    def inner(folder):
        with ProcessPoolExecutor(2) as executor:
            return list(executor.map(pass_gate, [folder] * 2))

    executor = pool(1, on_crash="recover")
    future = executor.submit(inner, gate.folder)
    pids = gate.wait_begun(2)
    (worker,) = executor._processes.values()
    worker.kill()
    assert future.exception() is not None
    assert all(has_ended(pid) for pid in pids)
    assert executor.submit(tasks.identity, 1).result() == 1


def test_workers_may_start_processes_of_multiprocessing(pool):
    """In the original loky a plain `Process` fails inside a worker."""

    def inner():
        import multiprocessing

        context = multiprocessing.get_context("fork")
        child = context.Process(target=os._exit, args=(7,))
        child.start()
        child.join()
        return child.exitcode

    assert pool(1).submit(inner).result() == 7


def test_a_daemonic_process_may_not_have_workers():
    program = (
        "import multiprocessing, loky\n"
        "def inner(queue):\n"
        "    try:\n"
        "        loky.ProcessPoolExecutor(1).submit(pow, 2, 3)\n"
        "    except AssertionError as error:\n"
        "        queue.put(str(error))\n"
        "context = multiprocessing.get_context('fork')\n"
        "queue = context.SimpleQueue()\n"
        "context.Process(target=inner, args=(queue,), daemon=True).start()\n"
        "print(queue.get())\n"
    )
    assert programs.run("-c", program).lines == ["daemonic processes are not allowed to have children"]
