"""The function that runs one chunk of a `map` in a worker. A leaf, so that workers load it fast."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def run_chunk(function: "Callable[..., Any]", chunk: "Iterable[tuple[Any, ...]]") -> "list[Any]":
    """Call `function` with each tuple of arguments; the first error ends the chunk."""
    return [function(*arguments) for arguments in chunk]
