"""The workers of a pool as a user sees them: process objects, in a mapping that is current."""

import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._native import Pool

_LOOK_AGAIN_S = 0.02


class WorkerProcess:
    """One worker process.

    Attributes:
        pid: its process id.
        name: its name, `LokyProcess-N`.
    """

    daemon = False

    def __init__(self, pid: int, name: str, pool: "Pool") -> None:
        self.pid = pid
        self.name = name
        self._pool: Pool | None = pool
        self._exitcode: int | None = None
        self._gone = threading.Event()
        self._sentinel_lock = threading.Lock()
        self._sentinel: int | None = None
        self._sentinel_writer: int | None = None

    def __repr__(self) -> str:
        state = "started" if self.is_alive() else f"stopped exitcode={self._exitcode}"
        return f"<{type(self).__name__} name={self.name!r} pid={self.pid} {state}>"

    @property
    def ident(self) -> int:
        """The process id."""
        return self.pid

    @property
    def exitcode(self) -> int | None:
        """None while it runs; then its exit status, or the negative number of the signal."""
        return self._exitcode

    @property
    def sentinel(self) -> int:
        """A descriptor that is ready for reading when the pool has seen the end of the process.

        For `multiprocessing.connection.wait`. It is opened when it is first asked for, and closed with
        this object.
        """
        with self._sentinel_lock:
            if self._sentinel is None:
                self._sentinel, self._sentinel_writer = os.pipe()
                weakref.finalize(self, os.close, self._sentinel)
                if self._gone.is_set():
                    self._announce()
            return self._sentinel

    def _announce(self) -> None:
        # A byte, not only an end of file: a process that the user has forked may hold the pipe open.
        writer, self._sentinel_writer = self._sentinel_writer, None
        if writer is not None:
            os.write(writer, b"\0")
            os.close(writer)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        pool = self._pool
        return pool is not None and any(pid == self.pid for _, pid in pool.workers())

    def join(self, timeout: float | None = None) -> None:
        """Wait until the process has ended, at most `timeout` seconds."""
        deadline_s = None if timeout is None else time.monotonic() + timeout
        while self.is_alive():
            wait_s = _LOOK_AGAIN_S
            if deadline_s is not None:
                wait_s = min(wait_s, deadline_s - time.monotonic())
                if wait_s <= 0:
                    return
            # The end is also seen when the thread that would tell it is busy with a callback.
            if self._gone.wait(wait_s):
                return

    def terminate(self) -> None:
        """Send SIGTERM. No error if the process has ended."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL. No error if the process has ended."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # Sent by the process that reaps the workers, so that it cannot meet a stranger with the
        # same process id.
        pool = self._pool
        if pool is not None:
            pool.signal(self.pid, number)

    def ended(self, exitcode: int | None) -> None:
        """The pool has seen its end."""
        self._exitcode = exitcode
        self._pool = None
        with self._sentinel_lock:
            self._gone.set()
            self._announce()


class WorkerTable(Mapping[int, WorkerProcess]):
    """Workers that are alive, by process id.

    A view on the engine, not a copy: entries come and go by themselves. It is empty before the
    pool starts and after it has ended.
    """

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._known: dict[int, WorkerProcess] = {}
        self._named = 0
        self._first_number = 0

    def opened(self, pool: "Pool", first_number: int) -> None:
        """The pool has started; its workers are counted on from `first_number`."""
        self._pool = pool
        self._first_number = first_number

    def closed(self) -> None:
        """The pool's life is over."""
        self._pool = None
        while self._known:
            self._known.popitem()[1].ended(None)

    def worker_gone(self, pid: int, exitcode: int | None) -> None:
        """A worker has ended."""
        process = self._known.pop(pid, None)
        if process is not None:
            process.ended(exitcode)

    def refresh(self) -> dict[int, WorkerProcess]:
        """Process objects of the workers that are alive now."""
        pool = self._pool
        if pool is None:
            return {}
        alive = {}
        for _, pid in pool.workers():
            process = self._known.get(pid)
            if process is None:
                self._named += 1
                name = f"LokyProcess-{self._first_number + self._named}"
                process = self._known.setdefault(pid, WorkerProcess(pid, name, pool))
            alive[pid] = process
        return alive

    def __getitem__(self, pid: int) -> WorkerProcess:
        return self.refresh()[pid]

    def __iter__(self) -> Iterator[int]:
        return iter(self.refresh())

    def __len__(self) -> int:
        return len(self.refresh())

    def __repr__(self) -> str:
        return repr(self.refresh())

    def copy(self) -> dict[int, WorkerProcess]:
        """The workers that are alive now, in a dictionary that stays as it is."""
        return self.refresh()
