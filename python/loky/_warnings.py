"""Warnings in the name of the module from which loky issues them: programs filter them by it."""

import sys
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def warn(text: str, module: str) -> None:
    """Issue a `UserWarning` as if from a module of this package, once a text and place by default.

    Raises:
        UserWarning: a filter turns it into an error.
    """
    home: Any = sys.modules.get(module)
    registry: dict[Any, Any] = {} if home is None else vars(home).setdefault("__warningregistry__", {})
    file = getattr(home, "__file__", None) or __file__
    warnings.warn_explicit(text, UserWarning, file, 1, module=_filtered_name(module), registry=registry)


def _filtered_name(module: str) -> str:
    """The name that a filter speaks of: the module's own, or one under which a program imports it."""
    names = [module, *_aliases(module)]
    patterns = [pattern for _action, _text, _kind, pattern, _line in warnings.filters]
    for name in names:
        if any(pattern is not None and _matches(pattern, name) for pattern in patterns):
            return name
    return module


def _matches(pattern: "Any", name: str) -> bool:
    return bool(pattern == name if isinstance(pattern, str) else pattern.match(name))


def _aliases(module: str) -> "Iterator[str]":
    placed: Any = sys.modules.get("loky._alias")
    for alias, real in [] if placed is None else list(placed.in_use().items()):
        if module.startswith(real):
            yield alias + module[len(real) :]
