"""What a task's pickler writes: large `bytes` beside the stream, and the same value on the other side."""

import pickle

import pytest

from loky._sink import LARGE_MIN, Sink

LARGE = bytes(range(256)) * (LARGE_MIN // 256)
# The bytes of an object may look like anything the pickler writes.
LIKE_A_FRAME = b"\x95" + (LARGE_MIN).to_bytes(8, "little") + bytes(LARGE_MIN)
LIKE_A_HEADER = bytes(LARGE_MIN) + b"B" + len(LARGE).to_bytes(4, "little")
NUMBERS = list(range(50_000))

VALUES = {
    "small": (1, "text", b"few"),
    "bytes alone": LARGE,
    "twice the same": [LARGE, LARGE, bytearray(LARGE)],
    "equal and not the same": [LARGE, bytes(bytearray(LARGE))],
    "many small": NUMBERS,
    "between many": (NUMBERS, LARGE, NUMBERS[:100], bytearray(LARGE), NUMBERS[1:]),
    "text": ("ä" * LARGE_MIN, LARGE, "b" * LARGE_MIN),
    "like a frame": [LIKE_A_FRAME, "x", LIKE_A_FRAME + b"1", bytearray(LIKE_A_FRAME)],
    "like a header": [LIKE_A_HEADER, LARGE, LIKE_A_HEADER.decode("latin-1"), LARGE + b"1"],
    "keys": {LARGE: NUMBERS, "k": {"deep": [LARGE, (LIKE_A_FRAME,)]}},
    "just below": (LARGE[:-1], bytearray(LARGE[:-1])),
}


def written(value, protocol=5):
    buffers = []
    sink = Sink(buffers)
    pickle.Pickler(sink, protocol, buffer_callback=lambda buffer: buffers.append(buffer.raw())).dump(value)
    return sink.stream(), buffers


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back(name):
    value = VALUES[name]
    stream, buffers = written(value)
    again = pickle.loads(stream, buffers=buffers)
    assert repr(again) == repr(value)
    # What was one object is one, and what was two is two.
    assert pickle.dumps(again) == pickle.dumps(value)


def test_bytes_go_by_reference_and_bytearrays_as_they_are_now():
    grown = bytearray(LARGE)
    stream, buffers = written([LARGE, grown])
    assert buffers[0] is LARGE
    grown[5] ^= 1
    assert buffers[1] == LARGE
    assert len(stream) < 200


def test_buffers_keep_their_order_among_others():
    value = [LARGE, pickle.PickleBuffer(b"one"), LARGE + b"2", pickle.PickleBuffer(b"three")]
    stream, buffers = written(value)
    assert [bytes(buffer[-5:]) for buffer in buffers] == [LARGE[-5:], b"one", (LARGE + b"2")[-5:], b"three"]
    assert [bytes(part) for part in pickle.loads(stream, buffers=buffers)] == [bytes(p) for p in value]


def test_a_longer_beginning_leaves_the_rest_as_it_was():
    short, _ = written((1, NUMBERS))
    long, _ = written(("a longer beginning", NUMBERS))
    assert short[-100_000:] == long[-100_000:]


def test_a_small_value_is_what_pickle_writes():
    assert written((1, "x"))[0] == pickle.dumps((1, "x"), 5)
