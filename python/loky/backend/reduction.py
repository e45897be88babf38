"""Which pickler writes what is sent to workers, and the reducers that all of them use.

The choice is process-wide and travels with each task. `cloudpickle` is the default; for it the
tasks of pools take a faster road that writes the same.
"""

from io import BytesIO
from pickle import HIGHEST_PROTOCOL, loads

from loky._pickler_choice import (
    DEFAULT_ENV,
    ENV_LOKY_PICKLER,
    get_loky_pickler,
    get_loky_pickler_name,
    register,
    set_loky_pickler,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from loky._pickler_choice import Reducers

__all__ = [
    "DEFAULT_ENV",
    "ENV_LOKY_PICKLER",
    "HIGHEST_PROTOCOL",
    "dump",
    "dumps",
    "get_loky_pickler",
    "get_loky_pickler_name",
    "loads",
    "register",
    "set_loky_pickler",
]


def dump(
    obj: "Any",
    file: "Any",
    reducers: "Reducers | None" = None,
    protocol: int | None = None,
) -> None:
    """Pickle an object to a file with the current pickler."""
    get_loky_pickler()(file, reducers=reducers, protocol=protocol).dump(obj)


def dumps(obj: "Any", reducers: "Reducers | None" = None, protocol: int | None = None) -> memoryview:
    """Pickle an object with the current pickler; the bytes, as a buffer."""
    stream = BytesIO()
    dump(obj, stream, reducers, protocol)
    return stream.getbuffer()
