"""What the kernel hands from a parent to its child, where a helper stands between the two: limits of
resources and ignored signals.

The helper has those of the moment at which it was started. The owner writes down its own as a worker
is ordered, and the worker takes them over before any of the user's code runs. Hard limits can only
be lowered without privileges, so a worker may come out with less than was asked, never with more.
"""

import _signal  # type: ignore[import-not-found]  # `signal` would import enum into every worker

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Limits: TypeAlias = "dict[int, tuple[int, int]]"

_resource: "Any"
try:
    import resource as _resource
except ImportError:
    _resource = None

_OWN_RULES = frozenset(
    getattr(_signal, name)
    for name in ("SIGINT", "SIGPIPE", "SIGXFSZ", "SIGKILL", "SIGSTOP")
    if hasattr(_signal, name)
)
"""Ctrl-C is seen to when a worker takes up its work; two more every interpreter ignores; the rest
cannot be."""

_LAST_STANDARD = 31
"""Later signals are real-time ones, some of which the workers need themselves."""


def limits() -> "Limits":
    """This process's limits, soft and hard, by number; empty where the system has none."""
    found: Limits = {}
    if _resource is not None:
        for name in dir(_resource):
            if name.startswith("RLIMIT_"):
                number = getattr(_resource, name)
                try:
                    found[number] = _resource.getrlimit(number)
                except (OSError, ValueError):
                    continue  # The kernel is older than the interpreter.
    return found


def enter_limits(wanted: "Limits") -> None:
    """Take over an owner's limits as far as this process may."""
    if _resource is None:
        return
    for number, pair in wanted.items():
        try:
            own = _resource.getrlimit(number)
            if own != pair:
                _set_limit(number, pair, own)
        except (OSError, ValueError):
            continue  # Refused, or below what is in use.


def _set_limit(number: int, wanted: tuple[int, int], own: tuple[int, int]) -> None:
    try:
        _resource.setrlimit(number, wanted)
    except (OSError, ValueError):
        # The owner has raised its hard limit since, which this process may not.
        _resource.setrlimit(number, (_least(wanted[0], own[1]), own[1]))


def _least(one: int, other: int) -> int:
    if _resource.RLIM_INFINITY in (one, other):
        return other if one == _resource.RLIM_INFINITY else one
    return min(one, other)


def ignored_signals() -> list[int]:
    """The signals that this process ignores and that a program which it executes would ignore."""
    return [number for number in _carried() if _signal.getsignal(number) == _signal.SIG_IGN]


def enter_ignored_signals(wanted: list[int]) -> None:
    """Ignore what an owner ignores, and nothing else that can be left to its default."""
    for number in _carried():
        now = _signal.getsignal(number)
        if number in wanted:
            # The helper may have changed one without the interpreter's knowledge.
            if now in (_signal.SIG_DFL, _signal.SIG_IGN):
                _signal.signal(number, _signal.SIG_IGN)
        elif now == _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)


def _carried() -> list[int]:
    kept = {*_OWN_RULES, _native.STACK_SIGNAL}
    return [number for number in range(1, _LAST_STANDARD + 1) if number not in kept]
