"""Options are checked where they are given, and an error names the wrong one."""

import pytest

from loky import ProcessPoolExecutor, get_reusable_executor
from tests.support import tasks

WRONG = [
    ("timeout", 0, ValueError),
    ("timeout", -1, ValueError),
    ("timeout", float("nan"), ValueError),
    ("timeout", "1", TypeError),
    ("timeout", True, TypeError),
    ("queue_timeout", 0, ValueError),
    ("queue_timeout", [], TypeError),
    ("slow_after", -0.5, ValueError),
    ("retries", -1, ValueError),
    ("retries", 1.5, TypeError),
    ("retries", True, TypeError),
    ("retries", 2**32, ValueError),
    ("priority", 2**31, ValueError),
    ("priority", "high", TypeError),
    ("label", 3, TypeError),
    ("retry_on", "ValueError", TypeError),
    ("retry_on", (ValueError, 3), TypeError),
    ("retry_on", ValueError, ValueError),
]


@pytest.mark.parametrize(("name", "value", "error"), WRONG)
def test_a_wrong_value_is_named(name, value, error):
    executor = ProcessPoolExecutor(1)
    with pytest.raises(error, match=name):
        executor.options(**{name: value})
    default = "task_timeout" if name == "timeout" else name
    with pytest.raises(error, match=default):
        ProcessPoolExecutor(1, **{default: value})


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("grace", -1, ValueError),
        ("grace", "1", TypeError),
        ("grace", (1,), ValueError),
        ("grace", (1, -1), ValueError),
        ("start_timeout", 0, ValueError),
        ("start_timeout", "soon", TypeError),
    ],
)
def test_a_wrong_value_of_the_executor_is_named(name, value, error):
    with pytest.raises(error, match=name):
        ProcessPoolExecutor(1, **{name: value})


def test_an_unknown_option_is_named():
    executor = ProcessPoolExecutor(1)
    with pytest.raises(TypeError, match="'tiemout' is no option"):
        executor.options(tiemout=1)
    with pytest.raises(TypeError, match="'task_tiemout' is no option"):
        ProcessPoolExecutor(1, task_tiemout=1)


def test_options_change_one_by_one(pool):
    view = pool(1).options(timeout=20, label="a").options(label="b", retries=2)
    assert "timeout=20.0" in repr(view)
    assert "label='b'" in repr(view)
    assert "retries=2" in repr(view)
    assert view.submit(tasks.add, 1, second=2).result() == 3


def test_an_infinite_timeout_is_none(pool):
    assert pool(1).options(timeout=float("inf")).submit(tasks.identity, 1).result() == 1


@pytest.mark.parametrize("form", [{}, {"chunksize": 3}, {"buffersize": 2}, {"ordered": False}])
def test_a_view_maps_as_its_executor_does(pool, form):
    view = pool(2).options(retries=1, timeout=60)
    assert sorted(view.map(tasks.add, range(10), range(10), **form)) == list(range(0, 20, 2))


def test_a_label_is_in_the_notes_of_what_a_task_raises(pool):
    error = pool(1).options(label="sum").submit(tasks.fail, KeyError, 1).exception()
    assert error.__notes__ == ["task: sum"]
    assert not hasattr(pool(1).submit(tasks.fail, KeyError, 1).exception(), "__notes__")


def test_the_options_are_part_of_what_a_reusable_executor_is():
    first = get_reusable_executor(1, retries=2, slow_after=5)
    try:
        assert get_reusable_executor(1, retries=2, slow_after=5) is first
        second = get_reusable_executor(1, retries=3)
        assert second is not first
    finally:
        get_reusable_executor(1, reuse=False).shutdown(kill_workers=True)
