"""Starts the process of a `LokyProcess` and follows it until its end."""

import os
import subprocess
import sys
from io import BytesIO
from multiprocessing import context, popen_spawn_posix, util
from multiprocessing import resource_tracker as standard_tracker

from loky import _launch

from . import resource_tracker, spawn
from .reduction import dump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PROGRAM = (
    "import sys;p=[d for d in sys.path if d];sys.path.insert(0,{root!r});import loky;sys.path[:]=p;"
    "from loky.backend import spawn;spawn.main({life},{own},{standard})"
)


class Popen(popen_spawn_posix.Popen):
    """A started process.

    Its data arrives through one pipe, whose writing end stays open here: that it is closed tells the
    child that this process is gone. The end of the child is seen on a descriptor of the process.
    """

    method = "loky"

    def _launch(self, process_obj: "Any") -> None:
        own, standard = resource_tracker.getfd(), standard_tracker.getfd()
        assert standard is not None
        self._fds = [own, standard]
        stream = BytesIO()
        context.set_spawning_popen(self)
        try:
            dump(spawn.get_preparation_data(process_obj), stream)
            dump(process_obj, stream)
        finally:
            context.set_spawning_popen(None)
        reader, writer = os.pipe()
        opened = [writer]
        try:
            self._fds.append(reader)
            program = _PROGRAM.format(root=_launch.package_root(), life=reader, own=own, standard=standard)
            watched = self._execute(process_obj, program, opened)
        except BaseException:
            util.close_fds(*opened)  # type: ignore[attr-defined]
            raise
        finally:
            os.close(reader)
        self.sentinel = watched
        self.finalizer = util.Finalize(self, util.close_fds, opened)  # type: ignore[attr-defined]
        _write_whole(writer, stream.getbuffer())

    def _execute(self, process_obj: "Any", program: str, opened: "list[int]") -> int:
        """Start the interpreter; the descriptor that becomes readable at its end."""
        environment = getattr(process_obj, "env", {})
        if hasattr(os, "pidfd_open"):
            self.pid = _start(program, dict.fromkeys(self._fds), environment)
            watched = os.pidfd_open(self.pid)
            opened.append(watched)
            return watched
        # The child holds the other end of this pipe and nobody else does.
        watched, end = os.pipe()
        opened.append(watched)
        try:
            self.pid = _start(program, dict.fromkeys((*self._fds, end)), environment)
        finally:
            os.close(end)
        return watched


def _start(program: str, descriptors: "Any", environment: "dict[str, str]") -> int:
    process = subprocess.Popen(
        [sys.executable, *_launch.interpreter_arguments(), "-c", program, "loky-process"],
        stdin=subprocess.DEVNULL,
        pass_fds=tuple(descriptors),
        env={**os.environ, **environment},
    )
    # From here on multiprocessing waits for it, so that this object must not.
    process.returncode = 0
    return process.pid


def _write_whole(descriptor: int, data: memoryview) -> None:
    """Write all of it; a child that ends early is its exit code's business."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BrokenPipeError:
            return
