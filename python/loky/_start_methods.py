"""Makes multiprocessing know the start methods `loky` and `loky_init_main`.

Neither multiprocessing nor this package's contexts are imported for that: the methods are announced
when multiprocessing is there, and made when someone asks for one.
"""

from ._import_hooks import after_import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OWN_METHODS = ("loky", "loky_init_main")


class _Contexts(dict[str, "Any"]):
    """multiprocessing's contexts by name; this package's are made when they are looked for."""

    def __missing__(self, name: str) -> "Any":
        if name not in OWN_METHODS:
            raise KeyError(name)
        from .backend import context

        return context.get_context(name)


def announce() -> None:
    """Have multiprocessing find this package's contexts from now on."""
    after_import("multiprocessing.context", _announce_to)


def _announce_to(module: "Any") -> None:
    known = module._concrete_contexts
    if not isinstance(known, _Contexts):
        module._concrete_contexts = _Contexts(known)
