"""The pickler for what plain pickle cannot write or would write differently: `cloudpickle`.

Apart from `_pickling` so that importing this module, and with it `cloudpickle`, happens only when
something needs it.
"""

from collections import ChainMap

import cloudpickle

from . import _remote, _state
from ._pickler_choice import handles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from typing import Any


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """`cloudpickle` with exceptions by structure and reducers of this pickler alone.

    Args:
        file: where the stream is written.
        buffer_callback: see `pickle.Pickler`.
        reducers: functions giving the reduction of an object, by exact type; they come first, then
            those that are registered for all picklers.
        protocol: of pickle.
    """

    def __init__(
        self,
        file: "Any",
        buffer_callback: "Callable[[Any], bool] | None" = None,
        reducers: "Mapping[type, Callable[[Any], Any]] | None" = None,
        protocol: int = 5,
    ) -> None:
        self._reducers = {} if reducers is None else reducers
        registered = _state.registered_reducers
        tables: list[Any] = [self._reducers, registered, handles(), cloudpickle.Pickler.dispatch_table]
        # A fresh mapping in front takes what anyone registers on this instance. The pickler in C
        # looks for its table when it is initialised and not again.
        self.dispatch_table: MutableMapping[Any, Any] = ChainMap({}, *tables)
        super().__init__(file, protocol=protocol, buffer_callback=buffer_callback)

    def reducer_override(self, obj: "Any") -> "Any":
        reducer = self._reducers.get(type(obj)) or _state.registered_reducers.get(type(obj))
        if reducer is not None:
            return reducer(obj)
        if isinstance(obj, BaseException) and _remote.keeps_inherited_reduction(type(obj)):
            return _remote.reduce_exception(obj)
        return super().reducer_override(obj)
