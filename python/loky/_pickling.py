"""What travels between a pool and its workers, as bytes: tasks, results, exceptions.

Both sides use it. What plain pickle does exactly as `cloudpickle` would goes through plain pickle,
so that small tasks cost little and `cloudpickle` is imported only when something needs it. Buffers
of `BUFFER_MIN` bytes or more stay outside the stream (pickle protocol 5). Nothing here knows
sockets, futures or processes.
"""

import sys
from _pickle import Pickler, PicklingError, dumps, loads
from io import BytesIO

from . import _remote, _state
from ._chunks import ChunkAnswer
from ._sink import LARGE_MIN, Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pickle import PickleBuffer
    from typing import Any

    from typing_extensions import Buffer

    Reducers = Mapping[type, Callable[[Any], Any]]
    Buffers = list[memoryview | bytes]
    Encoded = tuple[bytes, Buffers]

BUFFER_MIN = 32 * 1024
"""Smallest buffer, in bytes, that travels outside the stream."""

_NESTING_MAX = 3
_WIDTH_MAX = 64

TASK_MESSAGE = "Could not pickle the task to send it to the workers."

# First byte of an encoded exception.
RAISED = b"x"
UNREADABLE_TASK = b"u"

_LIGHT_ATOMS = frozenset((type(None), bool, int, float, complex, str))
_ATOMS = _LIGHT_ATOMS | {bytes, bytearray}
_SEQUENCES = frozenset((tuple, list, set, frozenset))
_function_type = type(lambda: None)
_NAMED = frozenset((_function_type, type(len), type))
_MAIN = frozenset(("__main__", "__mp_main__"))


def is_importable(obj: object) -> bool:
    """Whether a worker finds this function or class by its module and name."""
    module_name = getattr(obj, "__module__", None)
    if module_name is None or module_name in _MAIN:
        return False
    found: object = sys.modules.get(module_name)
    if found is None:
        return False
    name = getattr(obj, "__qualname__", "")
    if "." not in name:
        return getattr(found, name, None) is obj
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


def _is_plain_numpy(kind: type, value: "Any") -> bool:
    numpy = sys.modules.get("numpy")
    if kind is getattr(numpy, "ndarray", None):
        return value.dtype.kind in "biufcSUMm"
    generic = getattr(numpy, "generic", None)
    return generic is not None and issubclass(kind, generic) and value.dtype.kind in "biufcSUMm"


def is_plain(value: "Any", nesting: int = _NESTING_MAX) -> bool:
    """Whether plain pickle and `cloudpickle` would write the same for this value.

    The answer may be False for a value of which it is true: the search is bounded.
    """
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind in _SEQUENCES:
        if _ATOMS.issuperset(map(type, value)):
            return True
        return nesting > 0 and len(value) <= _WIDTH_MAX and all(is_plain(item, nesting - 1) for item in value)
    if kind is dict:
        if _ATOMS.issuperset(map(type, value.values())):
            return _ATOMS.issuperset(map(type, value))
        return (
            nesting > 0
            and len(value) <= _WIDTH_MAX
            and _ATOMS.issuperset(map(type, value))
            and all(is_plain(item, nesting - 1) for item in value.values())
        )
    if kind in _NAMED:
        return is_importable(value)
    module_name = kind.__module__
    if module_name == "loky._share":
        return kind.__name__ == "Shared"
    return module_name == "numpy" and _is_plain_numpy(kind, value)


def _plain_pickle_is_allowed() -> bool:
    if _state.registered_reducers:
        return False
    # Modules that the user has told cloudpickle to send by value must go by value.
    cloudpickle = sys.modules.get("cloudpickle")
    return cloudpickle is None or not cloudpickle.list_registry_pickle_by_value()


class _WithPickler:
    """A task that was written by another pickler than `cloudpickle`, and the name of that one."""

    def __init__(self, name: str, stream: bytes) -> None:
        self._name = name
        self._stream = stream

    def __reduce__(self) -> "tuple[Any, ...]":
        return open_with_pickler, (self._name, self._stream)


def open_with_pickler(name: str, stream: bytes) -> "Any":
    """Decode a task in the worker; its result is to be written by the pickler that wrote it."""
    _state.pickler_name = name
    return loads(stream)


def _dump_chosen(value: "Any", reducers: "Reducers | None") -> bytes:
    """Encode with the pickler that the user has chosen in place of `cloudpickle`."""
    from ._pickler_choice import get_loky_pickler

    stream = BytesIO()
    get_loky_pickler()(stream, reducers=reducers).dump(value)
    return stream.getvalue()


def _keeper(buffers: "Buffers") -> "Callable[[PickleBuffer], bool]":
    def stays_in_stream(buffer: "PickleBuffer") -> bool:
        try:
            view = buffer.raw()
        except BufferError:
            return True
        if view.nbytes < BUFFER_MIN:
            return True
        owner = view.obj
        # What cannot change is known again by its address.
        buffers.append(owner if type(owner) is bytes and len(owner) == view.nbytes else view)
        return False

    return stays_in_stream


def dump(value: "Any", reducers: "Reducers | None" = None) -> "Encoded":
    """Encode any value with `cloudpickle`, exceptions by their structure.

    Args:
        value: what to encode.
        reducers: functions that give the pickle reduction of an object, by exact type. They come
            before the object's own and before those of cloudpickle.

    Raises:
        Exception: whatever the value's own pickling raises.
    """
    from ._by_value import ByValuePickler

    buffers: Buffers = []
    stream = BytesIO()
    ByValuePickler(stream, _keeper(buffers), reducers).dump(value)
    return stream.getvalue(), buffers


def _dump_call(call: "tuple[Any, ...]", reducers: "Reducers | None") -> "Encoded":
    """As `dump`, with large bytes beside the stream."""
    from ._by_value import ByValuePickler

    buffers: Buffers = []
    sink = Sink(buffers)
    ByValuePickler(sink, _keeper(buffers), reducers).dump(call)
    return sink.stream(), buffers


_PROTOCOL = b"\x80\x05"
_SHORT_TEXT, _STACK_GLOBAL = b"\x8c", b"\x93"
_NO_KEYWORDS_AND_STOP = b"}\x87."
_last_named = ("", "", b"")


def _named(function: "Any") -> bytes:
    """The beginning of the pickle of a call: this function by its name.

    It is the same for each call of it, and most of the time that pickling a small call takes. It
    puts nothing into the memo, so whatever follows is pickled as if it stood alone.
    """
    global _last_named
    module_name, name = function.__module__, function.__qualname__
    known_module_name, known_name, encoded = _last_named
    if name is not known_name or module_name is not known_module_name:
        encoded = _PROTOCOL + _text(module_name) + _text(name) + _STACK_GLOBAL
        _last_named = module_name, name, encoded
    return encoded


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) < 256:
        return _SHORT_TEXT + bytes((len(encoded),)) + encoded
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def _is_heavy(atom: "Any") -> bool:
    kind = type(atom)
    return (kind is bytes or kind is bytearray) and len(atom) >= LARGE_MIN


def encode_task(
    function: "Any",
    args: "tuple[Any, ...]",
    kwargs: "dict[str, Any]",
    reducers: "Reducers | None" = None,
    retry_on: "tuple[type[BaseException], ...]" = (),
) -> "Encoded":
    """Encode a call as it is now, with the exceptions after which it is to be tried again.

    Raises:
        PicklingError: the call cannot be pickled for any reason, a `SystemExit` included. Its cause
            is the traceback as text; a note gives the path to the guilty object.
        KeyboardInterrupt: the user interrupted.
    """
    try:
        chosen = _state.pickler_name
        if chosen is not None:
            call = (function, args, kwargs, retry_on) if retry_on else (function, args, kwargs)
            task = _WithPickler(chosen, _dump_chosen(call, reducers))
            return dumps(task, 5), []
        if (
            not reducers
            and not retry_on
            and type(function) in _NAMED
            and is_importable(function)
            and _plain_pickle_is_allowed()
        ):
            if not kwargs and (
                _LIGHT_ATOMS.issuperset(map(type, args))
                or (_ATOMS.issuperset(map(type, args)) and not any(map(_is_heavy, args)))
            ):
                body = memoryview(dumps(args, 5))[2:-1]
                return b"".join((_named(function), body, _NO_KEYWORDS_AND_STOP)), []
            if is_plain(args) and is_plain(kwargs):
                buffers: Buffers = []
                sink = Sink(buffers)
                Pickler(sink, 5, buffer_callback=_keeper(buffers)).dump((function, args, kwargs))
                return sink.stream(), buffers
        if retry_on:
            return _dump_call((function, args, kwargs, retry_on), reducers)
        return _dump_call((function, args, kwargs), reducers)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failure = _task_failure(error, (function, args, kwargs), reducers)
    raise failure


def _blame_module() -> "Any":
    """The search for the guilty part; None where there is no descriptor left to read it with."""
    try:
        from . import _blame
    except OSError:
        return None
    return _blame


def _task_failure(
    error: BaseException,
    call: "tuple[Any, tuple[Any, ...], dict[str, Any]]",
    reducers: "Reducers | None",
) -> PicklingError:
    failure = PicklingError(TASK_MESSAGE)
    failure.__cause__ = _remote._RemoteTraceback(_remote.describe(error))
    blame = _blame_module()
    note = blame and blame.path_in_call(call, lambda part: dump(part, reducers))
    if note is not None:
        failure.add_note(note)
    return failure


def decode(stream: "Buffer", buffers: "Any" = ()) -> "Any":
    """What `dump`, `encode_task` or `encode_result` encoded.

    Args:
        stream: the pickle.
        buffers: the buffers outside it, in order. The value may keep using their memory.
    """
    return loads(stream, buffers=buffers)


def decode_task(stream: "Buffer", buffers: "Any" = ()) -> "Any":
    """What `encode_task` encoded, in the worker; the choice of a pickler comes with it."""
    _state.pickler_name = None
    return loads(stream, buffers=buffers)


def encode_shared(value: "Any") -> "Encoded":
    """Encode an object for many tasks.

    Raises:
        BaseException: whatever the value's pickling raises.
    """
    return _encode_value(value, None)


def _encode_value(value: "Any", reducers: "Reducers | None") -> "Encoded":
    if _state.pickler_name is not None:
        return _dump_chosen(value, reducers), []
    if not reducers and is_plain(value) and _plain_pickle_is_allowed():
        buffers: Buffers = []
        return dumps(value, 5, buffer_callback=_keeper(buffers)), buffers
    return dump(value, reducers)


def path_in_shared(value: "Any") -> str | None:
    """The way to what cannot be pickled in an object for many tasks."""
    blame = _blame_module()
    note: str | None = blame and blame.path_in_value("the object", value, dump)
    return note


def encode_result(value: "Any") -> "Encoded":
    """Encode what a task returned, in the worker.

    Raises:
        BaseException: whatever the value's pickling raises, with a note that gives the path to the
            guilty object.
    """
    if type(value) is ChunkAnswer:
        return _encode_chunk(value)
    try:
        return _encode_value(value, _state.result_reducers)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        blame = _blame_module()
        note = blame and blame.path_in_value(
            "the result", value, lambda part: dump(part, _state.result_reducers)
        )
        if note is not None:
            try:
                error.add_note(note)
            except Exception:
                pass  # The class forbids attributes; the error itself matters more.
        raise


def _encode_chunk(answer: ChunkAnswer) -> "Encoded":
    """Encode the answer of a chunk. A value that cannot be pickled costs its own call and no other."""
    try:
        return encode_result(answer.parts())
    except KeyboardInterrupt:
        raise
    except BaseException:
        for place, value in enumerate(answer.values):
            try:
                encode_result(value)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                answer.errors[place] = encode_exception(error)
                answer.values[place] = None
        return encode_result(answer.parts())


def encode_exception(error: BaseException, text: str | None = None) -> bytes:
    """Encode what a task raised, so that it can be rebuilt in any case.

    Args:
        error: the exception.
        text: its traceback; formatted here if absent.
    """
    if text is None:
        text = _remote.describe(error)
    try:
        return RAISED + _encode_verified(error, text)
    except BaseException as obstacle:
        if type(obstacle) is KeyboardInterrupt:
            raise
        return RAISED + dumps((_substitute(error, obstacle), text), 5)


def _encode_verified(error: BaseException, text: str) -> bytes:
    cls = type(error)
    if _remote.keeps_inherited_reduction(cls):
        reduced = _remote.reduce_exception(error)
        plain = is_importable(cls) and is_plain(reduced[1][1]) and is_plain(reduced[1][2])
        if plain and _plain_pickle_is_allowed():
            return dumps((_Call(reduced), text), 5)
        return dump((error, text))[0]
    # Someone else's reduction: only a trial shows whether it can be undone. It knows nothing of
    # notes, so they travel beside it.
    notes = [note for note in getattr(error, "__notes__", ()) if type(note) is str]
    try:
        stream = dump((error, text, notes))[0]
        if not isinstance(loads(stream)[0], BaseException):
            raise TypeError(f"the reduction of {cls.__qualname__} does not give an exception")
    except KeyboardInterrupt:
        raise
    except BaseException:
        stream = dump((_Call(_remote.reduce_exception(error)), text))[0]
        loads(stream)
    return stream


class _Call:
    """Is pickled as the result of a function call."""

    def __init__(self, reduced: "tuple[Any, ...]") -> None:
        self._reduced = reduced

    def __reduce__(self) -> "tuple[Any, ...]":
        return self._reduced


def _shown(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:
        text = "<its text cannot be made>"
    return f"{type(error).__module__}.{type(error).__qualname__}: {text}"


def _substitute(error: BaseException, obstacle: BaseException) -> PicklingError:
    """An exception that can travel, in place of one that cannot."""
    stand_in = PicklingError(
        f"The task raised an exception that cannot be sent back: {_shown(error)} "
        f"(sending it failed with {_shown(obstacle)})"
    )
    blame = _blame_module()
    note = blame and blame.path_in_exception(error, dump)
    for line in (*getattr(error, "__notes__", ()), note):
        if isinstance(line, str):
            stand_in.add_note(line)
    return stand_in


def encode_unreadable_task(error: BaseException) -> bytes:
    """Encode that a task could not be decoded in the worker, and why."""
    return UNREADABLE_TASK + dumps((_shown(error), _remote.describe(error)), 5)
