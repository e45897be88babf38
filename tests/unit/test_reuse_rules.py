"""When a thread's executor is reused, and when it is replaced. No task is submitted, so nothing starts."""
# ruff: noqa: SLF001  # a joblib executor derives from the private class, as one does here

import multiprocessing
import threading

import numpy as np
import pytest

from loky import reusable_executor
from loky.reusable_executor import _ReusablePoolExecutor, get_reusable_executor, same_arguments


@pytest.fixture(autouse=True)
def empty_slot():
    yield
    if reusable_executor._executor is not None:
        reusable_executor._executor.shutdown()
    storage = reusable_executor._executor_storage
    storage.executor = storage.executor_kwargs = None


def function():
    pass


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ({"timeout": 10}, {"timeout": 10}, True),
        ({"timeout": 10}, {"timeout": 11}, False),
        ({"initializer": function}, {"initializer": function}, True),
        ({"initializer": lambda: 1}, {"initializer": lambda: 1}, False),
        ({"env": {"A": "1"}}, {"env": {"A": "1"}}, True),
        ({"initargs": (1, [2])}, {"initargs": (1, [2])}, True),
        ({"context": None}, {"context": "loky"}, False),
        ({"initargs": (np.arange(3),)}, {"initargs": (np.arange(3),)}, False),
        (None, {}, False),
    ],
)
def test_arguments_are_compared_by_value(old, new, same):
    assert same_arguments(old, new) is same


def test_equal_arguments_give_the_same_executor():
    first = get_reusable_executor(2, env={"A": "1"})
    assert get_reusable_executor(2, env={"A": "1"}) is first


@pytest.mark.parametrize(
    "other", [{"timeout": 3}, {"env": {"A": "1"}}, {"initializer": function}, {"reuse": False}], ids=str
)
def test_other_arguments_replace_it(other):
    first = get_reusable_executor(2)
    second = get_reusable_executor(2, **other)
    assert second is not first
    assert first._flags.shutdown
    assert second.executor_id > first.executor_id


def test_reuse_true_keeps_the_old_arguments():
    first = get_reusable_executor(3, timeout=5)
    assert get_reusable_executor(reuse=True, timeout=7) is first
    assert (first._timeout, first._max_workers) == (5, 3)


def test_another_size_resizes_it():
    first = get_reusable_executor(1)
    assert get_reusable_executor(2) is first
    assert first._max_workers == 2


def test_a_size_beyond_its_queue_replaces_it():
    first = get_reusable_executor(1)
    assert get_reusable_executor(first.queue_size + 1) is not first


def test_what_is_shut_down_or_broken_is_replaced():
    first = get_reusable_executor(1)
    first.shutdown()
    second = get_reusable_executor(1)
    assert second is not first
    second._flags.broken = object()
    assert get_reusable_executor(1) is not second


def test_each_thread_has_its_own():
    mine = get_reusable_executor(1)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(get_reusable_executor(1)))
    thread.start()
    thread.join()
    assert seen[0] is not mine
    assert get_reusable_executor(1) is mine


class Derived(_ReusablePoolExecutor):
    pass


def test_a_plain_executor_does_not_serve_a_derived_class_but_the_reverse_does():
    plain = get_reusable_executor(1)
    derived, reused = Derived.get_reusable_executor(1)
    assert (type(derived), reused) == (Derived, False)
    assert plain._flags.shutdown
    assert get_reusable_executor(1, reuse=True) is derived
    assert Derived.get_reusable_executor(1) == (derived, True)


def test_the_slot_can_be_read_under_its_old_names():
    assert reusable_executor._executor is None
    executor = get_reusable_executor(1)
    assert reusable_executor._executor is executor
    assert reusable_executor._executor_kwargs["timeout"] == 10


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_workers": 0}, "max_workers must be greater than 0, got 0."),
        ({"context": "nothing"}, "'nothing'"),
        ({"context": multiprocessing.get_context("fork")}, "fork"),
    ],
)
def test_wrong_arguments_leave_the_slot_alone(arguments, text):
    first = get_reusable_executor(1)
    with pytest.raises(ValueError, match=r"must be|Cannot use") as caught:
        get_reusable_executor(**arguments)
    assert text in str(caught.value)
    assert get_reusable_executor(1) is first


def test_resizing_to_nothing_is_an_error():
    with pytest.raises(ValueError, match="max_workers=None"):
        get_reusable_executor(1)._resize(None)


def test_locks_for_users_of_the_slot_are_reentrant():
    executor = get_reusable_executor(1)
    with executor._submit_resize_lock, executor._submit_resize_lock:
        assert get_reusable_executor(1) is executor
