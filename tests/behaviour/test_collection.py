"""An executor that nobody refers to is gone at once; its tasks are done, then its workers leave."""

import gc
import weakref

import pytest

from loky import ProcessPoolExecutor
from loky.process_executor import TerminatedWorkerError
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import LIMIT_S, eventually, has_ended


@pytest.fixture
def without_collector():
    """Only counts of references free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_pool_that_has_not_started_is_gone_at_once(without_collector):
    executor = ProcessPoolExecutor(1)
    flags, reference = executor._flags, weakref.ref(executor)
    del executor
    assert reference() is None
    assert flags.shutdown


def test_an_idle_pool_is_gone_at_once_and_its_workers_leave(without_collector):
    executor = ProcessPoolExecutor(2)
    assert executor.submit(tasks.identity, 1).result() == 1
    reference, manager, pids = (
        weakref.ref(executor),
        executor._executor_manager_thread,
        list(executor._processes),
    )
    del executor
    assert reference() is None
    manager.join(LIMIT_S)
    assert not manager.is_alive()
    assert all(has_ended(pid, 0) for pid in pids)


def test_a_busy_pool_is_gone_at_once_and_its_tasks_are_done(without_collector, gate):
    executor = ProcessPoolExecutor(1)
    futures = [executor.submit(pass_gate, gate.folder, number) for number in range(5)]
    reference, flags, manager = weakref.ref(executor), executor._flags, executor._executor_manager_thread
    del executor
    assert reference() is None
    gate.open()
    assert [future.result(LIMIT_S) for future in futures] == list(range(5))
    manager.join(LIMIT_S)
    assert flags.shutdown
    assert flags.broken is None


def test_rebinding_the_name_is_enough(without_collector):
    executor = ProcessPoolExecutor(1)
    executor.submit(tasks.identity, 1).result()
    reference = weakref.ref(executor)
    executor = ProcessPoolExecutor(1)
    assert reference() is None
    executor.shutdown()


def test_a_map_outlives_its_executor(without_collector):
    executor = ProcessPoolExecutor(2)
    results = executor.map(tasks.identity, range(20))
    reference = weakref.ref(executor)
    del executor
    assert reference() is None
    assert list(results) == list(range(20))


def test_a_map_on_a_nameless_executor_works():
    assert list(ProcessPoolExecutor(2).map(tasks.identity, range(10))) == list(range(10))


def test_a_buffered_map_submits_no_more_once_its_executor_is_gone():
    executor = ProcessPoolExecutor(1)
    source = iter(range(10))
    results = executor.map(tasks.identity, source, buffersize=2)
    del executor
    assert list(results) == [0, 1]
    assert next(source) == 2


def test_callbacks_of_an_executor_that_is_gone_are_run(gate):
    executor = ProcessPoolExecutor(1)
    future = executor.submit(pass_gate, gate.folder, 3)
    manager = executor._executor_manager_thread
    calls = []
    future.add_done_callback(lambda done: calls.append(done.result()))
    del executor
    gate.open()
    manager.join(LIMIT_S)
    assert calls == [3]


def test_a_task_can_be_cancelled_after_its_executor_is_gone(gate):
    executor = ProcessPoolExecutor(1)
    running, waiting = (executor.submit(pass_gate, gate.folder, number) for number in range(2))
    gate.wait_begun()
    del executor
    assert waiting.cancel()
    gate.open()
    assert running.result(LIMIT_S) == 0


def test_a_crash_after_the_executor_is_gone_costs_the_task_alone(gate):
    executor = ProcessPoolExecutor(1, on_crash="recover")
    crashed = executor.submit(crash_after_gate, gate.folder)
    later = executor.submit(tasks.identity, 1)
    flags = executor._flags
    gate.wait_begun()
    del executor
    gate.open()
    assert isinstance(crashed.exception(LIMIT_S), TerminatedWorkerError)
    assert later.result(LIMIT_S) == 1
    assert flags.broken is None


def test_where_a_crash_breaks_the_pool_it_does_so_after_its_executor_is_gone(gate):
    executor = ProcessPoolExecutor(1, on_crash="break")
    futures = [executor.submit(crash_after_gate, gate.folder) for _ in range(3)]
    flags, pids = executor._flags, list(executor._processes)
    gate.wait_begun()
    del executor
    gate.open()
    for future in futures:
        assert isinstance(future.exception(LIMIT_S), TerminatedWorkerError)
    assert eventually(lambda: isinstance(flags.broken, TerminatedWorkerError), 1)
    assert all(has_ended(pid) for pid in pids)


def crash_after_gate(folder):
    pass_gate(folder)
    tasks.exit_hard(3)


class Watched:
    """A function, argument or result whose life is watched."""

    def method(self):
        return None

    def __call__(self, *args):
        return None


def test_a_finished_task_leaves_neither_function_nor_arguments_nor_result_in_the_parent(pool):
    executor = pool(1)
    function, argument, owner = Watched(), Watched(), Watched()
    references = [weakref.ref(function), weakref.ref(argument), weakref.ref(owner)]
    executor.submit(function, argument).result()
    future = executor.submit(lambda: Watched())
    references.append(weakref.ref(future.result()))
    executor.submit(owner.method)
    del function, argument, owner, future
    assert eventually(lambda: gc.collect() >= 0 and not any(reference() for reference in references), 5)


def test_a_finished_task_leaves_nothing_in_the_worker(pool):
    executor = pool(1)

    def watch(argument):
        import weakref as weak

        tasks.remember("watched", [weak.ref(argument)])
        result = type(argument)()
        tasks.recall("watched").append(weak.ref(result))
        return result

    executor.submit(watch, Watched()).result()
    still = executor.submit(lambda: [reference() is not None for reference in tasks.recall("watched")])
    assert still.result() == [False, False]


def test_the_arguments_of_a_failed_task_are_dropped_in_the_worker(pool):
    executor = pool(1)

    def watch(argument):
        import weakref as weak

        tasks.remember("watched", weak.ref(argument))
        raise ValueError

    executor.submit(watch, Watched()).exception()
    assert executor.submit(lambda: tasks.recall("watched")() is None).result()


def test_an_exception_of_a_task_is_not_kept_by_the_pool(pool):
    class Watchable(Exception):
        pass

    executor = pool(1)
    future = executor.submit(tasks.fail, Watchable)
    reference = weakref.ref(future.exception())
    del future
    assert eventually(lambda: gc.collect() >= 0 and reference() is None, 5)


def test_an_undecoded_answer_frees_its_memory_with_its_future(pool):
    from tests.support import census

    executor = pool(1)
    executor.submit(tasks.identity, 1).result()
    before = census.take().mappings
    future = executor.submit(bytearray, 1 << 22)
    executor.submit(tasks.identity, 1).result()
    assert census.take().mappings > before
    del future
    assert eventually(lambda: gc.collect() >= 0 and census.take().mappings == before, 5)
