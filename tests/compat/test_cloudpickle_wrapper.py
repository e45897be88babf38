"""`wrap_non_picklable_objects`: what it wraps, what it forwards, and how it travels."""

import copy
import functools
import pickle

import pytest

from loky import wrap_non_picklable_objects
from loky.cloudpickle_wrapper import (
    CallableObjectWrapper,
    CloudpickledObjectWrapper,
    _wrap_objects_when_needed,
)


def travel(value):
    return pickle.loads(pickle.dumps(value))


class Thing:
    def __init__(self, value):
        self.value = value
        self.hook = lambda: value

    def doubled(self):
        return 2 * self.value


class CallableThing(Thing):
    def __call__(self):
        return self.value


def test_a_function_stays_callable():
    wrapped = wrap_non_picklable_objects(lambda x: x + 1)
    assert isinstance(wrapped, CallableObjectWrapper)
    assert travel(wrapped)(1) == 2
    assert isinstance(travel(wrapped), CallableObjectWrapper)


def test_without_keeping_the_wrapper_the_object_comes_back():
    back = travel(wrap_non_picklable_objects(lambda: 5, keep_wrapper=False))
    assert not isinstance(back, CloudpickledObjectWrapper)
    assert back() == 5


def test_an_object_forwards_what_is_read():
    wrapped = wrap_non_picklable_objects(Thing(3))
    assert not callable(wrapped)
    back = travel(wrapped)
    assert back.value == 3
    assert back.doubled() == 6
    assert back.hook() == 3
    assert back._keep_wrapper is True
    assert isinstance(back._obj, Thing)
    with pytest.raises(AttributeError):
        _ = back.nothing


def test_writing_stays_on_the_wrapper():
    thing = Thing(3)
    wrapped = wrap_non_picklable_objects(thing)
    wrapped.value = 4
    assert (wrapped.value, thing.value) == (4, 3)


def test_a_callable_object_stays_callable():
    assert travel(wrap_non_picklable_objects(CallableThing(7)))() == 7


def test_a_class_gives_a_class_whose_instances_travel():
    wrapped = wrap_non_picklable_objects(CallableThing)
    assert wrapped.__name__ == "CallableThing"
    instance = wrapped(8)
    assert instance.doubled() == 16
    with pytest.raises(TypeError, match="'CallableThing' object is not callable"):
        instance()
    assert travel(instance).hook() == 8


@wrap_non_picklable_objects
def decorated(x):
    inner = lambda: x  # noqa: E731
    return inner()


def test_as_a_decorator():
    assert decorated(3) == 3
    assert travel(decorated)(4) == 4


def test_a_copy_of_a_wrapper_is_made():
    wrapped = wrap_non_picklable_objects(Thing(3))
    assert copy.copy(wrapped).value == 3
    assert copy.deepcopy(wrapped).value == 3
    with pytest.raises(AttributeError):
        _ = CloudpickledObjectWrapper.__new__(CloudpickledObjectWrapper).anything


def test_functions_are_wrapped_when_they_need_it():
    local = lambda: 1  # noqa: E731
    wrapped = _wrap_objects_when_needed(local)
    assert isinstance(wrapped, CallableObjectWrapper)
    assert _wrap_objects_when_needed(local) is wrapped
    assert _wrap_objects_when_needed(len) is len
    assert _wrap_objects_when_needed(3) == 3
    partial = _wrap_objects_when_needed(functools.partial(local, key=local))
    assert partial.func is wrapped
    assert partial.keywords == {"key": wrapped}
