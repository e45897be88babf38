"""Objects that many tasks read: encoded once, sent once, decoded once in each worker.

In the owner a `Shared` holds what was encoded. Whatever pickles it for a pool sends those same bytes,
which the engine knows again by their address, under a name by which a worker finds the object that it
made of them. When neither the handle nor a task needs it, the workers are told to forget the name.
"""

import os
import threading
from _pickle import PickleBuffer, PicklingError
from typing import Generic, TypeVar

from . import _pickling, _remote, _state
from ._kept import attach, make

TYPE_CHECKING = False
if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable
    from typing import Any

    from ._pool import PoolLife

T = TypeVar("T")

_MESSAGE = "Could not pickle the object to share."


class Shared(Generic[T]):
    """An object for many tasks, made by `share`; in the tasks, the object itself."""

    __slots__ = ("__weakref__", "_buffers", "_name", "_pools", "_stream")

    def __init__(self, obj: "T") -> None:
        self._pools: dict[int, weakref.ref[PoolLife]] = {}
        # A name that no other object has, here or in another process.
        self._name = os.urandom(16)
        stream, buffers = _encode(obj)
        self._stream = stream
        # The object may change from now on.
        self._buffers = [bytes(buffer) for buffer in buffers]
        _state.shares = True

    def get(self) -> "T":
        """The object, made anew from what was encoded."""
        value: T = make(self._stream, *self._buffers)
        return value

    def __reduce_ex__(self, protocol: "Any") -> "tuple[Any, ...]":
        parts: list[Any] = [self._stream, *self._buffers]
        if protocol >= 5:
            parts = [PickleBuffer(part) if len(part) >= _pickling.BUFFER_MIN else part for part in parts]
        seen = _call.seen
        if seen is None:
            return make, tuple(parts)
        seen.append(self)
        return attach, (self._name, *parts)

    def __repr__(self) -> str:
        size = len(self._stream) + sum(map(len, self._buffers))
        return f"<loky.Shared of {size} bytes>"

    def __del__(self) -> None:
        for ref in getattr(self, "_pools", {}).values():
            life = ref()
            if life is not None:
                life.forget_shared(self._name)

    def used_by(self, life: "PoolLife") -> None:
        """A task of this pool needs it."""
        self._pools.setdefault(id(life), life.ref)


def share(obj: "T") -> "Shared[T]":
    """Encode an object once, for many tasks that read it.

    The handle goes wherever an argument goes, also inside of other arguments and into closures, to
    `submit` and to `map`, of any number of pools and from any thread. A task does not see the handle
    but the object itself, as it was when this was called: a change after that is not seen.

    A worker decodes it once and keeps it for its next tasks. So **all tasks of a worker see the same
    object: treat it as read-only**, since a task that changes it changes it for those after it, and
    which these are depends on which worker they run on. It is dropped by the workers when the handle
    is gone and every task that needs it is over.

    The memory of large buffers, such as those of numpy arrays, is shared by all workers of a pool.
    The owner holds what was encoded for as long as the handle lives.

    Pickled outside of a pool the handle becomes the object, too. Reducers of an executor are not
    asked; those that are registered for all picklers are.

    Args:
        obj: what to share; anything that can be pickled.

    Raises:
        PicklingError: it cannot be pickled. A note gives the path to the guilty part.
    """
    return Shared(obj)


class _Call(threading.local):
    """The handles in the call that this thread encodes for a pool; None: it does nothing like that."""

    seen: "list[Shared[Any]] | None" = None


_call = _Call()


def collect_call() -> "Callable[[], list[Shared[Any]]]":
    """Collect the handles that this thread pickles; ends with the call of the result, which gives them."""
    before, _call.seen = _call.seen, []

    def end() -> "list[Shared[Any]]":
        seen, _call.seen = _call.seen, before
        return seen or []

    return end


def _encode(obj: "Any") -> "_pickling.Encoded":
    # A handle inside of another becomes part of it.
    before, _call.seen = _call.seen, None
    try:
        return _pickling.encode_shared(obj)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failure = PicklingError(_MESSAGE)
        failure.__cause__ = _remote._RemoteTraceback(_remote.describe(error))
        note = _pickling.path_in_shared(obj)
    finally:
        _call.seen = before
    if note is not None:
        failure.add_note(note)
    raise failure
