"""What is told of tasks that are running: what their workers do, and that one is slow."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ._base import Future


_function_type = type(lambda: None)


def label_of(function: object) -> str | None:
    """How a task of this function is called where nothing else was asked for."""
    if type(function) is _function_type:
        return function.__qualname__
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def under_heading(
    pending: "Mapping[int, Future[Any]]",
    index: int,
    pid: int,
    task: int | None,
    ran_s: float | None,
    text: str,
) -> str:
    """The stacks of a worker under a line that says what it runs."""
    future = None if task is None else pending.get(task)
    if future is not None and ran_s is not None:
        doing = f"has been running the task {future._label} for {ran_s:.3g} s"
    else:
        doing = "runs no task"
    return f"Worker {index}, process {pid}, {doing}.\n{text or '(its stack cannot be had)'}"


def tell_delay(errno: int) -> None:
    """Log that workers cannot be started at the moment."""
    import logging
    import os

    logging.getLogger("loky").warning(
        "a worker process cannot be started (%s); it will be tried again, later each time", os.strerror(errno)
    )


def tell_slow(future: "Future[Any] | None", ran_s: float, pid: int, stack: str) -> None:
    """Log that a task takes longer than was thought."""
    import logging

    logging.getLogger("loky").warning(
        "the task %s has been running for %.3g s in worker process %d and goes on%s%s",
        "?" if future is None else future._label,
        ran_s,
        pid,
        "; its stack:\n" if stack else "",
        stack.rstrip(),
    )
