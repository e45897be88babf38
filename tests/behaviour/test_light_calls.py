"""Small calls, which are encoded without a pickler, mean what they mean with one."""

import math
import operator
import struct
import sys

import cloudpickle
import pytest

from loky import _pickling
from tests.support import tasks

LIGHT = [
    (),
    (None, True, False),
    (0, 255, 256, 65535, 65536, -1),
    (2**31 - 1, 2**31, -(2**31), -(2**31) - 1),
    (2**63 - 1, -(2**63)),
    (0.0, -0.0, 1.5, math.inf),
    ("", "text", "\0", "ß€😀", "a" * 64, "😀" * 63),
    (b"", b"\x00\xff", b"b" * 64),
    tuple(range(16)),
]

HEAVY = [
    (2**63,),
    ("a" * 65,),
    ("😀" * 64,),
    ("\ud800",),
    (b"b" * 65,),
    tuple(range(17)),
    (1j,),
    ((1,),),
    ([],),
]


@pytest.fixture
def pickled(monkeypatch):
    """The calls that a pickler encodes."""
    seen = []
    encode = _pickling.encode_task

    def note(function, args, *more):
        seen.append((function, args))
        return encode(function, args, *more)

    monkeypatch.setattr(_pickling, "encode_task", note)
    return seen


def exactly(values):
    """Equal and of the same types; a zero has its sign."""
    return [(type(value), struct.pack("d", value) if type(value) is float else value) for value in values]


@pytest.mark.parametrize("args", LIGHT)
def test_light_arguments_arrive_as_they_are(pool, pickled, args):
    arrived, kwargs = pool().submit(tasks.collect, *args).result()
    assert not pickled
    assert exactly(arrived) == exactly(args)
    assert kwargs == {}


@pytest.mark.parametrize("args", HEAVY, ids=repr)
def test_other_arguments_go_through_a_pickler(pool, pickled, args):
    arrived, _ = pool().submit(tasks.collect, *args).result()
    assert pickled == [(tasks.collect, args)]
    assert exactly(arrived) == exactly(args)


@pytest.mark.parametrize("kind", [int, float, str, bytes])
def test_a_value_of_a_derived_class_keeps_its_class(pool, pickled, kind):
    derived = type("Derived", (kind,), {})
    executor = pool()
    assert executor.submit(lambda value: type(value).__name__, derived()).result() == "Derived"
    executor.submit(tasks.identity, derived()).result()
    assert len(pickled) == 2


def test_one_object_given_twice_is_one_object_in_the_task(pool):
    for twice in ("a text", b"some bytes"):
        assert pool().submit(operator.is_, twice, twice).result()


@pytest.mark.parametrize("function", [tasks.add, math.copysign, complex])
def test_functions_and_classes_are_found_by_name(pool, pickled, function):
    assert pool().submit(function, 1, -2).result() == function(1, -2)
    assert not pickled


def test_functions_in_turn_are_not_mixed_up(pool, pickled):
    executor = pool()
    functions = [tasks.add, math.copysign, operator.sub, tasks.add, max, min] * 3
    futures = [executor.submit(function, 7, 2) for function in functions]
    assert [future.result() for future in futures] == [function(7, 2) for function in functions]
    assert not pickled


def test_a_function_that_its_name_does_not_lead_to_goes_by_value(pool, pickled, monkeypatch):
    executor = pool()
    original = tasks.add
    assert executor.submit(original, 2, 3).result() == 5
    monkeypatch.setattr(tasks, "add", operator.sub)
    assert executor.submit(original, 2, 3).result() == 5
    assert pickled == [(original, (2, 3))]
    monkeypatch.undo()
    assert executor.submit(original, 2, 3).result() == 5


def test_a_function_of_main_goes_by_value(pool, pickled, monkeypatch):
    def function(value):
        return value + 1

    function.__module__, function.__qualname__ = "__main__", "function"
    monkeypatch.setattr(sys.modules["__main__"], "function", function, raising=False)
    assert pool().submit(function, 1).result() == 2
    assert pickled == [(function, (1,))]


def test_a_module_registered_by_value_goes_by_value(pool, pickled):
    cloudpickle.register_pickle_by_value(tasks)
    try:
        assert pool().submit(tasks.add, 2, 3).result() == 5
    finally:
        cloudpickle.unregister_pickle_by_value(tasks)
    assert pickled == [(tasks.add, (2, 3))]


def test_an_interrupt_while_the_function_is_looked_for_is_the_users(pool, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    executor = pool()
    original = tasks.add
    monkeypatch.delattr(tasks, "add")
    monkeypatch.setattr(tasks, "__getattr__", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        executor.submit(original, 2, 3)
    monkeypatch.undo()
    assert executor.submit(original, 2, 3).result() == 5
