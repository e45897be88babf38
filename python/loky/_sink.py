"""Where the pickler of a task writes: large `bytes` and `bytearray` objects go beside the stream.

The pickler hands the bytes of a large object to `write` by themselves, behind a chunk that ends with
their opcode and length. Here they become one more buffer, by reference where they cannot change, and
the opcode becomes a call that makes the object from a buffer: who reads the stream gets the same.

The stream loses its frames, which say nothing that is not in the length of the whole: without them a
few bytes more at the beginning leave all that follows as it was, so that it can be recognised.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGE_MIN = 64 * 1024
"""From this size on, in bytes, the pickler writes an object's bytes by themselves."""

_PROTOCOL = b"\x80\x05"
_FRAME, _FRAME_BYTES = 0x95, 9

# Opcodes whose argument is a length and so many bytes, with the bytes that the length takes.
_LENGTHS = {b"B": 4, b"\x8e": 8, b"\x96": 8, b"X": 4, b"\x8d": 8}


def _made_by(name: bytes) -> bytes:
    """The opcodes that call a built-in class with the next buffer."""
    return b"\x8c\x08builtins\x8c" + bytes((len(name),)) + name + b"\x93\x97\x85R"


_MAKE = {b"B": _made_by(b"bytes"), b"\x8e": _made_by(b"bytes"), b"\x96": _made_by(b"bytearray")}


def _frame_end(chunk: bytes) -> tuple[int, int]:
    """Where the contents of the frame begin and end with which a chunk begins; twice the same if none."""
    start = 2 if chunk.startswith(_PROTOCOL) else 0
    if len(chunk) < start + _FRAME_BYTES or chunk[start] != _FRAME:
        return start, start
    length = int.from_bytes(chunk[start + 1 : start + _FRAME_BYTES], "little")
    return start + _FRAME_BYTES, start + _FRAME_BYTES + length


def _announced(chunk: bytes, length: int) -> bytes | None:
    """The opcode at the end of a chunk that is to be followed by so many bytes, if there is one.

    What is written behind the frame of a chunk is there for such an opcode alone.
    """
    _, end = _frame_end(chunk)
    for opcode, width in _LENGTHS.items():
        at = len(chunk) - 1 - width
        if at >= end and chunk[at : at + 1] == opcode and int.from_bytes(chunk[at + 1 :], "little") == length:
            return opcode
    return None


class Sink:
    """A file that is written to.

    Args:
        buffers: what is beside the stream, in order; the pickler's other buffers are put there too.
    """

    __slots__ = ("_bare", "_buffers", "_chunks")

    def __init__(self, buffers: "list[Any]") -> None:
        self._buffers = buffers
        self._chunks: list[bytes] = []
        # The places of chunks that are the bytes of an object.
        self._bare: set[int] = set()

    def write(self, chunk: "Any") -> None:
        """Take what the pickler writes."""
        data = chunk if type(chunk) is bytes else bytes(chunk)
        chunks = self._chunks
        last = len(chunks) - 1
        if last >= 0 and last not in self._bare:
            opcode = _announced(chunks[last], len(data)) if len(data) >= LARGE_MIN else None
            make = _MAKE.get(opcode) if opcode else None
            if opcode and make:
                chunks[last] = chunks[last][: -1 - _LENGTHS[opcode]] + make
                self._buffers.append(data)
                # Nothing more is announced by the chunk.
                self._bare.add(last + 1)
                chunks.append(b"")
                return
            if opcode:
                self._bare.add(last + 1)
        chunks.append(data)

    def stream(self) -> bytes:
        """What was written."""
        if len(self._chunks) == 1:
            return self._chunks[0]
        parts: list[bytes | memoryview] = []
        for place, chunk in enumerate(self._chunks):
            start, end = (0, 0) if place in self._bare else _frame_end(chunk)
            if start == end:
                parts.append(chunk)
                continue
            parts.append(chunk[: start - _FRAME_BYTES])
            parts.append(memoryview(chunk)[start:])
        return b"".join(parts)
