"""Wraps what plain pickle cannot write, so that it travels as the bytes of cloudpickle.

The wrapped object is pickled anew each time the wrapper is. Nothing here knows pools.
"""

import functools
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "CallableObjectWrapper",
    "CloudpickledObjectWrapper",
    "wrap_non_picklable_objects",
]

WRAP_CACHE: "weakref.WeakKeyDictionary[Any, CloudpickledObjectWrapper]" = weakref.WeakKeyDictionary()
"""Wrappers that `_wrap_objects_when_needed` has made, by what they wrap."""

_OWN_NAMES = frozenset(("_obj", "_keep_wrapper"))


class CloudpickledObjectWrapper:
    """Holds an object and is pickled through cloudpickle.

    Reading an attribute that the wrapper lacks reads it on the object; writing stays here.

    Attributes:
        _obj: the object.
        _keep_wrapper: whether the object is still wrapped after it has been unpickled.
    """

    def __init__(self, obj: "Any", keep_wrapper: bool = False) -> None:
        self._obj = obj
        self._keep_wrapper = keep_wrapper

    def __reduce__(self) -> "tuple[Any, ...]":
        import pickle

        import cloudpickle

        stream = cloudpickle.dumps(self._obj)
        if not self._keep_wrapper:
            return pickle.loads, (stream,)
        return _reconstruct_wrapper, (stream, self._keep_wrapper)

    def __getattr__(self, name: str) -> "Any":
        # A wrapper that is only half built, as while it is copied, has no object to ask.
        if name in _OWN_NAMES:
            raise AttributeError(name)
        return getattr(self._obj, name)


class CallableObjectWrapper(CloudpickledObjectWrapper):
    """The wrapper of what can be called."""

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        """Call the object."""
        return self._obj(*args, **kwargs)


def _reconstruct_wrapper(stream: bytes, keep_wrapper: bool) -> "Any":
    import pickle

    return _wrap_non_picklable_objects(pickle.loads(stream), keep_wrapper)


def _wrap_non_picklable_objects(obj: "Any", keep_wrapper: bool) -> "Any":
    if callable(obj):
        return CallableObjectWrapper(obj, keep_wrapper=keep_wrapper)
    return CloudpickledObjectWrapper(obj, keep_wrapper=keep_wrapper)


def _wrap_class(cls: type, keep_wrapper: bool) -> type:
    class Wrapper(CloudpickledObjectWrapper):
        def __init__(self, *args: "Any", **kwargs: "Any") -> None:
            super().__init__(cls(*args, **kwargs), keep_wrapper)

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(Wrapper, name, getattr(cls, name))
    return Wrapper


def wrap_non_picklable_objects(obj: "Any", keep_wrapper: bool = True) -> "Any":
    """Wrap an object so that plain pickle can write it. Can be used as a decorator.

    Args:
        obj: a function or another object; or a class, for whose instances a wrapper class is given.
        keep_wrapper: whether it is still wrapped after it has been unpickled.
    """
    if isinstance(obj, type):
        return _wrap_class(obj, keep_wrapper)
    return _wrap_non_picklable_objects(obj, keep_wrapper)


def _wrap_objects_when_needed(obj: "Any") -> "Any":
    """Wrap functions of the main script, local ones and those inside a `partial`; nothing else."""
    if isinstance(obj, functools.partial):
        return functools.partial(
            _wrap_objects_when_needed(obj.func),
            *(_wrap_objects_when_needed(argument) for argument in obj.args),
            **{name: _wrap_objects_when_needed(value) for name, value in obj.keywords.items()},
        )
    if not callable(obj) or not _needs_wrapper(obj):
        return obj
    try:
        return WRAP_CACHE[obj]
    except (KeyError, TypeError):
        pass  # Not wrapped so far, or not to be remembered.
    wrapper = _wrap_non_picklable_objects(obj, keep_wrapper=True)
    try:
        WRAP_CACHE[obj] = wrapper
    except TypeError:
        pass
    return wrapper


def _needs_wrapper(obj: "Callable[..., Any]") -> bool:
    if getattr(obj, "__module__", None) == "__main__":
        return True
    code_name = getattr(obj, "__qualname__", "")
    return hasattr(obj, "__code__") and ("<lambda>" in code_name or "<locals>" in code_name)
