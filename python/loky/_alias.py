"""Other names under which this package is imported, such as the place of joblib's own copy of loky.

Under such a name every module of this package is the module itself, never a second copy: what it
knows (its depth, its tracker) exists once. Workers take the names over from their owner.
"""

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PACKAGE = __name__.rpartition(".")[0]
_placed: dict[str, str] = {}
"""The real name of the module behind each alias."""


class _Loader:
    """Gives the real module where another name is imported."""

    def __init__(self, real_name: str) -> None:
        self._real_name = real_name
        self._own_spec: Any = None

    def create_module(self, _spec: "Any") -> "Any":
        """The module under its own name."""
        module: Any = importlib.import_module(self._real_name)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: "Any") -> None:
        """Nothing is left to execute; the module keeps saying what its own name is."""
        module.__spec__ = self._own_spec


class _Finder:
    """Finds what is below an alias. Stands first: a copy of the package may lie where the alias is."""

    def find_spec(self, name: str, _path: "Any" = None, _target: "Any" = None) -> "Any":
        """The specification of a module under an alias; None for any other name."""
        real_name = _real_name(name)
        if real_name is None:
            return None
        from importlib.machinery import ModuleSpec
        from importlib.util import find_spec

        if real_name not in sys.modules and find_spec(real_name) is None:
            return None
        loader: Any = _Loader(real_name)
        return ModuleSpec(name, loader, origin=f"alias of {real_name}")


_finder = _Finder()


def _real_name(name: str) -> str | None:
    for alias, real in _placed.items():
        if name == alias:
            return real
        if name.startswith(alias + "."):
            return real + name[len(alias) :]
    return None


def place(alias: str, real_name: str = _PACKAGE) -> None:
    """Have this package's module `real_name`, and all below it, imported under `alias` as well."""
    _placed[alias] = real_name
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def in_use() -> dict[str, str]:
    """The real name behind each alias, also behind those that someone else has put in place.

    An alias below another one is left out: it follows from that.
    """
    found = dict(_placed)
    prefix = _PACKAGE + "."
    ours = {
        id(module): name
        for name, module in list(sys.modules.items())
        if (name == _PACKAGE or name.startswith(prefix)) and module is not None
    }
    for name, module in list(sys.modules.items()):
        real_name = ours.get(id(module))
        if real_name is not None and name != real_name:
            found.setdefault(name, real_name)
    return {
        alias: real
        for alias, real in found.items()
        if not any(
            alias.startswith(outer + ".") and real == outer_real + alias[len(outer) :]
            for outer, outer_real in found.items()
        )
    }
