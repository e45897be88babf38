"""The plan of a campaign: what each task does and what is asked for it, from a seed and nothing else."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos import work

DEATHS = ("exit", "null", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGABRT")
SIZES = (10, 70_000, 400_000, 2_000_000)
GENEROUS_S = 300.0
"""A deadline that no task comes near, whatever is done to it."""

_PAYLOADS = {(letter, size): bytes([letter]) * size for letter in b"ab" for size in SIZES}
"""Made once: the campaign itself must not need memory while that is scarce."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A task.

    Attributes:
        number: from 1; also what the record of starts calls it.
        kind: what it does, for the account.
        call: the function and its arguments but the record and the number.
        options: what is asked for it.
        ends: how it may end where nothing else is done to it.
    """

    number: int
    kind: str
    call: tuple[Callable[..., Any], tuple[Any, ...]]
    options: dict[str, Any] = field(default_factory=dict)
    ends: frozenset[str] = frozenset(("value",))

    @property
    def retries(self) -> int:
        """How often it may be tried again."""
        retries: int = self.options.get("retries", 0)
        return retries

    @property
    def deaths(self) -> int:
        """How often it ends its worker before it gives a value, if it is tried so often."""
        if self.kind == "die":
            return 1
        times, how = self.call[1] if self.kind == "retried" else (0, "")
        return times if how in DEATHS else 0


def _ends(*words: str) -> frozenset[str]:
    return frozenset(words)


def plain(chance: random.Random, number: int) -> Planned:
    """A task that any pool can be given: nothing is asked for it."""
    dice = chance.random()
    if dice < 0.004:
        return Planned(number, "die", (work.die, (chance.choice(DEATHS),)), ends=_ends("died"))
    if dice < 0.03:
        payload = _PAYLOADS[chance.choice(b"ab"), chance.choice(SIZES)]
        return Planned(number, "measure", (work.measure, (payload,)))
    if dice < 0.05:
        return Planned(number, "produce", (work.produce, (chance.choice(SIZES),)))
    if dice < 0.08:
        return Planned(number, "refuse", (work.refuse, ()), ends=_ends("ValueError"))
    if dice < 0.13:
        return Planned(number, "nap", (work.nap, (chance.random() * 0.01,)))
    return Planned(number, "double", (work.double, ()))


def any_task(chance: random.Random, number: int) -> Planned:
    """A task with any wish that this package knows."""
    dice = chance.random()
    if dice < 0.9:
        task = _own(chance, number) if dice < 0.01 else plain(chance, number)
        wishes = _harmless(chance) if chance.random() < 0.15 else {}
        return Planned(task.number, task.kind, task.call, {**task.options, **wishes}, task.ends)
    if dice < 0.95:
        return _retried(chance, number)
    if dice < 0.9996:
        return _waiting(chance, number)
    return _limited(chance, number)


def _harmless(chance: random.Random) -> dict[str, Any]:
    """Wishes that change nothing about how a task ends."""
    wishes: dict[str, Any] = {"priority": chance.randint(-3, 3)}
    if chance.random() < 0.5:
        wishes["timeout"] = GENEROUS_S
    if chance.random() < 0.2:
        wishes["memory_limit"] = "4G"
    if chance.random() < 0.2:
        wishes["slow_after"] = GENEROUS_S
    return wishes


def _own(chance: random.Random, number: int) -> Planned:
    if chance.random() < 0.7:
        return Planned(number, "unpicklable", (work.unpicklable, ()), ends=_ends("TypeError"))
    return Planned(number, "children", (work.leave_children, ()))


def _retried(chance: random.Random, number: int) -> Planned:
    """It fails some times; the retries may be enough or not."""
    retries, times = chance.randint(1, 3), chance.randint(0, 4)
    if times and chance.random() < 0.7:
        how, options = "raise", {"retries": retries, "retry_on": ValueError}
    else:
        how, options = chance.choice(DEATHS), {"retries": retries}
        times = times if chance.random() < 0.2 else 0
    # A death that somebody else brings about costs one of the attempts as well.
    ends = {"value"} if times <= retries else set()
    if times:
        ends.add("ValueError" if how == "raise" else "died")
    return Planned(number, "retried", (work.fail_until, (times, how)), options, frozenset(ends))


def _waiting(chance: random.Random, number: int) -> Planned:
    """It may come to its turn in time or not."""
    options = {"queue_timeout": chance.choice((0.001, 0.02, 0.1, 1.0)), "retries": chance.randint(0, 1)}
    return Planned(number, "waiting", (work.double, ()), options, _ends("value", "expired"))


def _limited(chance: random.Random, number: int) -> Planned:
    """It passes a limit, and is ended for that."""
    limit_s = 0.05 + chance.random() * 0.1
    match chance.choice(("late", "late twice", "stuck", "large", "soft")):
        case "late":
            return Planned(number, "late", (work.nap, (600.0,)), {"timeout": limit_s}, _ends("timeout"))
        case "late twice":
            options = {"timeout": limit_s, "retries": 1, "retry_on": TimeoutError}
            options["retry_on"] = _timeout_error()
            return Planned(number, "late", (work.nap, (600.0,)), options, _ends("timeout"))
        case "stuck":
            return Planned(number, "stuck", (work.hold_the_lock, ()), {"timeout": limit_s}, _ends("timeout"))
        case "large":
            options = {"memory_limit": "200M"}
            return Planned(number, "large", (work.swell, (400, 600.0)), options, _ends("memory_limit"))
        case _:
            options = {"soft_memory_limit": "200M"}
            return Planned(number, "soft", (work.swell, (2000, 0.0)), options, _ends("MemoryError"))


def _timeout_error() -> type[BaseException]:
    from loky import TaskTimeoutError

    return TaskTimeoutError
