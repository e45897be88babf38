"""Where a pool of another make would most easily differ from loky, as programs and suites see it."""

import os
import signal
import threading
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path

import pytest

import loky
from loky.backend import get_context
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually

NO_WORKERS = (b"resource_tracker", b"semaphore_tracker")
SERVER = b"multiprocessing.forkserver"


def children_of(parent):
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state, father = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # It has gone meanwhile.
        if int(father) == parent and state != "Z":
            found[int(folder.name)] = command
    return found


def counted_workers():
    """Workers as suites count them: the children, without helpers, and the children of servers."""
    workers = set()
    for pid, command in children_of(os.getpid()).items():
        if SERVER in command:
            workers.update(children_of(pid))
        elif not any(name in command for name in NO_WORKERS):
            workers.add(pid)
    return workers


def test_a_census_finds_the_workers_and_nothing_else(pool):
    before = counted_workers()
    executor = pool(3)
    executor.submit(tasks.identity, None).result()
    assert counted_workers() - before == set(executor._processes)
    assert len(executor._processes) == 3
    executor.shutdown()
    assert eventually(lambda: counted_workers() <= before)


def test_the_exit_code_of_a_killed_worker_shows_without_asking_the_pool(pool, gate):
    executor = pool(1, on_crash="break")
    future = executor.submit(pass_gate, gate.folder)
    (process,) = executor._processes.values()
    gate.wait_begun()
    os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: process.exitcode is not None)
    assert process.exitcode == -signal.SIGKILL
    assert isinstance(future.exception(), loky.process_executor.TerminatedWorkerError)


def test_a_worker_can_be_terminated_as_soon_as_submit_has_returned(pool):
    executor = pool(1, on_crash="break")
    future = executor.submit(signal.pause)
    (process,) = executor._processes.values()
    process.terminate()
    error = future.exception(30)
    assert isinstance(error, loky.process_executor.TerminatedWorkerError)
    assert "SIGTERM(-15)" in str(error)


def plain(value):
    return frozenset, (list(value),)


class Pickled:
    """Notes who is being pickled and, if asked to, submits a task meanwhile."""

    def __init__(self, log, submit=None):
        self.log = log
        self.submit = submit

    def __reduce__(self):
        me = threading.get_ident()
        self.log.append(me)
        if self.submit is not None:
            assert self.submit(abs, -1).result() == 1
        self.log.append(me)
        return int, ("7",)


@pytest.mark.parametrize("reducers", [None, {frozenset: plain}])
def test_what_is_pickled_may_submit_to_the_same_pool(pool, reducers):
    executor = pool(1, job_reducers=reducers)
    log = []
    assert executor.submit(abs, Pickled(log, executor.submit)).result() == 7
    assert len(log) == 2


def test_with_reducers_one_task_is_pickled_at_a_time_and_each_once(pool):
    executor = pool(2, job_reducers={frozenset: plain})
    log, futures = [], []

    def submit():
        futures.extend(executor.submit(abs, Pickled(log)) for _ in range(20))

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {future.result() for future in futures} == {7}
    assert len(log) == 2 * len(futures) == 160
    assert log[::2] == log[1::2]


class Unreadable:
    """Ends the interpreter that reads it, if that lets it."""

    def __reduce__(self):
        return exit_now, ()


def exit_now():
    raise SystemExit(3)


def test_a_result_that_ends_its_reader_is_an_exception_for_all_who_ask(pool, gate):
    executor = pool(2, on_crash="recover")
    waiting = executor.submit(pass_gate, gate.folder)
    future = executor.submit(Unreadable)
    assert wait([future, waiting], return_when=FIRST_EXCEPTION, timeout=30).done == {future}
    seen = []
    future.add_done_callback(lambda done: seen.append(done.exception()))
    error = future.exception()
    assert isinstance(error, loky.BrokenProcessPool)
    assert isinstance(error.__cause__, loky.process_executor._RemoteTraceback)
    assert "SystemExit: 3" in str(error.__cause__)
    assert [type(other) for other in seen] == [loky.BrokenProcessPool]
    assert "finished raised BrokenProcessPool" in repr(future)
    gate.open()
    assert waiting.result() is None


def set_event():
    tasks.recall("event").set()


@pytest.mark.parametrize("method", ["loky", "loky_init_main", "spawn", "forkserver"])
def test_events_of_every_context_are_arguments_of_an_initializer(pool, method):
    context = get_context(method)
    event = context.Event()
    executor = pool(1, context=context, initializer=tasks.remember, initargs=("event", event))
    executor.submit(set_event).result()
    assert event.is_set()
