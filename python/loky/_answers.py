"""Turns the answer of a worker into a value or an exception, in the thread that asks for it."""

import threading

from . import _pickling, _remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from typing_extensions import Buffer

    from ._native import Payload


def open_answer(payload: "Payload", raised: bool) -> "tuple[Any, BaseException | None]":
    """The value and None, or None and the exception; failure to decode gives an exception too.

    Args:
        payload: the answer.
        raised: whether it is an encoded exception.

    Raises:
        KeyboardInterrupt: the user interrupted the main thread; the answer can be opened again.
    """
    try:
        if raised:
            return None, open_exception(payload.stream())
        return _pickling.decode(payload.stream(), payload.buffers()), None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and _interrupts_arrive_here():
            raise
        return None, _unreadable(error)


def open_exception(stream: "Buffer") -> BaseException:
    """The exception that a worker encoded, with the worker's traceback as its cause.

    Raises:
        BaseException: whatever rebuilding it raises.
    """
    view = memoryview(stream)
    kind, body = bytes(view[:1]), view[1:]
    if kind == _pickling.UNREADABLE_TASK:
        from ._exceptions import TASK_UNREADABLE, BrokenProcessPool

        shown, text = _pickling.decode(body)
        error: BaseException = BrokenProcessPool(
            f"{TASK_UNREADABLE} Its arguments or function could not be rebuilt in the worker: {shown}. "
            "Make sure that the worker can import what they need."
        )
        _unreadable_errors_mark(error)
    else:
        error, text, *more = _pickling.decode(body)
        if more and not hasattr(error, "__notes__"):
            for note in more[0]:
                error.add_note(note)
    return _remote.with_remote_cause(error, text)


def is_unreadable(error: BaseException) -> bool:
    """Whether the error says that a task or an answer could not be decoded."""
    return getattr(error, "_unreadable", False) is True


def _unreadable_errors_mark(error: BaseException) -> None:
    error._unreadable = True  # type: ignore[attr-defined]


def _unreadable(error: BaseException) -> BaseException:
    from ._exceptions import RESULT_UNREADABLE, BrokenProcessPool

    broken = BrokenProcessPool(
        f"{RESULT_UNREADABLE} The answer of the task could not be rebuilt in this process: "
        f"{type(error).__module__}.{type(error).__qualname__}: {_text(error)}"
    )
    _unreadable_errors_mark(broken)
    return _remote.with_remote_cause(broken, _remote.describe(error))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:
        return "<its text cannot be made>"


def _interrupts_arrive_here() -> bool:
    return threading.current_thread() is threading.main_thread()


def cause_of_break(facts: "Mapping[str, Any]") -> BaseException | None:
    """What a worker has said of why the pool breaks: the error of its initializer."""
    payload = facts.get("payload")
    if payload is None:
        return None
    try:
        return open_exception(payload.stream())
    except BaseException as error:
        return error
