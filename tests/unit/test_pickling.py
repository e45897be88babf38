"""What travels comes back: tasks, results, exceptions, however odd."""

import functools
import math
import operator
import pickle
import sys
import threading

import cloudpickle
import numpy as np
import pytest

from loky import _answers, _pickling, _state
from tests.support.fake_native import FakePayload


def module_level(value):
    return value


class Plain(Exception):
    pass


class OddConstructor(Exception):
    def __init__(self, first, second, *, third):
        super().__init__(f"{first} and {second}")
        self.third = third


class OddOSError(OSError):
    def __init__(self, path, reason):
        super().__init__(2, reason, path)
        self.reason = reason


class WrongReduction(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second

    def __reduce__(self):
        return type(self), ()


class OwnReduction(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second

    def __reduce__(self):
        return type(self), (self.args[0], self.second)


class Falsey(Exception):
    def __len__(self):
        return 0


class NoText(Exception):
    def __str__(self):
        raise ValueError("no text")


class RaisesOn:
    """Raises an exception while it is pickled or loaded."""

    def __init__(self, error, *, loading=False):
        self.error = error
        self.loading = loading

    def __reduce__(self):
        if self.loading:
            return raise_it, (self.error,)
        raise self.error


def raise_it(error):
    raise error


def task_round_trip(function, *args, **kwargs):
    stream, buffers = _pickling.encode_task(function, args, kwargs)
    return _pickling.decode(stream, [bytearray(buffer) for buffer in buffers])


def exception_round_trip(error):
    try:
        raise error
    except BaseException as raised:
        stream = _pickling.encode_exception(raised)
    return _answers.open_exception(stream)


# Tasks.


@pytest.mark.parametrize(
    "function",
    [
        module_level,
        math.sqrt,
        len,
        str,
        functools.partial(module_level, 1),
        [].append,
        operator.itemgetter(0),
    ],
)
def test_a_call_comes_back(function):
    _, args, kwargs = task_round_trip(function, 1, [2, {"a": (3,)}], key=b"value")
    assert (args, kwargs) == ((1, [2, {"a": (3,)}]), {"key": b"value"})


def test_what_has_a_name_goes_by_name_and_without_cloudpickle():
    stream, _ = _pickling.encode_task(math.sqrt, (4,), {})
    assert b"cloudpickle" not in stream
    assert _pickling.decode(stream)[0] is math.sqrt


def test_a_closure_goes_by_value():
    offset = 5
    function, args, _ = task_round_trip(lambda x: x + offset, 1)
    assert function(*args) == 6


def test_a_function_of_main_goes_by_value(monkeypatch):
    monkeypatch.setattr(module_level, "__module__", "__main__")
    assert not _pickling.is_importable(module_level)
    assert task_round_trip(module_level, 3)[0](3) == 3


def test_modules_registered_by_value_go_by_value():
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        stream, _ = _pickling.encode_task(module_level, (1,), {})
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert b"cloudpickle" in stream


@pytest.mark.parametrize("count", [0, 1, _pickling.BUFFER_MIN // 8 - 1])
def test_small_buffers_stay_in_the_stream(count):
    array = np.arange(count, dtype="float64")
    _, buffers = _pickling.encode_task(module_level, (array,), {})
    assert buffers == []
    np.testing.assert_array_equal(task_round_trip(module_level, array)[1][0], array)


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_buffers_stay_outside_the_stream_and_are_writable(order):
    array = np.asarray(np.arange(200 * 50, dtype="float64").reshape(200, 50), order=order)
    stream, buffers = _pickling.encode_task(module_level, (array,), {})
    assert len(stream) < 1000
    assert [buffer.nbytes for buffer in buffers] == [array.nbytes]
    copy = task_round_trip(module_level, array)[1][0]
    np.testing.assert_array_equal(copy, array)
    copy[0, 0] = -1.0
    assert array[0, 0] == 0.0


def test_an_array_that_is_not_contiguous_comes_back():
    array = np.arange(100_000)[::2]
    np.testing.assert_array_equal(task_round_trip(module_level, array)[1][0], array)


def test_arrays_of_objects_are_not_plain():
    assert not _pickling.is_plain(np.array([lambda: 1], dtype=object))
    assert _pickling.is_plain(np.float64(1.5))
    assert task_round_trip(module_level, np.array([lambda: 7], dtype=object))[1][0][0]() == 7


class IntLike(int):
    pass


@pytest.mark.parametrize("value", [IntLike(1), [[[[[1]]]]], [lambda: 1], {IntLike(1): 1}, object()])
def test_what_is_not_surely_plain_is_not_called_plain(value):
    assert not _pickling.is_plain([value])


@pytest.mark.parametrize("value", [None, [1] * 10_000, {"a": [1, (2, {3})]}, ([math.sqrt], int), b""])
def test_plain_values(value):
    assert _pickling.is_plain(value)


def test_reducers_belong_to_one_pickling_and_come_first():
    stream, _ = _pickling.encode_task(
        module_level, (Plain("a"),), {}, {Plain: lambda e: (Plain, ("reduced",))}
    )
    assert _pickling.decode(stream)[1][0].args == ("reduced",)
    assert task_round_trip(module_level, Plain("a"))[1][0].args == ("a",)


@pytest.mark.parametrize("error", [ValueError("why"), SystemExit(3), Falsey(), RecursionError("deep")])
def test_a_task_that_cannot_be_pickled(error):
    with pytest.raises(pickle.PicklingError) as caught:
        _pickling.encode_task(module_level, (RaisesOn(error),), {})
    assert caught.value.args == ("Could not pickle the task to send it to the workers.",)
    cause = caught.value.__cause__
    assert type(cause).__name__ == "_RemoteTraceback"
    assert type(error).__name__ in str(cause)


def test_an_interrupt_while_pickling_is_the_users():
    with pytest.raises(KeyboardInterrupt):
        _pickling.encode_task(module_level, (RaisesOn(KeyboardInterrupt()),), {})


# Results.


def test_a_result_that_cannot_be_pickled_raises_its_own_error_with_the_way_to_it():
    with pytest.raises(TypeError, match="lock") as caught:
        _pickling.encode_result({"a": [threading.Lock()]})
    assert "the result → ['a'] → [0]: _thread.lock" in caught.value.__notes__[0]


def test_result_reducers_of_the_worker_are_used(monkeypatch):
    monkeypatch.setattr(_state, "result_reducers", {Plain: lambda e: (str, ("reduced",))})
    stream, _ = _pickling.encode_result([Plain("a")])
    assert _pickling.decode(stream) == ["reduced"]


def test_a_view_comes_back_as_bytes():
    stream, buffers = _pickling.encode_result(memoryview(b"abc"))
    assert _pickling.decode(stream, buffers) == b"abc"


def test_a_result_that_cannot_be_loaded_is_a_broken_answer_of_this_future_only():
    stream, _ = _pickling.encode_result(RaisesOn(SystemExit("gone"), loading=True))
    value, error = _answers.open_answer(FakePayload(stream), raised=False)
    assert value is None
    assert type(error).__name__ == "BrokenProcessPool"
    assert str(error).startswith("A result has failed to un-serialize")
    assert "SystemExit: gone" in str(error.__cause__)
    assert _answers.is_unreadable(error)


# Exceptions.


@pytest.mark.parametrize(
    "error",
    [
        Plain("a", 1),
        OddConstructor(1, 2, third=3),
        OddOSError("f", "no"),
        Falsey("x"),
        SystemExit(3),
        KeyboardInterrupt("now"),
        StopIteration(5),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        ImportError("no", name="n", path="p"),
        SyntaxError("bad", ("f", 1, 2, "text")),
        FileNotFoundError(2, "no", "name"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_keeps_what_it_is(error):
    error.extra = [1, 2]
    error.add_note("a note")
    copy = exception_round_trip(error)
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)
    assert copy.__context__ is None
    assert f"raise {'error'}" in str(copy.__cause__)
    for name in ("code", "filename", "errno", "value", "start", "name", "path", "lineno"):
        assert getattr(copy, name, None) == getattr(error, name, None)


def test_an_own_reduction_is_respected_and_notes_are_kept():
    error = OwnReduction("a", "b")
    error.add_note("a note")
    copy = exception_round_trip(error)
    assert (type(copy), copy.args, copy.second) == (OwnReduction, ("a",), "b")
    assert copy.__notes__ == ["a note"]


def test_a_reduction_that_cannot_be_undone_does_not_cost_the_exception():
    copy = exception_round_trip(WrongReduction("first", "second"))
    assert (type(copy), copy.args, copy.second) == (WrongReduction, ("first",), "second")


def test_a_group_keeps_its_members():
    group = exception_round_trip(ExceptionGroup("g", [OddConstructor(1, 2, third=3), ValueError("v")]))
    assert group.message == "g"
    assert [type(member) for member in group.exceptions] == [OddConstructor, ValueError]
    assert group.exceptions[0].third == 3


def test_causes_and_contexts_are_in_the_text():
    try:
        try:
            raise ValueError("inner")
        except ValueError as inner:
            raise KeyError("outer") from inner
    except KeyError as error:
        copy = _answers.open_exception(_pickling.encode_exception(error))
    assert "ValueError: inner" in str(copy.__cause__)
    assert "The above exception was the direct cause" in str(copy.__cause__)


def test_a_local_class_travels():
    class Local(Exception):
        def __init__(self, a, b):
            super().__init__(a)

    copy = exception_round_trip(Local(1, 2))
    assert (type(copy), copy.args) == (Local, (1,))


@pytest.mark.parametrize("error", [Plain(threading.Lock()), NoText(threading.Lock())])
def test_an_exception_that_cannot_travel_is_named_by_one_that_can(error):
    copy = exception_round_trip(error)
    assert type(copy) is pickle.PicklingError
    assert type(error).__qualname__ in str(copy)
    assert "_thread.lock" in copy.__notes__[0]
    assert type(error).__qualname__ in str(copy.__cause__)


def test_a_task_that_cannot_be_loaded_names_the_error():
    try:
        raise ValueError("not here")
    except ValueError as error:
        stream = _pickling.encode_unreadable_task(error)
    error = _answers.open_exception(stream)
    assert str(error).startswith("A task has failed to un-serialize")
    assert "ValueError: not here" in str(error.__cause__)
    assert _answers.is_unreadable(error)
