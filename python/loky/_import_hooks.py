"""Does something to a module right after it is imported, whenever that is, and at once if it is there.

So this package can prepare what multiprocessing will show without importing it: most workers and
many programs never need it, and importing it is a good part of their start.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Action = Callable[[Any], object]

_waiting: "dict[str, list[Action]]" = {}


def after_import(name: str, action: "Action") -> None:
    """Call `action` with the module of this name, now or as soon as it is imported."""
    module = sys.modules.get(name)
    if module is not None and not _is_being_imported(module):
        action(module)
        return
    _waiting.setdefault(name, []).append(action)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _is_being_imported(module: "Any") -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _carry_out(module: "Any") -> None:
    for action in _waiting.pop(module.__name__, ()):
        action(module)
    if not _waiting and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


class _Finder:
    """Lets the other finders do their work and has the actions carried out behind the module's code."""

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """What the first other finder gives, for a module that is waited for."""
        if name not in _waiting:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = None if find is None or finder is self else find(name, path, target)
            if spec is not None:
                break
        else:
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_act(module: "Any") -> None:
            execute(module)
            _carry_out(module)

        loader.exec_module = execute_and_act
        return spec


_finder = _Finder()
