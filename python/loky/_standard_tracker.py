"""multiprocessing's resource tracker, shared with workers before multiprocessing itself is needed.

Workers must hold the pipe to it from their start, or a shared memory block that one process makes
and another removes would be known to two trackers. So the pipe is made before the first worker; the
tracker's process starts when the workers are on their way and does not compete with them; and
multiprocessing takes both over when it is imported.
"""

import os
import sys
from _thread import allocate_lock

from . import _helper_process, _launch
from ._import_hooks import after_import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MODULE = "multiprocessing.resource_tracker"
_PROGRAM = (
    "import os;os.closerange(3,{fd});os.closerange({fd}+1,os.sysconf('SC_OPEN_MAX'));"
    "from multiprocessing.resource_tracker import main;main({fd})"
)

_lock = allocate_lock()
_reader: int | None = None
_writer: int | None = None
_pid: int | None = None


def share() -> "tuple[int, int | None]":
    """Descriptor of the pipe to the tracker, and its process id if that is known.

    Raises:
        OSError: there are no descriptors or processes left.
    """
    global _reader, _writer
    module: Any = sys.modules.get(_MODULE)
    tracker: Any = getattr(module, "_resource_tracker", None)
    if tracker is not None:
        tracker.ensure_running()
        return tracker._fd, tracker._pid
    with _lock:
        if _writer is None:
            _reader, _writer = os.pipe()
            after_import(_MODULE, _hand_over)
        return _writer, _pid


def adopt(descriptor: int, pid: "int | None") -> None:
    """In a worker: use the tracker of the owner, over the descriptor that was placed here."""
    global _reader, _writer, _pid
    _reader, _writer, _pid = None, descriptor, pid
    after_import(_MODULE, _hand_over)


def is_due() -> bool:
    """Whether the tracker's process is still to be started."""
    return _reader is not None


def launch() -> None:
    """Start the tracker's process if it is still to be started. Messages have waited in its pipe."""
    global _reader, _pid
    with _lock:
        if _reader is None:
            return
        program = _PROGRAM.format(fd=_reader)
        arguments = [sys.executable, *_launch.interpreter_arguments(), "-c", program]
        _pid = _helper_process.start(sys.executable, arguments, [_reader])
        os.close(_reader)
        _reader = None


def _hand_over(module: "Any") -> None:
    """multiprocessing is here: from now on the tracker is its own."""
    launch()
    module._resource_tracker._fd = _writer
    module._resource_tracker._pid = _pid
