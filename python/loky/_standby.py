"""Helpers that start when somebody writes to them, which in most programs nobody ever does.

The pipe to such a helper is there before the first worker, so that workers can be given its end. Its
reader is watched by the poll loops of the pools, without the interpreter; the first byte starts the
helper, and what was written has waited in the pipe.
"""

import os
import sys
import weakref

from . import _helper_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._native import Pool, Standby

_waiting: "weakref.WeakSet[Standby]" = weakref.WeakSet()


def prepare(arguments: "Sequence[str]", program: str, *words: str) -> "tuple[int, Standby]":
    """A pipe, and the interpreter that is to read from it: the end to write to, and the helper.

    Args:
        arguments: of the interpreter.
        program: its program, which gets the number of its descriptor as the last of `sys.argv`.
        words: others before that, for whoever looks at a list of processes.

    Raises:
        OSError: there are no descriptors left.
    """
    from ._native import Standby

    reader, writer = os.pipe()
    try:
        command = _helper_process.from_the_root(sys.executable, [*arguments, "-c", program, *words])
        helper = Standby(reader, command[0], command[1:], list(os.environ.items()))
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.close(reader)
    _waiting.add(helper)
    return writer, helper


def attend(pool: "Pool") -> None:
    """Have a pool watch for what its workers write."""
    for helper in list(_waiting):
        if helper.pid is None:
            pool.attend(helper)
        else:
            _waiting.discard(helper)


def start_all() -> None:
    """Start every helper that waits: a forked child could not, and writes all the same."""
    for helper in list(_waiting):
        _try(helper.start)
        _waiting.discard(helper)


def start_written() -> None:
    """Start the helpers that were written to and that no pool watches any more."""
    for helper in list(_waiting):
        _try(helper.start_if_written)


def _try(start: "Callable[[], object]") -> None:
    try:
        start()
    except OSError:
        pass  # Processes or descriptors are lacking; whoever needs the helper finds out by himself.


os.register_at_fork(before=start_all)
