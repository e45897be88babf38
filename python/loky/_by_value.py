"""The pickler for what plain pickle cannot write or would write differently: `cloudpickle`.

Apart from `_pickling` so that importing this module, and with it `cloudpickle`, happens only when
something needs it.
"""

import copyreg
import functools
import sys
import types
from collections import ChainMap
from io import BytesIO

import cloudpickle

from . import _remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from typing import Any

# multiprocessing reduces these in ways that lose something; cloudpickle and the types themselves
# do not.
_REDUCED_BETTER_ELSEWHERE = frozenset((functools.partial, types.MethodType))


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """`cloudpickle` with exceptions by structure and reducers of this pickler alone.

    Args:
        file: where the stream is written.
        buffer_callback: see `pickle.Pickler`.
        reducers: functions giving the reduction of an object, by exact type; they come first.
    """

    def __init__(
        self,
        file: "Any",
        buffer_callback: "Callable[[Any], bool] | None" = None,
        reducers: "Mapping[type, Callable[[Any], Any]] | None" = None,
    ) -> None:
        self._reducers = reducers or {}
        tables: list[Any] = [self._reducers, _handles(), cloudpickle.Pickler.dispatch_table]
        # A fresh mapping in front takes what anyone registers on this instance. The pickler in C
        # looks for its table when it is initialised and not again.
        self.dispatch_table: MutableMapping[Any, Any] = ChainMap({}, *tables)
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)

    def reducer_override(self, obj: "Any") -> "Any":
        reducer = self._reducers.get(type(obj))
        if reducer is not None:
            return reducer(obj)
        if isinstance(obj, BaseException) and _remote.keeps_inherited_reduction(type(obj)):
            return _remote.reduce_exception(obj)
        return super().reducer_override(obj)


def _handles() -> "Mapping[Any, Any]":
    """Reducers of multiprocessing for what names a resource: connections, sockets, shared arrays.

    Such objects exist only where multiprocessing's reduction has been imported.
    """
    reduction = sys.modules.get("multiprocessing.reduction")
    if reduction is None:
        return {}
    table = reduction.ForkingPickler(BytesIO()).dispatch_table
    return {
        kind: reducer
        for kind, reducer in table.items()
        if kind not in _REDUCED_BETTER_ELSEWHERE and kind not in copyreg.dispatch_table
    }
