"""Many threads, many pools, and a parent that is busy with something else."""

import concurrent.futures
import threading
import time

from loky import get_reusable_executor
from tests.support import tasks
from tests.support.gates import announce, pass_gate
from tests.support.waiting import LIMIT_S


def test_several_threads_submit_to_one_pool(pool):
    executor = pool(2)

    def use(thread):
        futures = [executor.submit(tasks.identity, (thread, number)) for number in range(100)]
        return [future.result(LIMIT_S) for future in futures]

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for thread, values in enumerate(threads.map(use, range(8))):
            assert values == [(thread, number) for number in range(100)]


def test_the_first_submits_of_several_threads_start_one_pool(pool):
    executor = pool(3)
    meeting = threading.Barrier(8, timeout=LIMIT_S)

    def use(number):
        meeting.wait()
        value = executor.submit(tasks.identity, number).result(LIMIT_S)
        return value, executor._executor_manager_thread

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(use, range(8)))
    assert [value for value, _ in seen] == list(range(8))
    assert len({manager for _, manager in seen}) == 1
    assert len(executor._processes) == 3


def test_three_pools_work_at_once(pool, gate):
    executors = [pool(2) for _ in range(3)]
    futures = [
        executor.submit(pass_gate, gate.folder, number) for number, executor in enumerate(executors * 2)
    ]
    assert len(set(gate.wait_begun(6))) == 6
    gate.open()
    assert [future.result() for future in futures] == list(range(6))
    assert not set(executors[0]._processes) & set(executors[1]._processes)


def test_a_pool_may_end_while_another_works(pool, gate):
    first, second = pool(1), pool(1)
    future = first.submit(pass_gate, gate.folder, "done")
    gate.wait_begun()
    second.submit(tasks.identity, 1).result()
    second.shutdown()
    gate.open()
    assert future.result() == "done"


def test_as_many_tasks_run_at_once_as_there_are_workers(pool, gate):
    executor = pool(6)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(8)]
    assert set(gate.wait_begun(6)) == set(executor._processes)
    assert gate.nobody_begins()
    gate.open()
    for future in futures:
        future.result()


def test_a_waiting_task_moves_to_the_worker_that_is_free_first(pool, gate):
    executor = pool(2)
    slow = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    assert list(executor.map(tasks.identity, range(200))) == list(range(200))
    assert not slow.done()
    gate.open()


def test_the_pool_goes_on_while_the_parent_holds_its_interpreter(pool, gate):
    """Nothing of the pool but the handing over of results needs the parent's interpreter."""
    executor = pool(1)
    executor.submit(tasks.identity, 1).result()
    count = 50
    futures = [executor.submit(announce, gate.folder) for _ in range(count)]
    held = _hold_interpreter(0.7)
    begun = len(gate.wait_begun(count))
    assert held >= 0.5
    assert begun == count
    assert [future.result() for future in futures] == [None] * count


def _hold_interpreter(seconds):
    """Do one thing in C that does not let go of the interpreter, for about so long."""
    begin_s = time.monotonic()
    size = 1 << 16
    while time.monotonic() - begin_s < seconds:
        sum(range(size * 64))
    return time.monotonic() - begin_s


def test_tasks_are_finished_during_one_long_call_in_c(pool, tmp_path):
    from ctypes import PyDLL

    path = tmp_path / "log"
    executor = pool(1)
    executor.submit(tasks.identity, 1).result()
    futures = [executor.submit(tasks.touch, str(path), number) for number in range(30)]
    # Called like this, the C library's sleep keeps the interpreter's lock.
    PyDLL(None).usleep(400_000)
    assert len(path.read_text().split()) == 30
    assert [future.result() for future in futures] == [None] * 30


def test_pools_are_made_and_ended_by_several_threads_at_once():
    def use(number):
        executor = get_reusable_executor(1)
        value = executor.submit(tasks.identity, number).result(LIMIT_S)
        executor.shutdown()
        return value

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert list(threads.map(use, range(12))) == list(range(12))


def test_shutdown_and_submit_of_two_threads_lose_no_task(pool):
    for _ in range(10):
        executor = pool(1)
        futures = []
        started = threading.Event()

        def keep_submitting(executor=executor, futures=futures, started=started):
            try:
                while True:
                    futures.append(executor.submit(tasks.identity, len(futures)))
                    started.set()
            except RuntimeError:
                return

        thread = threading.Thread(target=keep_submitting)
        thread.start()
        started.wait(LIMIT_S)
        executor.shutdown()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
        assert [future.result(LIMIT_S) for future in futures] == list(range(len(futures)))
