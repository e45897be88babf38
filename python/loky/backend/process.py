"""Processes of multiprocessing that are fresh interpreters and do not run the main script again."""

from multiprocessing.process import AuthenticationString as AuthenticationKey  # type: ignore[attr-defined]
from multiprocessing.process import BaseProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

__all__ = ["AuthenticationKey", "LokyInitMainProcess", "LokyProcess"]


class LokyProcess(BaseProcess):
    """A process in a fresh interpreter, which inherits nothing but what it is given.

    Args:
        group: must be None.
        target: called in the process; may be a lambda or a function of the main script.
        name: of the process; `LokyProcess-N` if None.
        args: arguments of the target.
        kwargs: keyword arguments of the target.
        daemon: whether it is killed at this process's exit; None: as this process.
        init_main_module: whether the main script is imported again there, as `__mp_main__`.
        env: variables over those of this process, in place before anything is imported.
    """

    _start_method = "loky"

    def __init__(
        self,
        group: None = None,
        target: "Callable[..., object] | None" = None,
        name: str | None = None,
        args: "Iterable[Any]" = (),
        kwargs: "Mapping[str, Any] | None" = None,
        daemon: bool | None = None,
        init_main_module: bool = False,
        env: "Mapping[str, Any] | None" = None,
    ) -> None:
        super().__init__(group, target, name, args, dict(kwargs or {}), daemon=daemon)
        self.init_main_module = init_main_module
        self.env = {variable: str(value) for variable, value in (env or {}).items()}

    @staticmethod
    def _Popen(process_obj: "Any") -> "Any":  # noqa: N802
        from ._popen import Popen

        return Popen(process_obj)


class LokyInitMainProcess(LokyProcess):
    """As `LokyProcess`, with the main script imported again."""

    _start_method = "loky_init_main"

    def __init__(
        self,
        group: None = None,
        target: "Callable[..., object] | None" = None,
        name: str | None = None,
        args: "Iterable[Any]" = (),
        kwargs: "Mapping[str, Any] | None" = None,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(group, target, name, args, kwargs, daemon, init_main_module=True)
