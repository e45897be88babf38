"""The context that an executor is given, checked. Every one is served by this package's own workers.

What the context decides is the start method that a worker names and whether the main script is
imported in it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def resolve(context: "Any") -> "Any":
    """The context of this name, if it is a name; None stays None.

    Raises:
        ValueError: there is no such context.
    """
    if not isinstance(context, str):
        return context
    from .backend.context import get_context

    return get_context(context)


def choose(context: "Any", mp_context: "Any") -> "Any":
    """The one of two arguments that was given, resolved.

    Raises:
        ValueError: both were given, or there is no context of this name.
    """
    if context is not None and mp_context is not None:
        raise ValueError("give either context or mp_context, not both")
    return resolve(context if context is not None else mp_context)


def method_of(context: "Any") -> str | None:
    """The start method of a context; None where none was given."""
    if context is None:
        return None
    method: str = context.get_start_method()
    return method


def refuse_fork(context: "Any") -> None:
    """Check that the start method is not fork.

    Raises:
        ValueError: it is: a forked process copies the threads and locks of this one in an unknown
            state.
    """
    if method_of(context) == "fork":
        raise ValueError(
            "Cannot use reusable executor with the 'fork' context: it copies the threads and locks of "
            "this process in an unknown state. Leave the context out, or use 'spawn' or 'loky'."
        )
