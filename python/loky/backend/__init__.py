"""What stands below the executors in loky, as thin modules over the standard library and the engine.

Importing this package imports none of them; each is imported when it is first asked for.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .context import get_context as get_context

__all__ = ["get_context"]

_submodules = frozenset(
    ("context", "process", "queues", "reduction", "resource_tracker", "spawn", "synchronize", "utils")
)


def __getattr__(name: str) -> "Any":
    """Import what is asked for.

    Raises:
        AttributeError: the package has no such name.
    """
    if name == "get_context":
        from .context import get_context

        return get_context
    if name in _submodules:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
