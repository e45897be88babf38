"""The initializer runs first in each worker, with arguments that only a child may inherit."""

import multiprocessing
import socket
import threading

import pytest

from loky import BrokenProcessPool
from tests.support import programs, tasks
from tests.support.gates import announce
from tests.support.waiting import eventually


def test_it_runs_once_in_each_worker_before_any_task(pool, gate):
    executor = pool(3, initializer=announce, initargs=(gate.folder,))
    executor.submit(tasks.identity, 1).result()
    assert set(gate.wait_begun(3)) == set(executor._processes)
    list(executor.map(tasks.identity, range(30)))
    assert gate.nobody_begins()


def test_it_may_be_a_closure(pool):
    value = {"shared": 1}

    def initialize(more):
        tasks.remember("value", {**value, **more})

    executor = pool(1, initializer=initialize, initargs=({"more": 2},))
    assert executor.submit(tasks.recall, "value").result() == {"shared": 1, "more": 2}


class NothingError(Exception):
    """An error that is false where a truth is asked for."""

    def __bool__(self):
        return False


def fail_with_nothing():
    raise NothingError


def test_an_error_of_it_that_is_false_is_the_cause_all_the_same(pool):
    error = pool(1, initializer=fail_with_nothing).submit(tasks.identity, 1).exception()
    assert isinstance(error, BrokenProcessPool)
    assert type(error.__cause__) is NothingError


def test_it_runs_in_replacements(pool):
    executor = pool(1, initializer=tasks.remember, initargs=("a", 1), max_tasks_per_child=1)
    assert [executor.submit(tasks.recall, "a").result() for _ in range(3)] == [1, 1, 1]
    executor = pool(1, initializer=tasks.remember, initargs=("a", 2), on_crash="recover")
    executor.submit(tasks.exit_hard).exception()
    assert executor.submit(tasks.recall, "a").result() == 2


def test_its_arguments_are_pickled_anew_for_each_start(pool):
    argument = [1]
    executor = pool(1, initializer=tasks.remember, initargs=("a", argument), timeout=0.02)
    assert executor.submit(tasks.recall, "a").result() == [1]
    assert eventually(lambda: not executor._processes)
    argument.append(2)
    assert executor.submit(tasks.recall, "a").result() == [1, 2]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "Event", "Condition"])
def test_locks_and_events_are_arguments(pool, method, kind):
    made = getattr(multiprocessing.get_context(method), kind)()
    executor = pool(1, initializer=tasks.remember, initargs=("made", made))
    if kind == "Event":
        assert executor.submit(lambda: tasks.recall("made").set()).result() is None
        assert made.is_set()
        return
    assert executor.submit(lambda: tasks.recall("made").acquire(timeout=5)).result() is True
    assert made.acquire(False) is False


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "JoinableQueue"])
def test_queues_are_arguments(pool, kind):
    queue = getattr(multiprocessing.get_context("spawn"), kind)()
    executor = pool(2, initializer=tasks.remember, initargs=("queue", queue))
    for future in [executor.submit(lambda n=n: tasks.recall("queue").put(n)) for n in range(10)]:
        future.result()
    assert sorted(queue.get() for _ in range(10)) == list(range(10))
    if kind != "SimpleQueue":
        queue.close()
        queue.join_thread()
    else:
        queue.close()


def test_pipes_and_sockets_are_arguments(pool):
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    left, right = socket.socketpair()
    with receiver, sender, left, right:
        executor = pool(1, initializer=tasks.remember, initargs=("both", (sender, right)))

        def use():
            connection, sock = tasks.recall("both")
            connection.send("over the pipe")
            sock.sendall(b"over the socket")

        executor.submit(use).result()
        assert receiver.recv() == "over the pipe"
        assert left.recv(100) == b"over the socket"
        executor.shutdown()


# In a program of its own: what multiprocessing opens for these it keeps for the life of a process.
SHARED = """
import multiprocessing, loky
from tests.support import tasks
context = multiprocessing.get_context("spawn")
receiver, sender = context.Pipe(duplex=False)
value, array = context.Value("i", 3), context.Array("d", 2)

def use(connection):
    number, doubles = tasks.recall("shared")
    number.value += 1
    doubles[1] = 2.5
    connection.send(5)

executor = loky.ProcessPoolExecutor(1, initializer=tasks.remember, initargs=("shared", (value, array)))
executor.submit(use, sender).result()
print(receiver.recv(), value.value, list(array))
"""


def test_shared_values_are_initializer_arguments_and_connections_also_task_arguments():
    result = programs.run("-c", SHARED)
    assert (result.lines, result.errors) == (["5 4 [0.0, 2.5]"], "")


def test_a_lock_that_only_a_fork_can_inherit_is_refused_with_the_reason(pool):
    """The standard library says the same to processes that are not forked from this one."""
    lock = multiprocessing.get_context("fork").Lock()
    error = pool(1, initializer=tasks.remember, initargs=("a", lock)).submit(tasks.identity, 1).exception()
    assert isinstance(error, BrokenProcessPool)
    assert "fork context" in str(error.__cause__)


def test_a_lock_is_no_task_argument(pool):
    import pickle

    executor = pool(1)
    lock = multiprocessing.get_context("spawn").Lock()
    assert isinstance(executor.submit(tasks.identity, lock).exception(), pickle.PicklingError)


@pytest.mark.parametrize("mode", ["recover", "break"])
def test_an_error_in_it_breaks_the_pool_and_is_the_cause(pool, capfd, mode):
    """The original loky speaks of a possible segmentation fault, with exit code 0."""
    executor = pool(2, initializer=tasks.fail, initargs=(LookupError, "the reason"), on_crash=mode)
    futures = [executor.submit(tasks.identity, number) for number in range(3)]
    for future in futures:
        error = future.exception()
        assert isinstance(error, BrokenProcessPool)
        assert isinstance(error.__cause__, LookupError)
        assert error.__cause__.args == ("the reason",)
    assert eventually(lambda: executor._flags.broken is not None, 1)
    with pytest.raises(BrokenProcessPool):
        executor.submit(tasks.identity, 1)
    executor.shutdown()
    assert "Exception in initializer:" in capfd.readouterr().err


def log_into_and_fail(queue):
    import logging.handlers

    logging.getLogger("concurrent.futures").addHandler(logging.handlers.QueueHandler(queue))
    raise ValueError("error in the initializer")


@pytest.mark.parametrize("launched", ["zygote", "exec"])
@pytest.mark.parametrize("mode", ["recover", "break"])
def test_what_its_error_put_into_a_queue_arrives(pool, launched, mode):
    queue = multiprocessing.get_context("spawn").Queue()
    executor = pool(1, initializer=log_into_and_fail, initargs=(queue,), launcher=launched, on_crash=mode)
    with pytest.raises(BrokenProcessPool):
        executor.submit(tasks.identity, 1).result()
    assert "ValueError: error in the initializer" in queue.get(timeout=20).getMessage()
    queue.close()
    queue.join_thread()


def hang_at_exit():
    from multiprocessing import util

    util.Finalize(None, threading.Event().wait, exitpriority=1)
    raise ValueError("error in the initializer")


@pytest.mark.parametrize("launched", ["zygote", "exec"])
def test_a_worker_that_hangs_after_its_error_is_not_waited_for(pool, launched):
    executor = pool(1, initializer=hang_at_exit, launcher=launched)
    with pytest.raises(BrokenProcessPool):
        executor.submit(tasks.identity, 1).result(20)
    executor.shutdown()


def test_one_that_cannot_be_pickled_breaks_the_pool_and_no_future_waits(pool):
    """In the original loky `submit` raises, and the task's future waits for ever."""
    executor = pool(1, initializer=tasks.remember, initargs=("a", (n for n in ())))
    future = executor.submit(tasks.identity, 1)
    error = future.exception(20)
    assert isinstance(error, BrokenProcessPool)
    assert isinstance(error.__cause__, TypeError)


def test_one_that_ends_its_worker_breaks_the_pool_in_the_end(pool):
    executor = pool(1, initializer=tasks.exit_hard, initargs=(3,))
    assert isinstance(executor.submit(tasks.identity, 1).exception(30), BrokenProcessPool)


def test_it_sees_the_depth_and_the_environment_of_a_worker(pool):
    """In the original loky it still sees the parent's depth."""

    def initialize():
        from loky import process_executor

        tasks.remember("seen", (process_executor._CURRENT_DEPTH, tasks.environment("LOKY_TEST_A")))

    executor = pool(1, initializer=initialize, env={"LOKY_TEST_A": "x"})
    assert executor.submit(tasks.recall, "seen").result() == (1, "x")


def test_a_fault_handler_that_it_enabled_is_left_alone(pool, tmp_path):
    path = str(tmp_path / "stack")

    def initialize():
        import faulthandler

        file = open(path, "w")  # noqa: SIM115
        faulthandler.enable(file)
        tasks.remember("file", file)

    executor = pool(1, initializer=initialize, on_crash="recover")
    executor.submit(tasks.kill_self, 11).exception()
    assert "kill_self" in (tmp_path / "stack").read_text()
