"""How an exception travels: taken apart in one process, put together in another, nothing lost.

Used on both sides, so it is light: it knows neither the pool nor `concurrent.futures`. It never
calls the constructor of an exception class that keeps the inherited reduction, because the
arguments of a constructor and `args` need not have anything in common.
"""

import copyreg
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made at run time.


class _RemoteTraceback(Exception):
    """The traceback of another process as text; the `__cause__` of what was raised there.

    Attributes:
        tb: the text between triple quotes, which is also what `str()` gives.
    """

    def __init__(self, tb: str | None = None) -> None:
        self.tb = f'\n"""\n{tb}"""'
        super().__init__(self.tb)

    def __str__(self) -> str:
        return self.tb

    def __reduce__(self) -> "tuple[Callable[[str], _RemoteTraceback], tuple[str]]":
        return restore_traceback, (self.tb,)


# The names under which users of loky know these classes, in tracebacks and in their imports.
_RemoteTraceback.__module__ = "loky.process_executor"


def restore_traceback(tb: str) -> _RemoteTraceback:
    """A `_RemoteTraceback` whose text is already between its quotes."""
    remote = _RemoteTraceback()
    remote.tb = tb
    remote.args = (tb,)
    return remote


class _ExceptionWithTraceback:
    """Wraps an exception so that pickling and loading it gives it back with its traceback as cause.

    Args:
        exc: the exception. Its own traceback is formatted or, where it has none, the current one.
    """

    def __init__(self, exc: BaseException) -> None:
        self.exc = exc
        self.tb = describe(exc, exc.__traceback__ or sys.exc_info()[2])

    def __reduce__(self) -> "tuple[Callable[..., BaseException], tuple[BaseException, str]]":
        return with_remote_cause, (self.exc, self.tb)


_ExceptionWithTraceback.__module__ = "loky.process_executor"


def describe(exc: BaseException, tb: "Any" = None) -> str:
    """The traceback that the interpreter would print, chained exceptions and groups included."""
    try:
        import traceback

        return "".join(traceback.format_exception(type(exc), exc, tb or exc.__traceback__))
    except Exception as obstacle:
        # An endless chain, a stack that is nearly full, attributes that raise, or no descriptor to
        # read a module with.
        return f"{type(exc).__module__}.{type(exc).__qualname__} (no traceback: {type(obstacle).__name__})\n"


def with_remote_cause(exc: BaseException, text: str) -> BaseException:
    """Give `exc` the text of a remote traceback as its cause."""
    exc.__cause__ = _RemoteTraceback(text)
    return exc


def native_base(cls: type) -> "Any":
    """The class in C on whose layout instances of `cls` are built."""
    base: Any = cls
    while base.__flags__ & _HEAP_TYPE and base.__base__ is not None:
        base = base.__base__
    return base


def keeps_inherited_reduction(cls: type) -> bool:
    """Whether no one has said how instances of this exception class are to be pickled.

    Libraries do so in the class (`__reduce__`, `__reduce_ex__`) or in the table of `copyreg`.
    """
    if cls in copyreg.dispatch_table:
        return False
    mro = cls.__mro__
    for name in ("__reduce_ex__", "__reduce__"):
        owner = next(c for c in mro if name in c.__dict__)
        if owner.__flags__ & _HEAP_TYPE:
            return False
    return True


def reduce_exception(exc: BaseException) -> "tuple[Any, ...]":
    """The pickle reduction of an exception that keeps its type, `args` and attributes.

    `__notes__` are among the attributes; the members of a group are among its arguments.
    """
    reduced = native_base(type(exc)).__reduce__(exc)
    state = reduced[2] if len(reduced) > 2 else None
    return restore_exception, (type(exc), reduced[1], state)


def restore_exception(
    cls: type, arguments: "tuple[Any, ...]", state: "dict[str, Any] | None"
) -> BaseException:
    """The reverse of `reduce_exception`: no constructor in Python is called."""
    base = native_base(cls)
    exc: BaseException = base.__new__(cls, *arguments)
    try:
        base.__init__(exc, *arguments)
    except Exception:
        # `args` was reassigned to something that the C constructor refuses.
        exc.args = arguments
    if state is not None:
        try:
            exc.__setstate__(state)
        except Exception:
            BaseException.__setstate__(exc, state)
    return exc
