"""The way to the object that cannot be pickled, in words."""

import functools
import threading

import pytest

from loky import _blame, _pickling

LOCK = threading.Lock()


class Holder:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def method(self):
        return None


class Hostile:
    def __reduce__(self):
        raise TypeError("hostile")

    @property
    def __dict__(self):
        raise RuntimeError("not even this")


def uses_a_global():
    return LOCK


def with_default(lock=LOCK):
    return lock


def note_of(function, *args, **kwargs):
    return _blame.path_in_call((function, args, kwargs), _pickling.dump)


def closure():
    lock = threading.Lock()
    return lambda: lock


CULPRIT = "_thread.lock: cannot pickle '_thread.lock' object"


@pytest.mark.parametrize(
    ("call", "way"),
    [
        (lambda: note_of(len, LOCK), "argument 1"),
        (lambda: note_of(len, 1, {"conn": Holder(sock=LOCK)}), "argument 2 → ['conn'] → .sock"),
        (lambda: note_of(len, key=[0, (LOCK,)]), "argument 'key' → [1] → [0]"),
        (lambda: note_of(closure()), "the function → closure variable 'lock'"),
        (lambda: note_of(Holder(lock=LOCK).method), "the function → .__self__ → .lock"),
        (lambda: note_of(functools.partial(len, LOCK)), "the function → .args → [0]"),
    ],
)
def test_the_way_to_the_culprit(call, way):
    assert call() == f"{way}: {CULPRIT}"


@pytest.mark.parametrize(
    ("function", "step"), [(uses_a_global, "global 'LOCK'"), (with_default, "default 1")]
)
def test_what_a_function_of_main_carries(monkeypatch, function, step):
    monkeypatch.setattr(function, "__module__", "__main__")
    assert note_of(function) == f"the function → {step}: {CULPRIT}"


def test_an_object_that_only_fails_as_a_whole_is_named_itself():
    assert note_of(len, [Hostile()]).startswith("argument 1 → [0]: ")


def test_a_cycle_ends():
    cycle = [LOCK]
    cycle.insert(0, cycle)
    assert CULPRIT in note_of(len, cycle)


def test_what_can_be_pickled_has_no_culprit():
    assert note_of(len, [1], key="a") is None


def test_an_interrupt_ends_the_search():
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _blame.path_in_call((len, (1,), {}), interrupt)
