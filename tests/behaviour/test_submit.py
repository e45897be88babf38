"""What `submit` promises: the call as it was, its outcome in the future, and no error of its own."""

import functools
import pickle

import pytest

from loky import ProcessPoolExecutor
from loky.process_executor import _RemoteTraceback
from tests.support import tasks
from tests.support.gates import pass_gate


def test_a_task_returns_its_value(pool):
    assert pool().submit(tasks.add, 2, 3).result() == 5


def test_positional_and_keyword_arguments_arrive(pool):
    args, kwargs = pool().submit(tasks.collect, 1, "two", three=[3]).result()
    assert (args, kwargs) == ((1, "two"), {"three": [3]})


def test_keywords_named_like_parameters_of_submit_reach_the_task(pool):
    """As in the standard library; loky clashes here."""
    _, kwargs = pool().submit(tasks.collect, self=1, fn=2, args=3).result()
    assert kwargs == {"self": 1, "fn": 2, "args": 3}


def test_submit_without_a_function_is_a_type_error():
    with pytest.raises(TypeError):
        ProcessPoolExecutor(1).submit()


def test_what_cannot_be_called_is_the_futures_error(pool):
    future = pool().submit("not callable")
    assert isinstance(future.exception(), TypeError)


def test_an_argument_that_cannot_be_pickled_is_the_futures_error(pool):
    executor = pool()
    future = executor.submit(tasks.identity, (n for n in ()))
    with pytest.raises(pickle.PicklingError, match="Could not pickle the task to send it to the workers"):
        future.result()
    assert isinstance(future.exception().__cause__, _RemoteTraceback)
    assert executor.submit(tasks.identity, 1).result() == 1


def test_a_hundred_tasks_after_a_hundred_unpicklable_ones_are_done(pool):
    executor = pool()
    bad = [executor.submit(tasks.identity, (n for n in ())) for _ in range(100)]
    good = [executor.submit(tasks.identity, number) for number in range(100)]
    assert [future.result() for future in good] == list(range(100))
    assert all(isinstance(future.exception(), pickle.PicklingError) for future in bad)


class ExitsWhenPickled:
    def __reduce__(self):
        raise SystemExit(7)


def test_a_system_exit_while_an_argument_is_pickled_is_the_futures_error(pool):
    future = pool().submit(tasks.identity, ExitsWhenPickled())
    assert isinstance(future.exception(), pickle.PicklingError)
    assert "SystemExit" in str(future.exception().__cause__)


def test_an_argument_is_what_it_was_when_it_was_submitted(pool, gate):
    """The original loky pickles later, and the task may see what happened in between."""
    executor = pool(1)
    executor.submit(tasks.identity, None).result()
    value = [1]
    futures = [executor.submit(tasks.identity, value) for _ in range(20)]
    value.append(2)
    assert [future.result() for future in futures] == [[1]] * 20


def test_lambdas_closures_and_partials_are_tasks(pool):
    executor = pool()
    offset = 10

    def shifted(value):
        return value + offset

    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    assert executor.submit(lambda: offset).result() == 10
    assert executor.submit(shifted, 1).result() == 11
    assert executor.submit(factorial, 5).result() == 120
    assert executor.submit(functools.partial(shifted, 5)).result() == 15


def test_closures_of_one_factory_keep_their_own_state(pool):
    def make(number):
        return lambda: number

    executor = pool()
    futures = [executor.submit(make(number)) for number in range(10)]
    assert [future.result() for future in futures] == list(range(10))


def test_a_local_class_goes_there_and_comes_back_as_the_same_class(pool):
    class Point:
        def __init__(self, x):
            self.x = x

        def doubled(self):
            return Point(self.x * 2)

    result = pool().submit(Point(4).doubled).result()
    assert type(result) is Point
    assert result.x == 8


@pytest.mark.parametrize("function", [[].append, "abc".upper, int.__add__, len, {}.get])
def test_methods_of_builtin_types_are_tasks(pool, function):
    arguments = {"append": (1,), "upper": (), "__add__": (1, 2), "len": ("ab",), "get": (1,)}
    expected = function(*arguments[function.__name__])
    assert pool(1).submit(function, *arguments[function.__name__]).result() == expected


def test_a_bound_method_carries_its_object(pool):
    words = {"key": "value"}
    assert pool(1).submit(words.get, "key").result() == "value"


def test_a_generator_cannot_be_a_result(pool):
    executor = pool(1)
    error = executor.submit(lambda: (n for n in ())).exception()
    assert isinstance(error, TypeError)
    assert executor.submit(tasks.identity, 1).result() == 1


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, RecursionError, StopIteration])
def test_what_a_task_raises_comes_back_with_the_workers_traceback(pool, kind):
    executor = pool(1)
    error = executor.submit(tasks.fail, kind, 42).exception()
    assert type(error) is kind
    assert error.args == (42,)
    assert error.__context__ is None
    assert isinstance(error.__cause__, _RemoteTraceback)
    assert "raise kind(*args)" in str(error.__cause__)
    assert executor.submit(tasks.identity, 1).result() == 1
    assert executor._flags.broken is None


def test_a_worker_goes_on_after_a_system_exit(pool):
    executor = pool(1)
    before = executor.submit(tasks.pid).result()
    assert isinstance(executor.submit(tasks.fail, SystemExit, 3).exception(), SystemExit)
    assert executor.submit(tasks.pid).result() == before


def test_the_remote_traceback_shows_chained_causes(pool):
    def chained():
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("outer") from error

    text = str(pool(1).submit(chained).exception().__cause__)
    assert "KeyError: 'missing'" in text
    assert "direct cause" in text


def test_notes_attributes_and_group_members_survive(pool):
    def raise_group():
        inner = OSError(2, "gone")
        inner.extra = [1]
        inner.add_note("look here")
        raise ExceptionGroup("many", [inner, ValueError(1)])

    error = pool(1).submit(raise_group).exception()
    assert isinstance(error, ExceptionGroup)
    inner, second = error.exceptions
    assert (inner.errno, inner.extra, inner.__notes__) == (2, [1], ["look here"])
    assert second.args == (1,)


def test_thousands_of_tasks_are_queued_without_waiting(pool, gate):
    executor = pool(2)
    held = [executor.submit(pass_gate, gate.folder) for _ in range(2)]
    gate.wait_begun(2)
    futures = [executor.submit(tasks.identity, number) for number in range(3000)]
    assert not any(future.done() for future in futures)
    gate.open()
    assert [future.result() for future in futures] == list(range(3000))
    assert [future.result() for future in held] == [None, None]


def test_unfinished_tasks_are_counted_until_they_are_done(pool, gate):
    executor = pool(2)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(6)]
    gate.wait_begun(2)
    assert len(executor._pending_work_items) == 6
    assert len(executor._running_work_items) == 2
    gate.open()
    for future in futures:
        future.result()
    assert executor._pending_work_items == {}


def test_an_executor_cannot_be_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(ProcessPoolExecutor(1))


def test_an_executor_as_an_argument_is_a_pickling_error(pool):
    executor = pool(1)
    assert isinstance(executor.submit(tasks.identity, executor).exception(), pickle.PicklingError)
