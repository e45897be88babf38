"""multiprocessing's resource tracker, shared with workers before multiprocessing itself is needed.

Workers must hold the pipe to it from their start, or a shared memory block that one process makes
and another removes would be known to two trackers. So the pipe is made before the first worker; the
tracker's process starts when somebody writes into it; and multiprocessing takes both over when it is
imported.
"""

import sys
from _thread import allocate_lock

from . import _launch, _standby
from ._import_hooks import after_import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._native import Standby

_MODULE = "multiprocessing.resource_tracker"
_PROGRAM = "import sys;from multiprocessing.resource_tracker import main;main(int(sys.argv[-1]))"

_lock = allocate_lock()
_helper: "Standby | None" = None
_writer: int | None = None
_owners_pid: int | None = None


def share() -> "tuple[int, int | None]":
    """Descriptor of the pipe to the tracker, and its process id if it runs and that is known.

    Raises:
        OSError: there are no descriptors or processes left.
    """
    global _helper, _writer
    module: Any = sys.modules.get(_MODULE)
    tracker: Any = getattr(module, "_resource_tracker", None)
    if tracker is not None:
        tracker.ensure_running()
        return tracker._fd, tracker._pid
    with _lock:
        if _writer is None:
            _writer, _helper = _standby.prepare(_launch.interpreter_arguments(), _PROGRAM)
            after_import(_MODULE, _hand_over)
        return _writer, _owners_pid if _helper is None else _helper.pid


def adopt(descriptor: int, pid: "int | None") -> None:
    """In a worker: use the tracker of the owner, over the descriptor that was placed here."""
    global _helper, _writer, _owners_pid
    _helper, _writer, _owners_pid = None, descriptor, pid
    after_import(_MODULE, _hand_over)


def _hand_over(module: "Any") -> None:
    """multiprocessing is here: from now on the tracker is its own."""
    pid = _owners_pid if _helper is None else _helper.start()
    module._resource_tracker._fd, module._resource_tracker._pid = _writer, pid
