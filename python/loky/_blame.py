"""Finds the part of a value that cannot be pickled, and gives the way to it in words.

A bounded search: each part is tried alone, and the first that fails is looked into. It runs only
after a failure, in the process that failed, and never raises an error of its own.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Dump = Callable[[Any], object]

_ATTEMPTS_MAX = 200
_NESTING_MAX = 20
_SEARCH_MAX_S = 0.5
_TEXT_MAX = 200


class _Search:
    """One search, with what is left of its budget."""

    def __init__(self, dump: "Dump") -> None:
        self._dump = dump
        self._attempts = _ATTEMPTS_MAX
        self._deadline_s = time.monotonic() + _SEARCH_MAX_S
        self._seen: set[int] = set()

    def _obstacle(self, part: "Any") -> BaseException | None:
        """What pickling this part alone raises; None also when the budget is spent."""
        if self._attempts <= 0 or time.monotonic() > self._deadline_s:
            return None
        self._attempts -= 1
        try:
            self._dump(part)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return error
        return None

    def descend(self, parts: "Iterator[tuple[str, Any]]") -> str | None:
        """The way from here to the innermost part that fails, or None if all parts pass."""
        steps: list[str] = []
        culprit: tuple[Any, BaseException] | None = None
        while len(steps) < _NESTING_MAX:
            for step, part in parts:
                if id(part) in self._seen:
                    continue
                obstacle = self._obstacle(part)
                if obstacle is not None:
                    self._seen.add(id(part))
                    steps.append(step)
                    culprit = part, obstacle
                    parts = _known_parts(part)
                    break
            else:
                break
        if culprit is None:
            return None
        return f"{' → '.join(steps)}: {_kind(culprit[0])}: {_short(culprit[1])}"


def _kind(part: "Any") -> str:
    cls = type(part)
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def _short(error: BaseException) -> str:
    try:
        text = str(error) or type(error).__name__
    except Exception:
        text = type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


def _key(key: object) -> str:
    return repr(key) if isinstance(key, (str, int, float, bytes)) else f"<{type(key).__name__}>"


def _known_parts(value: "Any") -> "Iterator[tuple[str, Any]]":
    """The parts of a value as far as it lets itself be looked into."""
    try:
        yield from _parts(value)
    except Exception:
        return


def _parts(value: "Any") -> "Iterator[tuple[str, Any]]":
    """What a value is made of, each with the step that leads to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"[{_key(key)}]", item
            yield f"the key {_key(key)}", key
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield "an element", item
    elif isinstance(value, type):
        for name, item in vars(value).items():
            if not name.startswith("__"):
                yield f".{name}", item
    code = getattr(value, "__code__", None)
    if code is not None:
        yield from _parts_of_function(value, code)
    bound_to = getattr(value, "__self__", None)
    if bound_to is not None and callable(value):
        yield ".__self__", bound_to
    for name in ("func", "args", "keywords"):  # functools.partial
        if type(value).__name__ == "partial" and hasattr(value, name):
            yield f".{name}", getattr(value, name)
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        for name, item in list(attributes.items()):
            yield f".{name}", item
    if isinstance(value, BaseException):
        yield ".args", value.args


def _parts_of_function(function: "Any", code: "Any") -> "Iterator[tuple[str, Any]]":
    closure = getattr(function, "__closure__", None) or ()
    for name, cell in zip(code.co_freevars, closure, strict=False):
        try:
            yield f"closure variable {name!r}", cell.cell_contents
        except ValueError:
            continue  # The variable has no value yet.
    namespace = getattr(function, "__globals__", {})
    for name in code.co_names:
        if name in namespace:
            yield f"global {name!r}", namespace[name]
    for index, default in enumerate(getattr(function, "__defaults__", None) or ()):
        yield f"default {index + 1}", default


def _guarded(search: _Search, parts: "Iterator[tuple[str, Any]]") -> str | None:
    try:
        return search.descend(parts)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return None  # An object whose attributes raise: the failure itself is reported anyway.


def path_in_call(call: "tuple[Any, tuple[Any, ...], dict[str, Any]]", dump: "Dump") -> str | None:
    """The way to what cannot be pickled in a call, as «argument 2 → ['conn'] → .sock: …».

    Args:
        call: function, positional arguments (counted from 1), keyword arguments.
        dump: pickles one value or raises.
    """
    function, args, kwargs = call

    def parts() -> "Iterator[tuple[str, Any]]":
        for index, value in enumerate(args):
            yield f"argument {index + 1}", value
        for name, value in kwargs.items():
            yield f"argument {name!r}", value
        yield "the function", function

    return _guarded(_Search(dump), parts())


def path_in_value(name: str, value: "Any", dump: "Dump") -> str | None:
    """The way to what cannot be pickled in a value that is called so."""
    return _guarded(_Search(dump), iter(((name, value),)))


def path_in_exception(error: BaseException, dump: "Dump") -> str | None:
    """The way to what cannot be pickled in the exception that a task raised."""
    return _guarded(_Search(dump), _parts(error))
