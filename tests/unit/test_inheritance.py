"""Which limits an owner writes down for its workers."""

import resource
from types import SimpleNamespace

from loky import _inheritance


def test_the_mark_of_the_family_is_no_limit_to_take_over(monkeypatch):
    limits = {4: (1, 2), 10: (3, 4)}
    system = SimpleNamespace(RLIMIT_CORE=4, RLIMIT_LOCKS=10, getrlimit=limits.__getitem__)
    monkeypatch.setattr(_inheritance, "_resource", system)
    assert _inheritance.limits() == {4: (1, 2)}


def test_the_limits_are_those_of_this_process():
    assert _inheritance.limits()[resource.RLIMIT_CORE] == resource.getrlimit(resource.RLIMIT_CORE)
