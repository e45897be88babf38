"""What runs one chunk of a `map` in a worker, and its answer. A leaf, so that workers load it fast."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


class ChunkAnswer:
    """What became of each call of a chunk.

    Attributes:
        elapsed_ns: how long the chunk ran.
        values: what the calls returned, in order; None where one failed.
        errors: the encoded exceptions, by place.
    """

    __slots__ = ("elapsed_ns", "errors", "values")

    def __init__(self, elapsed_ns: int, values: "list[Any]", errors: "dict[int, bytes]") -> None:
        self.elapsed_ns = elapsed_ns
        self.values = values
        self.errors = errors

    def parts(self) -> "tuple[int, list[Any], dict[int, bytes]]":
        """What travels: built-in types, so that the parent needs no class of this package."""
        return self.elapsed_ns, self.values, self.errors


def run_chunk(function: "Callable[..., Any]", *columns: "Iterable[Any]") -> ChunkAnswer:
    """Call `function` with each row of `columns`. An error costs its own call and no other.

    An interrupt ends the chunk, as it ends any task.
    """
    began_ns = time.monotonic_ns()
    values: list[Any] = []
    errors: dict[int, bytes] = {}
    for arguments in zip(*columns, strict=True):
        try:
            values.append(function(*arguments))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            errors[len(values)] = _encoded(error)
            values.append(None)
    return ChunkAnswer(time.monotonic_ns() - began_ns, values, errors)


def _encoded(error: BaseException) -> bytes:
    from . import _pickling

    traceback = error.__traceback__
    if traceback is not None and traceback.tb_next is not None:
        error.__traceback__ = traceback.tb_next  # The user's code begins below this module's frame.
    encoded = _pickling.encode_exception(error)
    error.__traceback__ = None  # Its frames hold the arguments.
    return encoded
