"""Objects for many tasks on the side of a worker: made once, kept under their name until that is forgotten.

Apart from `_share` because every worker that is handed such an object imports it.
"""

from _pickle import loads
from collections import OrderedDict

from . import _state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEPT_MAX = 256
"""So many objects are kept at the most; one that is dropped is made again when a task needs it."""


def _writable(buffer: "Any") -> "Any":
    """The memory itself, which belongs to this process alone, or a copy of what is small."""
    if type(buffer) is memoryview:
        return buffer.obj
    return bytearray(buffer)


def make(stream: "Any", *buffers: "Any") -> "Any":
    """The object of what was encoded."""
    return loads(stream, buffers=map(_writable, buffers))


_kept: "OrderedDict[bytes, tuple[Any, int]]" = OrderedDict()


def attach(name: bytes, stream: "Any", *buffers: "Any") -> "Any":
    """In a worker: the object of this name, made by the first task that needs it."""
    found = _kept.get(name)
    if found is not None:
        _kept.move_to_end(name)
        return found[0]
    before = _state.resident_bytes()
    value = make(stream, *buffers)
    # What it takes is no growth of a task. Its buffers take memory when they are first read.
    taken = max(_state.resident_bytes() - before, 0) + sum(map(len, buffers))
    _kept[name] = value, taken
    if len(_kept) > _KEPT_MAX:
        _kept.popitem(last=False)
    return value


def forget(name: bytes) -> None:
    """In a worker: nobody needs the object of this name any more."""
    _kept.pop(name, None)


def kept_bytes() -> int:
    """The memory that kept objects have taken."""
    return sum(taken for _, taken in list(_kept.values()))
