"""What runs in a worker beside the user's initializer: a profiler that is active in the parent.

Only viztracer is known. Without it nothing here has an effect.
"""

import sys
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Initializer = Callable[..., object] | None


def _prepare_initializer(
    initializer: "Initializer", initargs: "tuple[Any, ...]"
) -> "tuple[Initializer, tuple[Any, ...]]":
    """The initializer and arguments that workers get: the user's, then the profiler's if it is on.

    Raises:
        TypeError: `initializer` cannot be called.
    """
    if initializer is not None and not callable(initializer):
        raise TypeError(f"initializer must be a callable, got: {initializer!r}")
    settings = _viztracer_settings()
    if settings is None:
        return initializer, initargs
    return _run_both, (initializer, initargs, settings)


def _viztracer_settings() -> "dict[str, Any] | None":
    viztracer: Any = sys.modules.get("viztracer")
    if viztracer is None:
        return None
    try:
        tracer = viztracer.get_tracer()
        if tracer is None or not getattr(tracer, "enable", False):
            return None
        settings: dict[str, Any] = tracer.init_kwargs
        return settings
    except Exception as error:
        warnings.warn(f"Unable to introspect viztracer state: {error}", UserWarning, stacklevel=4)
        return None


def _run_both(initializer: "Initializer", initargs: "tuple[Any, ...]", settings: "dict[str, Any]") -> None:
    if initializer is not None:
        initializer(*initargs)
    from viztracer import VizTracer  # type: ignore[import-not-found]

    tracer = VizTracer(**settings)
    tracer.register_exit()
    tracer.start()
