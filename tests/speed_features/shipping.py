"""What the tests of large data that is sent once have in common."""

import os
import random
from typing import Any

import numpy as np

SIZE = 1_000_000
"""Bytes, about, of an object that is encoded. Far above every threshold."""


def noise(size: int = SIZE, seed: int = 1) -> bytes:
    """Bytes that repeat nothing."""
    return np.random.default_rng(seed).bytes(size)


def big_list() -> list[int]:
    """A list whose pickle is as large."""
    random_numbers = random.Random(2)
    return [random_numbers.randrange(1 << 30) for _ in range(SIZE // 5)]


def big_dict() -> dict[str, int]:
    """A dict whose pickle is about as large."""
    return {f"key {number}": number for number in range(SIZE // 18)}


OBJECTS = {
    "bytes": noise,
    "bytearray": lambda: bytearray(noise()),
    "numpy": lambda: np.frombuffer(noise(), np.uint8).copy(),
    "str": lambda: noise(SIZE // 2).hex(),
    "list": big_list,
    "dict": big_dict,
    "nested": lambda: {"parts": [noise(SIZE // 2), (np.arange(SIZE / 16), "text")]},
}


def counts(executor: Any) -> tuple[int, int]:
    """Bytes that the executor's pool has copied into shared memory, and bytes that it has recognised."""
    statistics = executor._life._pool.statistics()
    return statistics["copied_bytes"], statistics["recognised_bytes"]


def resident_bytes() -> int:
    """Memory of this process that is resident and its own."""
    with open("/proc/self/statm") as statm:
        words = statm.read().split()
    return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGESIZE")
