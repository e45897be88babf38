"""Locks, semaphores, conditions and events of the loky context, and the names they leave behind."""

import os
import signal
import threading
from pathlib import Path

import pytest

from loky.backend import get_context, resource_tracker
from loky.backend.synchronize import SemLock, sem_unlink
from tests.support import programs
from tests.support.waiting import eventually

SHM = Path("/dev/shm")


@pytest.fixture
def context():
    return get_context("loky")


def in_system(name):
    return (SHM / f"sem.{name[1:]}").exists()


def test_a_lock(context):
    lock = context.Lock()
    assert repr(lock) == "<Lock(owner=None)>"
    assert lock.acquire()
    assert not lock.acquire(False)
    assert not lock.acquire(True, 0.01)
    assert repr(lock) == "<Lock(owner=MainProcess)>"
    lock.release()
    with pytest.raises(ValueError, match="released too many times"):
        lock.release()
    with lock:
        assert not lock.acquire(block=False, timeout=10)


def test_a_recursive_lock(context):
    lock = context.RLock()
    assert lock.acquire()
    assert lock.acquire()
    assert repr(lock) == "<RLock(MainProcess, 2)>"
    lock.release()
    lock.release()
    with pytest.raises(AssertionError, match="not owned by thread"):
        lock.release()


def test_semaphores_count(context):
    semaphore = context.Semaphore(2)
    assert semaphore.get_value() == 2
    assert semaphore.acquire()
    assert repr(semaphore) == "<Semaphore(value=1)>"
    semaphore.release()
    semaphore.release()
    assert semaphore.get_value() == 3
    bounded = context.BoundedSemaphore(1)
    assert repr(bounded) == "<BoundedSemaphore(value=1, maxvalue=1)>"
    with pytest.raises(ValueError, match="released too many times"):
        bounded.release()


def test_an_event(context):
    event = context.Event()
    assert not event.is_set()
    assert event.wait(0.0) is False
    event.set()
    assert event.wait() is True
    event.clear()
    assert not event.is_set()


def test_a_condition_between_threads(context):
    condition = context.Condition()
    assert repr(condition) == "<Condition(<RLock(None, 0)>, 0)>"
    answers = []

    def wait():
        with condition:
            answers.append(condition.wait(20))

    thread = threading.Thread(target=wait)
    thread.start()
    assert eventually(lambda: condition._sleeping_count.get_value() == 1)
    with condition:
        condition.notify()
    thread.join()
    assert answers == [True]
    with condition:
        assert condition.wait(0.01) is False
        assert condition.wait_for(lambda: True, 0.01) is True


def test_a_condition_between_processes(context):
    condition, ready = context.Condition(), context.Event()

    def notify(condition, ready):
        ready.wait(20)
        with condition:
            condition.notify_all()

    process = context.Process(target=notify, args=(condition, ready))
    process.start()
    with condition:
        ready.set()
        assert condition.wait(20)
    process.join()


def test_a_lock_keeps_another_process_out(context):
    lock = context.Lock()

    def try_it(lock, answers):
        answers.put(lock.acquire(False))

    answers = context.SimpleQueue()
    with lock:
        process = context.Process(target=try_it, args=(lock, answers))
        process.start()
        assert answers.get() is False
        process.join()
    answers.close()


def test_pickling_only_for_inheritance(context, pool):
    import pickle

    lock = context.Lock()
    with pytest.raises(RuntimeError, match="inheritance"):
        pickle.dumps(lock)
    error = pool(1).submit(bool, lock).exception()
    assert isinstance(error, pickle.PicklingError)
    assert "RuntimeError" in str(error.__cause__)


def test_a_name_is_taken_once_and_goes_with_its_object():
    lock = SemLock(1, 1, 1)
    name = lock.name
    assert name.startswith(f"/loky-{os.getpid()}-")
    assert in_system(name)
    with pytest.raises(FileExistsError):
        SemLock(1, 1, 1, name=name)
    del lock
    assert not in_system(name)
    with pytest.raises(FileNotFoundError):
        sem_unlink(name)


def test_a_name_that_is_unlinked_cannot_be_rebuilt():
    lock = SemLock(1, 1, 1, name=f"/loky-{os.getpid()}-rebuilt")
    rebuild = type(lock._semlock)._rebuild
    sem_unlink(lock.name)
    with pytest.raises(FileNotFoundError):
        rebuild(0, 1, 1, lock.name)


def test_a_semaphore_of_a_killed_program_goes(tmp_path):
    text = """
        import os, signal
        from loky.backend.synchronize import Lock
        lock = Lock()
        print(lock.name, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    finished = programs.run(programs.write(tmp_path / "script.py", text))
    assert finished.status == -signal.SIGKILL
    assert not in_system(finished.output.strip())
    assert "There appear to be 1 leaked semlock objects" in finished.errors


def test_a_program_that_ends_leaves_no_semaphore_and_says_nothing(tmp_path):
    text = "from loky.backend import get_context; e = get_context('loky').Event(); print(e)"
    finished = programs.run("-c", text)
    assert finished.errors == ""


def test_the_tracker_knows_the_names(context):
    resource_tracker.ensure_running()
    lock = context.Lock()
    pid = resource_tracker._resource_tracker._pid
    del lock
    assert resource_tracker._resource_tracker._pid == pid
