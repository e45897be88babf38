"""The process-wide choice of a pickler, by the name of its module, and reducers for all picklers.

A leaf: it imports a pickler's module only when that is chosen or asked for.
"""

import os
import sys

from . import _state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from typing import Any

    Reducers = Mapping[type, Callable[[Any], Any]]

DEFAULT_ENV = "cloudpickle"
ENV_LOKY_PICKLER = os.environ.get("LOKY_PICKLER") or DEFAULT_ENV
"""The default of this process: what the variable `LOKY_PICKLER` said when this was imported."""

_classes: "dict[str, type[Any]]" = {}


def set_loky_pickler(loky_pickler: str | None = None) -> None:
    """Choose the pickler for what is sent to workers from now on.

    Args:
        loky_pickler: name of a module that has a class `Pickler`; None: the default of this
            process; an empty name: `cloudpickle`.

    Raises:
        ImportError: there is no such module. Nothing is changed.
        AttributeError: it has no `Pickler`. Nothing is changed.
    """
    name = ENV_LOKY_PICKLER if loky_pickler is None else loky_pickler or DEFAULT_ENV
    _class_of(name)
    _state.pickler_name = None if name == DEFAULT_ENV else name


def get_loky_pickler_name() -> str:
    """The name of the chosen pickler's module."""
    return _state.pickler_name or DEFAULT_ENV


def get_loky_pickler() -> "type[Any]":
    """The chosen pickler: a subclass of its module's, made as `cls(file, reducers=…, protocol=…)`."""
    return _class_of(get_loky_pickler_name())


def register(kind: type, reducer: "Callable[[Any], Any]") -> None:
    """Use a reducer for all objects of exactly this type, in everything that is sent from now on."""
    _state.registered_reducers[kind] = reducer


def _class_of(name: str) -> "type[Any]":
    made = _classes.get(name)
    if made is None:
        made = _classes[name] = _make_class(_base_class(name), name)
    return made


def _base_class(name: str) -> "type[Any]":
    hint = (
        f"\n\nFailed to set loky_pickler to {name!r}: it must be the name of a module that can be "
        "imported and has a class 'Pickler'. Look at the argument, or at the variable LOKY_PICKLER."
    )
    try:
        if name == DEFAULT_ENV:
            from ._by_value import ByValuePickler

            return ByValuePickler
        from importlib import import_module

        base: type[Any] = import_module(name).Pickler
        return base
    except (ImportError, AttributeError) as error:
        error.args = (f"{error.args[0] if error.args else ''}{hint}", *error.args[1:])
        if isinstance(error, ImportError):
            error.msg = error.args[0]
        raise


def _make_class(base: "type[Any]", name: str) -> "type[Any]":
    import copyreg
    from collections import ChainMap
    from pickle import HIGHEST_PROTOCOL

    by_value = name == DEFAULT_ENV

    class LokyPickler(base):  # type: ignore[misc]
        """A pickler with reducers of its own."""

        def __init__(
            self, file: "Any", reducers: "Reducers | None" = None, protocol: int | None = None
        ) -> None:
            protocol = HIGHEST_PROTOCOL if protocol is None else protocol
            self._own_reducers: dict[type, Any] = dict(reducers or {})
            if by_value:
                super().__init__(file, reducers=self._own_reducers, protocol=protocol)
                return
            # On the pickler in C the name is a slot, not a table.
            inherited = getattr(base, "dispatch_table", None)
            if not hasattr(inherited, "keys"):
                inherited = copyreg.dispatch_table
            layers: list[Any] = [self._own_reducers, _state.registered_reducers, handles(), inherited]
            # It looks for its table when it is initialised, and not again.
            self.dispatch_table: MutableMapping[Any, Any] = ChainMap(*layers)
            super().__init__(file, protocol=protocol)

        def register(self, kind: type, reducer: "Callable[[Any], Any]") -> None:
            """Use a reducer in this pickler alone."""
            self._own_reducers[kind] = reducer

        def reducer_override(self, obj: "Any") -> "Any":
            """The reducers come before what the pickler itself does with functions and classes."""
            reducer = self._own_reducers.get(type(obj)) or _state.registered_reducers.get(type(obj))
            if reducer is not None:
                return reducer(obj)
            inherited = getattr(super(), "reducer_override", None)
            return NotImplemented if inherited is None else inherited(obj)

    return LokyPickler


def handles() -> "Mapping[Any, Any]":
    """Reducers of multiprocessing for what names a resource: connections, sockets, shared arrays.

    Such objects exist only where multiprocessing's reduction has been imported. What it would
    reduce in ways that lose something is left out.
    """
    reduction = sys.modules.get("multiprocessing.reduction")
    if reduction is None:
        return {}
    import copyreg
    import functools
    import types
    from io import BytesIO

    better_elsewhere = (functools.partial, types.MethodType)
    table = reduction.ForkingPickler(BytesIO()).dispatch_table
    return {
        kind: reducer
        for kind, reducer in table.items()
        if kind not in better_elsewhere and kind not in copyreg.dispatch_table
    }
