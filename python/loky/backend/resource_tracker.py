"""Named things that a family of processes shares, counted by a helper that outlives them all.

A file, a folder or a semaphore is registered here by whoever makes it and deleted when the last user
has said so, or when the last process of the family is gone, however it ended. The helper starts at
the first use; a worker uses its owner's, over the same descriptor number. Names may be of any length
and hold any characters.
"""

import itertools
import os
import sys
import threading

from loky import _helper_process, _launch, _standby, _state

from . import _tracker_process
from ._tracker_process import main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loky._native import Standby

__all__ = ["ensure_running", "main", "maybe_unlink", "register", "unregister"]

VERBOSE = False
"""Whether a tracker that is started from now on tells on standard error what it does."""

_CLEANUP_FUNCS: "dict[str, Callable[[str], object]]" = dict(_tracker_process.deleters)
"""How this process deletes a thing of each type; the helper has its own list."""

_decode_message = _tracker_process.decode_message

# A write of so many bytes reaches the pipe in one piece, whoever else is writing.
_AT_ONCE_MAX = 4096 if sys.platform == "linux" else 512
_PIECE_LEN = _AT_ONCE_MAX - 128
_STOP_LIMIT_S = 10.0
_LOOK_AGAIN_S = 0.002
_PROGRAM = (
    "import sys;sys.path.insert(0,{root!r});"
    "from loky.backend.resource_tracker import main;main({fd},{verbose})"
)

_ARGUMENTS = ("-I", "-S")
_MARK = "loky-tracker"

_tokens = itertools.count()


def _program(descriptor: str) -> str:
    return _PROGRAM.format(root=_launch.package_root(), fd=descriptor, verbose=bool(VERBOSE))


def spawnv_passfds(path: str, args: "Sequence[str]", fds: "Sequence[int]") -> tuple[int, None]:
    """Start a program that inherits these descriptors under their numbers.

    Returns:
        Its process id, and None where Windows has a handle.
    """
    return _helper_process.start(path, args, fds), None


class ResourceTracker:
    """This process's connection to the helper.

    Attributes:
        _fd: the pipe to it; None before the first use.
        _pid: its process id; None before the first use, and in a child that was forked. The helper
            of workers starts when somebody writes to it, or asks for this.
        _exitcode: its exit status, once it was stopped from here.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._fd, self._known_pid = _state.tracker or (None, None)
        self._standby: Standby | None = None
        self._owned = False
        self._exitcode: int | None = None
        self._proc_handle: int | None = None
        self._waitpid_timed_out = False

    @property
    def _pid(self) -> int | None:
        self._start_prepared()
        return self._known_pid

    @_pid.setter
    def _pid(self, pid: int | None) -> None:
        self._known_pid = pid

    def _share(self) -> tuple[int, int | None]:
        """The pipe for workers, and the helper's process id if it runs: it may start later."""
        with self._lock:
            if self._fd is None:
                program = _program("int(sys.argv[-1])")
                self._fd, self._standby = _standby.prepare(_ARGUMENTS, program, _MARK)
            if self._standby is not None:
                return self._fd, self._standby.pid
            self._send("PROBE", "", "noop")
            return self._fd, self._known_pid

    def _start_prepared(self) -> None:
        with self._lock:
            if self._standby is not None:
                self._known_pid = self._standby.start()
                self._standby = None
                self._owned = True

    def getfd(self) -> int:
        """The descriptor of the pipe to the helper, which is started if need be."""
        self.ensure_running()
        assert self._fd is not None
        return self._fd

    def ensure_running(self) -> None:
        """Start the helper if there is none, or if it was killed."""
        self._send("PROBE", "", "noop")

    def register(self, name: str, rtype: str) -> None:
        """Count one more user of a thing."""
        self._send("REGISTER", name, rtype)

    def unregister(self, name: str, rtype: str) -> None:
        """Forget a thing, whoever uses it; it is not deleted."""
        self._send("UNREGISTER", name, rtype)

    def maybe_unlink(self, name: str, rtype: str) -> None:
        """Count one user less; the thing is deleted when none is left."""
        self._send("MAYBE_UNLINK", name, rtype)

    def _succeed_another(self) -> None:
        """Expect names that were registered elsewhere, with a tracker that is no longer asked."""
        self._send(_tracker_process.FORGIVE, "", "noop")

    def _send(self, command: str, name: str, rtype: str) -> None:
        lines = _lines(command, name, rtype)
        with self._lock:
            self._start_prepared()
            if self._fd is None:
                self._launch()
            elif not self._write(lines[:1]):
                self._teardown_dead_process()
                self._launch()
                # What was registered with the one before is unknown to this one.
                self._write(_lines(_tracker_process.FORGIVE, "", "noop"))
            else:
                del lines[:1]
            self._write(lines)

    def _write(self, lines: "list[bytes]") -> bool:
        """Write messages; False if nobody reads them."""
        assert self._fd is not None
        try:
            for line in lines:
                written = os.write(self._fd, line)
                assert written == len(line), "a pipe takes a short message whole"
        except OSError:
            return False
        return True

    def _launch(self) -> None:
        reader, writer = os.pipe()
        try:
            args = [sys.executable, *_ARGUMENTS, "-c", _program(str(reader)), _MARK]
            self._pid, self._proc_handle = spawnv_passfds(sys.executable, args, [reader])
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        self._fd = writer
        self._owned = True

    def _teardown_dead_process(self) -> None:
        """The helper was killed: let go of what there is of it, and say so."""
        import warnings

        if self._fd is not None:
            os.close(self._fd)
        self._close_handle()
        if self._owned and self._pid is not None:
            self._reap(os.waitpid)
        self._fd = self._pid = None
        self._owned = False
        warnings.warn(
            "resource_tracker: process died unexpectedly, relaunching. Some folders, files or "
            "semaphores might leak.",
            UserWarning,
            stacklevel=4,
        )

    def _close_handle(self) -> None:
        if self._proc_handle is not None:
            import _winapi

            _winapi.CloseHandle(self._proc_handle)  # type: ignore[attr-defined]
            self._proc_handle = None

    def _reap(self, waitpid: "Callable[[int, int], tuple[int, int]]") -> bool:
        assert self._pid is not None
        try:
            pid, status = waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            self._exitcode = None
            return True
        if pid == 0:
            return False
        self._exitcode = os.waitstatus_to_exitcode(status)
        return True

    def _check_alive(self) -> bool:
        """Whether somebody reads what is written to the helper."""
        with self._lock:
            self._start_prepared()
            return self._fd is not None and self._write(_lines("PROBE", "", "noop"))

    def _stop(self, use_blocking_lock: bool = True, wait_timeout: float | None = _STOP_LIMIT_S) -> None:
        """Let the helper end, and wait until it has; others that use it keep it alive.

        Args:
            use_blocking_lock: wait for a thread that is just using it, instead of doing nothing.
            wait_timeout: seconds after which it is left alone; None: no limit.
        """
        if not self._lock.acquire(blocking=use_blocking_lock):
            return
        try:
            self._stop_locked(wait_timeout=wait_timeout)
        finally:
            self._lock.release()

    def _stop_locked(
        self,
        close: "Callable[[int], object]" = os.close,
        waitpid: "Callable[[int, int], tuple[int, int]]" = os.waitpid,
        wait_timeout: float | None = _STOP_LIMIT_S,
    ) -> None:
        if self._fd is None:
            return
        self._start_prepared()
        close(self._fd)
        self._fd = None
        self._close_handle()
        if self._owned and self._pid is not None:
            self._wait_for_end(waitpid, wait_timeout)
        self._pid = None
        self._owned = False

    def _wait_for_end(self, waitpid: "Callable[[int, int], tuple[int, int]]", limit_s: float | None) -> None:
        import time

        deadline_s = None if limit_s is None else time.monotonic() + limit_s
        self._waitpid_timed_out = False
        while not self._reap(waitpid):
            if deadline_s is not None and time.monotonic() >= deadline_s:
                self._waitpid_timed_out = True
                return
            time.sleep(_LOOK_AGAIN_S)

    def _after_fork_in_child(self) -> None:
        """A forked child goes on using the pipe, but the helper is not its child."""
        self._lock = threading.RLock()
        self._standby = None
        self._pid = None
        self._owned = False


def _lines(command: str, name: str, rtype: str) -> "list[bytes]":
    """A message as lines that are each written in one piece."""
    if name.isascii() and name.isprintable():
        line = f"{command}:{name}:{rtype}"
    else:
        import base64

        encoded = base64.urlsafe_b64encode(name.encode("utf-8", "surrogateescape")).decode()
        line = f'{{"cmd":"{command}","rtype":"{rtype}","base64_name":"{encoded}"}}'
    if len(line) < _AT_ONCE_MAX:
        return [line.encode() + b"\n"]
    token = f"{os.getpid()}-{next(_tokens)}"
    pieces = [line[start : start + _PIECE_LEN] for start in range(0, len(line), _PIECE_LEN)]
    return [
        f"{_tracker_process.PART}:{token}/{index}/{len(pieces)}/{piece}:part\n".encode()
        for index, piece in enumerate(pieces)
    ]


_resource_tracker = ResourceTracker()
os.register_at_fork(after_in_child=_resource_tracker._after_fork_in_child)

ensure_running = _resource_tracker.ensure_running
register = _resource_tracker.register
unregister = _resource_tracker.unregister
maybe_unlink = _resource_tracker.maybe_unlink
getfd = _resource_tracker.getfd
