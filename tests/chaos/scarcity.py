"""What can be made scarce for a while, or stopped, and is given back in any case."""

import contextlib
import os
import resource
import signal
import threading
from pathlib import Path

_PIDS = Path("/sys/fs/cgroup/pids")
_ROOM_BYTES = 4 << 20
_STOP_S = 0.05


class Scarcity:
    """The shortages of a campaign; each lasts until `end`."""

    def __init__(self) -> None:
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._stopped: list[threading.Timer] = []
        self._confined: list[int] = []
        self._group = _make_group()

    @property
    def can_limit_processes(self) -> bool:
        """Whether this machine lets us bound the number of processes."""
        return self._group is not None

    def files(self) -> None:
        """This process can open nothing more."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, self._files[1]))

    def processes(self) -> None:
        """Nobody in this family can start a process or a thread."""
        if self._group is not None:
            count = int((self._group / "pids.current").read_text())
            (self._group / "pids.max").write_text(str(count))

    def memory(self, pid: int) -> None:
        """A process gets next to no more memory."""
        with contextlib.suppress(OSError, ValueError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            room_bytes = pages * resource.getpagesize() + _ROOM_BYTES
            _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
            resource.prlimit(pid, resource.RLIMIT_AS, (room_bytes, hard))
            self._confined.append(pid)

    def stop(self, pid: int) -> None:
        """A process is stopped, for a short while: who submits may wait for a stopped zygote."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            timer = threading.Timer(_STOP_S, self._continue, (pid,))
            self._stopped.append(timer)
            timer.start()

    @staticmethod
    def _continue(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        """Give everything back."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self._files)
        if self._group is not None:
            (self._group / "pids.max").write_text("max")
        while self._stopped:
            self._stopped.pop().join()
        while self._confined:
            pid = self._confined.pop()
            with contextlib.suppress(OSError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
                resource.prlimit(pid, resource.RLIMIT_AS, (hard, hard))

    def close(self) -> None:
        """Give everything back and leave nothing. All children must be gone."""
        self.end()
        if self._group is not None:
            # A helper of the standard library stays for the life of the program, and moves as well.
            for pid in (self._group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    (self._group.parent / "cgroup.procs").write_text(pid)
            self._group.rmdir()
            self._group = None


def _make_group() -> Path | None:
    """A group of this process that can bound the number of its processes, where that may be made."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "pids":
            group = _PIDS / path.lstrip("/") / f"loky-chaos-{os.getpid()}"
            try:
                group.mkdir()
                (group / "cgroup.procs").write_text(str(os.getpid()))
            except OSError:
                with contextlib.suppress(OSError):
                    group.rmdir()
                return None
            return group
    return None
