"""What starts when: nothing with an executor, everything with its first task."""

import multiprocessing
import os
import pickle
import threading
from pathlib import Path

import pytest

from loky import ProcessPoolExecutor, cpu_count
from tests.support import census, programs, tasks
from tests.support.waiting import eventually, has_ended, is_running


def test_an_executor_starts_nothing():
    before = census.take()
    executor = ProcessPoolExecutor(3)
    after = census.take()
    assert census.surplus(before, after) == []
    assert after.threads == before.threads
    assert executor._processes == {}
    assert executor._executor_manager_thread is None


IMPORTS = """
import os, threading, multiprocessing, warnings
from pathlib import Path
warnings.simplefilter("error")
import loky
loky.ProcessPoolExecutor, loky.get_reusable_executor
print(threading.active_count(), multiprocessing.get_start_method(allow_none=True))
task = Path("/proc/self/task")
print(len(os.listdir(task)), repr((task / str(os.getpid()) / "children").read_text()))
"""


def test_an_import_starts_nothing_and_says_nothing():
    result = programs.run("-X", "dev", "-c", IMPORTS)
    assert result.errors == ""
    assert result.lines == ["1 None", "1 ''"]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_all_workers_have_a_process_when_the_first_submit_returns(pool, workers):
    executor = pool(workers)
    executor.submit(tasks.identity, 1)
    pids = list(executor._processes)
    assert len(pids) == workers
    assert all(is_running(pid) for pid in pids)
    assert {process.pid for process in executor._processes.values()} == set(pids)


def test_an_unpicklable_first_task_is_no_obstacle(pool):
    executor = pool(2)
    executor.submit(tasks.identity, (n for n in ()))
    assert executor.submit(tasks.identity, 1).result() == 1


@pytest.mark.parametrize("launched", ["zygote", "exec"])
def test_all_workers_are_there_also_when_no_task_could_be_pickled(pool, launched):
    executor = pool(3, launcher=launched, timeout=0.3)
    for _ in range(2):
        future = executor.submit(tasks.identity, (n for n in ()))
        assert len(executor._processes) == 3
        assert all(is_running(pid) for pid in executor._processes)
        assert isinstance(future.exception(0), pickle.PicklingError)
        assert eventually(lambda: not executor._processes)


def test_the_workers_are_told_apart_by_name(pool):
    executor = pool(3)
    executor.submit(tasks.identity, 1)
    names = {process.name for process in executor._processes.values()}
    assert len(names) == 3
    assert all(name.startswith("LokyProcess-") for name in names)


def test_the_worker_that_runs_a_task_is_among_the_processes(pool):
    executor = pool(2)
    assert executor.submit(tasks.pid).result() in executor._processes


def test_process_objects_tell_the_life_of_a_worker(pool):
    executor = pool(1, on_crash="recover")
    pid = executor.submit(tasks.pid).result()
    process = executor._processes[pid]
    assert (process.pid, process.exitcode, process.is_alive()) == (pid, None, True)
    process.join(0)
    process.terminate()
    assert has_ended(pid)
    process.join(20)
    assert not process.is_alive()
    assert eventually(lambda: process.exitcode == -15, 5)


def test_a_process_object_can_be_killed(pool):
    """In the original loky this method is broken."""
    executor = pool(1, on_crash="recover")
    pid = executor.submit(tasks.pid).result()
    executor._processes[pid].kill()
    assert has_ended(pid)
    assert executor.submit(tasks.pid).result() != pid


def test_the_manager_thread_exists_from_the_first_task_to_the_end(pool):
    executor = pool(1)
    executor.submit(tasks.identity, 1)
    manager = executor._executor_manager_thread
    assert isinstance(manager, threading.Thread)
    assert manager.is_alive()
    executor.shutdown()
    assert not manager.is_alive()
    assert executor._executor_manager_thread is None


def test_the_helper_can_be_told_from_a_worker(pool):
    """Its command line also has the mark by which programs that count workers know helpers."""
    executor = pool(1)
    executor.submit(tasks.identity, 1).result()
    me = os.getpid()
    children = Path(f"/proc/self/task/{me}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    (helper,) = [command for command in commands if b"loky-zygote" in command]
    assert b"multiprocessing.forkserver" in helper


def test_the_default_number_of_workers_is_the_cpu_count():
    assert ProcessPoolExecutor()._max_workers == cpu_count()


@pytest.mark.parametrize("workers", [0, -1])
def test_a_pool_has_at_least_one_worker(workers):
    with pytest.raises(ValueError, match=r"^max_workers must be greater than 0$"):
        ProcessPoolExecutor(workers)


@pytest.mark.parametrize("workers", ["2", 1.5])
def test_a_number_of_workers_is_an_integer(workers):
    with pytest.raises(TypeError):
        ProcessPoolExecutor(workers)


def test_an_initializer_must_be_callable():
    with pytest.raises(TypeError, match="initializer must be a callable"):
        ProcessPoolExecutor(1, initializer=5)


@pytest.mark.parametrize(
    "context", [None, "loky", "spawn", "forkserver", multiprocessing.get_context("spawn")]
)
def test_every_context_but_fork_has_the_same_workers(pool, context):
    executor = pool(1, context=context)
    seen = executor.submit(lambda: multiprocessing.current_process().name).result()
    assert seen.startswith("LokyProcess-")


def test_the_standard_librarys_name_of_the_context_is_understood(pool):
    assert pool(1, mp_context=multiprocessing.get_context("spawn")).submit(tasks.identity, 1).result() == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"on_crash": "ignore"}, ValueError),
        ({"launcher": "magic"}, ValueError),
        ({"context": "no such"}, ValueError),
        ({"max_tasks_per_child": 0}, ValueError),
        ({"max_tasks_per_child": 1.5}, TypeError),
        ({"no_such_option": 1}, TypeError),
    ],
)
def test_an_unknown_choice_is_an_error_at_once(options, error):
    with pytest.raises(error):
        ProcessPoolExecutor(1, **options)


def test_positional_arguments_are_in_the_order_of_the_original():
    executor = ProcessPoolExecutor(2, None, None, 3.5, None, tasks.remember, ("a", 1), {"X": 1})
    assert (executor._max_workers, executor._timeout, executor._env) == (2, 3.5, {"X": 1})
    assert (executor._initializer, executor._initargs) == (tasks.remember, ("a", 1))


def test_a_worker_is_replaced_after_so_many_tasks(pool):
    executor = pool(1, max_tasks_per_child=3)
    pids = [executor.submit(tasks.pid).result() for _ in range(9)]
    assert [len(set(pids[first : first + 3])) for first in (0, 3, 6)] == [1, 1, 1]
    assert len(set(pids)) == 3
    assert executor._flags.broken is None


def test_sixty_two_workers_start_and_finish(pool):
    executor = pool(62)
    assert list(executor.map(tasks.identity, range(124))) == list(range(124))
    assert len(executor._processes) == 62
    pids = list(executor._processes)
    executor.shutdown()
    assert not any(map(is_running, pids))


def test_this_process_is_not_meddled_with(pool):
    import signal

    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    environment = dict(os.environ)
    executor = pool(2)
    executor.submit(tasks.identity, 1).result()
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    assert dict(os.environ) == environment
    assert os.getpgid(0) == os.getpgrp()
