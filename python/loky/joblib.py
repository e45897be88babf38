"""Puts this package in the place of the copy of loky that joblib brings along.

One line, before or after joblib is imported:

    import loky.joblib; loky.joblib.install()

From then on joblib, and what stands on it, runs on the pools of this package, in workers too.
"""

import importlib
import sys

from . import _alias

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["install"]

PLACE = "joblib.externals.loky"
"""The name under which joblib imports its copy."""

_OURS = __name__.rpartition(".")[0]


def install() -> None:
    """Have joblib use this package. May be called again, and when joblib is already imported.

    A pool that joblib's own copy has running is ended first, after its tasks.

    Raises:
        ImportError: another distribution's `loky` lies over this package.
    """
    _check_package()
    _alias.place(PLACE)
    if PLACE in sys.modules:
        _take_over()


def _check_package() -> None:
    package = sys.modules[_OURS]
    if getattr(package, "IMPLEMENTATION", None) != "loky-rs":
        raise ImportError(
            "the distribution 'loky' was installed over this package and has replaced part of its files; "
            "uninstall both ('pip uninstall loky loky-rs') and install this one again"
        )


def _take_over() -> None:
    """Replace what modules that are loaded have already taken from joblib's copy."""
    package: Any = sys.modules[PLACE]
    if package is sys.modules[_OURS]:
        return
    copies = _copied_modules()
    _end_pool(copies)
    replacements: dict[int, Any] = {}
    for name, copy in copies.items():
        del sys.modules[name]
        real = _counterpart(name)
        if real is None:
            continue
        sys.modules[name] = real
        replacements[id(copy)] = real
        _pair_names(copy, real, replacements)
    _carry_over_deleters(copies)
    _announce_contexts()
    externals: Any = sys.modules[PLACE.rpartition(".")[0]]
    externals.loky = sys.modules[_OURS]
    for name, module in list(sys.modules.items()):
        if (name == "joblib" or name.startswith("joblib.")) and module is not None:
            _rebind(module, replacements)


def _announce_contexts() -> None:
    """The copy had put its own contexts in the place of ours."""
    from multiprocessing import context as standard

    from .backend import context

    standard._concrete_contexts.update(context._own_contexts)  # type: ignore[attr-defined]


def _copied_modules() -> "dict[str, ModuleType]":
    return {
        name: module
        for name, module in list(sys.modules.items())
        if (name == PLACE or name.startswith(PLACE + ".")) and module is not None
    }


def _counterpart(name: str) -> "ModuleType | None":
    try:
        return importlib.import_module(_OURS + name[len(PLACE) :])
    except ModuleNotFoundError:
        return None


def _end_pool(copies: "dict[str, ModuleType]") -> None:
    reusable = copies.get(f"{PLACE}.reusable_executor")
    executor: Any = getattr(reusable, "_executor", None)
    if executor is None:
        return
    terminate = getattr(executor, "terminate", None)
    if terminate is None:
        executor.shutdown(wait=True)
        return
    # joblib's own executor: it also removes the files that it had made for the workers.
    executor.shutdown(wait=True)
    terminate(kill_workers=True)


def _pair_names(copy: "ModuleType", real: "ModuleType", replacements: "dict[int, Any]") -> None:
    """Note ours for each class and function that the copy's module defines."""
    for name, value in vars(copy).items():
        home = getattr(value, "__module__", None)
        if isinstance(home, str) and home.startswith(PLACE) and hasattr(real, name):
            replacements[id(value)] = getattr(real, name)


def _carry_over_deleters(copies: "dict[str, ModuleType]") -> None:
    """joblib tells its copy how files are to be deleted; ours is told the same."""
    copy = copies.get(f"{PLACE}.backend.resource_tracker")
    if copy is None:
        return
    from .backend import resource_tracker

    if copy._resource_tracker._fd is not None:
        resource_tracker._resource_tracker._succeed_another()
    for rtype, deleter in copy._CLEANUP_FUNCS.items():
        if not getattr(deleter, "__module__", "").startswith(PLACE) and rtype in ("file", "folder"):
            resource_tracker._CLEANUP_FUNCS[rtype] = deleter


def _rebind(module: "ModuleType", replacements: "dict[int, Any]") -> None:
    names = vars(module)
    for name, value in list(names.items()):
        ours = replacements.get(id(value))
        if ours is not None:
            names[name] = ours
        elif isinstance(value, type) and any(id(base) in replacements for base in value.__bases__):
            value.__bases__ = tuple(replacements.get(id(base), base) for base in value.__bases__)
