"""The end of processes: of one with all its descendants, and the text that tells how some ended."""

import os
import signal
import sys
import time
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

__all__ = ["get_exitcodes_terminated_worker", "kill_process_tree", "recursive_terminate"]

_PATIENCE_S = 0.25
_LOOK_AGAIN_S = 0.005


def __getattr__(name: str) -> "Any":
    """`psutil`, or None where there is none: programs look whether it is here, and take it away.

    Raises:
        AttributeError: the module has no such name.
    """
    if name != "psutil":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def kill_process_tree(process: "Any", use_psutil: bool = True) -> None:
    """Kill a process and all its descendants, the deepest first, and wait until it has ended.

    Args:
        process: has `pid` and `join()`. One that has ended already is no error.
        use_psutil: accepted for compatibility; the system is asked directly.
    """
    del use_psutil
    if process.pid is None:
        return
    _kill_tree(process.pid)
    process.join()


def recursive_terminate(process: "Any", use_psutil: bool = True) -> None:
    """The former name of `kill_process_tree`."""
    warnings.warn(
        "recursive_terminate is deprecated; use kill_process_tree.", DeprecationWarning, stacklevel=2
    )
    kill_process_tree(process, use_psutil)


def _kill_tree(pid: int) -> None:
    # A process that is stopped starts no others while its children are being looked for.
    for child in _children(pid):
        _kill_tree(child)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _children(pid: int) -> list[int]:
    if sys.platform != "linux":
        return _children_from_pgrep(pid)
    children: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return children
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listed:
                children.extend(map(int, listed.read().split()))
        except OSError:
            continue  # The thread has ended.
    return children


def _children_from_pgrep(pid: int) -> list[int]:
    import subprocess

    answer = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in answer.stdout.split()]


def get_exitcodes_terminated_worker(processes: "Mapping[int, Any] | Iterable[Any]") -> str:
    """How those of the processes ended that have ended, as `{SIGSEGV(-11), EXIT(3)}`.

    Right after a crash the system may not have told yet, so this waits a moment for the first one.
    """
    listed = list(processes.values() if hasattr(processes, "values") else processes)
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        codes = [process.exitcode for process in listed]
        codes = [code for code in codes if code is not None]
        if codes or time.monotonic() >= deadline_s:
            return _format_exitcodes(codes)
        time.sleep(_LOOK_AGAIN_S)


def _format_exitcodes(codes: "Iterable[int]") -> str:
    return "{" + ", ".join(f"{_exitcode_name(code)}({code})" for code in codes) + "}"


def _exitcode_name(code: int) -> str:
    if code == 255:
        return "UNKNOWN"
    if code >= 0:
        return "EXIT"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return "UNKNOWN"
