"""Where a row plays: a pool of two, other tasks around it, and the means to see what really happened.

Everything that waits here has a deadline, and waits on the kernel or on a future. What the pool
itself says is compared with what this module saw; it never asks the pool for a proof.
"""

import contextlib
import errno
import fcntl
import os
import select
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from loky import BrokenProcessPool, ProcessPoolExecutor, ShutdownExecutorError, TerminatedWorkerError
from tests.faults import tasks

WAIT_S = 10.0
"""No single wait of a row is longer. Well below the limit of the test."""

_CROWD = 4
_OPEN = b"." * 512
# ioctl(pidfd, PIDFD_GET_INFO) tells the status of a process that has been reaped, since Linux 6.15.
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_INFO = struct.Struct("QQ11Ii")


class Witness:
    """Sees the end of a process, whoever reaps it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def gone(self, limit_s: float) -> bool:
        """Whether it ends within this time."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(limit_s * 1000))

    def status(self) -> int | None:
        """The status with which it was reaped; None where this kernel does not tell."""
        buffer = bytearray(_INFO.size)
        _INFO.pack_into(buffer, 0, _PIDFD_INFO_EXIT, *[0] * 13)
        try:
            fcntl.ioctl(self._pidfd, _PIDFD_GET_INFO, buffer)
        except OSError:
            return None
        mask, *_, code = _INFO.unpack(buffer)
        return code if mask & _PIDFD_INFO_EXIT else None

    def close(self) -> None:
        os.close(self._pidfd)


class Stage:
    """The pool of a row and what surrounds it.

    Attributes:
        mode, launcher: the executor's.
        folder: for the channels to the workers and for files of the row.
        errors: what was written to standard error so far.
        notes: what a row keeps from its provocation for its proof.
    """

    def __init__(
        self, mode: str, launcher: str, folder: Path, options: "Options", errors: Callable[[], str]
    ) -> None:
        self.mode = mode
        self.launcher = launcher
        self.folder = folder
        self.errors = errors
        self.notes: dict[str, Any] = {}
        self._options = options
        self._closing = contextlib.ExitStack()
        os.mkfifo(folder / "news")
        self._news = self._open_pipe(folder / "news")
        self._lines: list[tuple[str, int]] = []
        self._rest = b""
        self._gates: dict[str, int] = {}
        self._witnesses: dict[int, Witness] = {}
        self._executor: ProcessPoolExecutor | None = None
        self.running: Future[Any] | None = None
        self.waiting: list[Future[Any]] = []
        self.workers: list[Witness] = []
        self.busy: Witness
        self.victim: Witness
        self.zygote: Witness

    def _open_pipe(self, path: Path) -> int:
        # For reading and writing: neither side ever waits for the other to come, or sees an end.
        number = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._closing.callback(os.close, number)
        return number

    # The pool.

    @property
    def executor(self) -> ProcessPoolExecutor:
        if self._executor is None:
            options = self._options(self) if self._options is not None else {}
            self._executor = ProcessPoolExecutor(2, on_crash=self.mode, launcher=self.launcher, **options)
        return self._executor

    def submit(self, function: Callable[..., Any], *args: Any, **wishes: Any) -> Future[Any]:
        """Submit a task of the row, with options if there are any."""
        target = self.executor.options(**wishes) if wishes else self.executor
        return target.submit(function, *args)

    def perform(self, function: Callable[..., Any], *args: Any, **wishes: Any) -> Future[Any]:
        """Submit a task; when it has begun and others wait behind it, give it its cue."""
        cue = self.gate(f"cue{len(self._gates)}")
        future = self.submit(tasks.do, str(self.folder), cue, function, *args, **wishes)
        self.victim = self.watch(self.news("began"))
        if self.running is not None:
            self.fill_queue()
        self.open(cue)
        return future

    def attempt(self, submit: Callable[..., Future[Any]], *args: Any) -> Future[Any]:
        """The future that the call gives, or one with what the call itself raises."""
        try:
            return submit(*args)
        except Exception as error:
            refused: Future[Any] = Future()
            refused.set_exception(error)
            return refused

    def statistic(self, name: str) -> int:
        """One of the counts of the engine."""
        life = self.executor._life
        return 0 if life is None else life._pool.statistics()[name]

    def in_background(self, submit: Callable[..., Future[Any]], *args: Any) -> Future[Any]:
        """Call what gives a future, in a thread; a future of the same outcome."""
        outer: Future[Any] = Future()

        def copy(inner: Future[Any]) -> None:
            error = inner.exception()
            if error is not None:
                outer.set_exception(error)
            else:
                outer.set_result(inner.result())

        def call() -> None:
            try:
                submit(*args).add_done_callback(copy)
            except BaseException as error:
                outer.set_exception(error)

        thread = threading.Thread(target=call)
        thread.start()
        self._closing.callback(thread.join, WAIT_S)
        return outer

    def warm_up(self) -> list[int]:
        """Have both workers do something, and watch them."""
        futures = [self.submit(tasks.hold, str(self.folder), self.gate("warm"), None) for _ in range(2)]
        pids = [self.news("held") for _ in futures]
        self.open("warm")
        for future in futures:
            future.result(WAIT_S)
        assert len(set(pids)) == 2, "the two tasks were to run at once, in two workers"
        self.workers = [self.watch(pid) for pid in pids]
        self.zygote = self.watch(self.parent_of(pids[0]))
        return pids

    def gather_crowd(self) -> None:
        """One task runs, and others will wait behind it or run beside it."""
        self.running = self.submit(tasks.hold, str(self.folder), self.gate("crowd"), "held")
        self.busy = self.watch(self.news("held"))

    def fill_queue(self) -> None:
        """Submit what waits for a worker, unless there is something or the fault broke the pool."""
        if not self.waiting and self.executor._flags.broken is None:
            with contextlib.suppress(BrokenProcessPool):
                for number in range(_CROWD):
                    self.waiting.append(self.submit(tasks.give, number))

    @property
    def idle(self) -> Witness:
        """The worker that does not hold the running task of the crowd."""
        (other,) = [worker for worker in self.workers if worker.pid != self.busy.pid]
        return other

    # Words of the workers.

    def news(self, word: str, limit_s: float = WAIT_S) -> int:
        """Wait until a worker tells this word, and give the number that it told."""
        deadline_s = time.monotonic() + limit_s
        while True:
            for line in self._lines:
                if line[0] == word:
                    self._lines.remove(line)
                    return line[1]
            poll = select.poll()
            poll.register(self._news, select.POLLIN)
            remaining_s = deadline_s - time.monotonic()
            assert remaining_s > 0, f"nobody told {word!r}; heard: {self._lines}; {self.errors()}"
            if poll.poll(remaining_s * 1000):
                with contextlib.suppress(BlockingIOError):
                    self._rest += os.read(self._news, 65536)
            *whole, self._rest = self._rest.split(b"\n")
            self._lines += [(text.split()[0].decode(), int(text.split()[1])) for text in whole]

    def heard(self, word: str) -> bool:
        """Whether a word has been told, without waiting."""
        with contextlib.suppress(BlockingIOError):
            self._rest += os.read(self._news, 65536)
        return word.encode() in self._rest or any(line[0] == word for line in self._lines)

    def gate(self, name: str) -> str:
        """The name of a gate, closed until it is opened."""
        if name not in self._gates:
            os.mkfifo(self.folder / name)
            self._gates[name] = self._open_pipe(self.folder / name)
        return name

    def open(self, name: str) -> None:
        """Let everybody through, those who come later as well."""
        os.write(self._gates[name], _OPEN)

    # Processes.

    def watch(self, pid: int) -> Witness:
        """A witness of this process, from now on."""
        if pid not in self._witnesses:
            self._witnesses[pid] = Witness(pid)
            self._closing.callback(self._witnesses[pid].close)
        return self._witnesses[pid]

    def kill(self, witness: Witness, number: int = signal.SIGKILL) -> None:
        """Send a signal from outside of the family."""
        os.kill(witness.pid, number)

    @staticmethod
    def parent_of(pid: int) -> int:
        """The parent of a process."""
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return int(text.rpartition(")")[2].split()[1])

    def died(self, witness: Witness, signal_: int | None = None, status: int | None = None) -> None:
        """Assert that a process is over and, where the kernel tells, by what."""
        assert witness.gone(WAIT_S), f"process {witness.pid} lives on"
        seen = witness.status()
        if seen is None:
            return
        want = signal_ if status is None else status << 8
        assert want is None or seen & ~0x80 == want, f"process {witness.pid} ended with status {seen:#x}"

    def until(self, holds: Callable[[], bool], limit_s: float = WAIT_S) -> None:
        """Look again and again, where nothing tells when it comes to hold."""
        deadline_s = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < deadline_s, "it has not come to hold"
            select.poll().poll(2)

    # The end of a row.

    def outcome(self, future: Future[Any]) -> tuple[BaseException | None, Any]:
        """Wait for a future; its exception, or None and its value."""
        try:
            error = future.exception(WAIT_S)
        except CancelledError as cancelled:
            return cancelled, None
        return error, None if error is not None else future.result(0)

    def until_the_end(self, manager: contextlib.AbstractContextManager[Any]) -> Any:
        """Enter something that is left when the pool has ended."""
        return self._closing.enter_context(manager)

    def check_living(self, replaced: bool, renewed: bool = False) -> None:
        """The others give their values, and the same executor goes on with two workers."""
        if self.running is not None:
            self.open("crowd")
            if renewed:
                error = self.running.exception(WAIT_S)
                assert type(error) is TerminatedWorkerError, repr(error)
                assert error.report is not None
                assert error.report.started
                assert error.report.cause == "zygote"
            else:
                assert self.running.result(WAIT_S) == "held"
        assert [future.result(WAIT_S) for future in self.waiting] == list(range(len(self.waiting)))
        assert self.submit(tasks.give, "after").result(WAIT_S) == "after"
        assert self.executor._flags.broken is None
        self._gates.pop("warm", None)
        (self.folder / "warm").unlink(missing_ok=True)
        before = {worker.pid for worker in self.workers}
        now = set(self.warm_up())
        if before:
            assert len(now - before) == (2 if renewed else int(replaced)), f"{before} became {now}"

    def check_broken(self, first: BaseException | None) -> None:
        """The others have the pool's error, each its own, and so does whoever comes later.

        Args:
            first: the error of the task that the row is about; None if it is about no task.
        """
        kind = type(first) if first is not None else TerminatedWorkerError
        errors = [] if first is None else [first]
        unfinished = [*filter(None, [self.running]), *self.waiting]
        for future in unfinished:
            error = future.exception(WAIT_S)
            if error is None:
                # It was done before the fault: only what was unfinished has the error.
                assert future is not self.running
                continue
            assert type(error) is kind, repr(error)
            report = getattr(error, "report", None)
            # The end of the zygote is the end of all that was running; else only one task was.
            running = report is not None and report.cause == "zygote" and future is self.running
            assert report is None or report.started == running, f"only what was running is blamed: {report}"
            errors.append(error)
        for _ in range(2):
            with pytest.raises(BrokenProcessPool) as refusal:
                self.submit(tasks.give, "too late")
            assert type(refusal.value) is kind, repr(refusal.value)
            errors.append(refusal.value)
        self.until(lambda: self.executor._flags.broken is not None, limit_s=1)
        assert isinstance(self.executor._flags.broken, BrokenProcessPool)
        assert self.executor._flags.shutdown
        assert len({id(error) for error in errors}) == len(errors), "an exception object is shared"
        for worker in self.workers:
            assert worker.gone(WAIT_S), "a worker of a broken pool lives on"

    def check_shut(self) -> None:
        """Whatever was unfinished ends with the error of a shutdown with killing."""
        for future in [*filter(None, [self.running]), *self.waiting]:
            error = future.exception(WAIT_S)
            assert error is None or type(error) is ShutdownExecutorError, repr(error)
            assert error is not None or future is not self.running
        self._refuses()
        for worker in self.workers:
            assert worker.gone(WAIT_S), "a worker lives on"

    def check_finished(self) -> None:
        """Whatever was accepted gives its value, and nothing more is."""
        if self.running is not None:
            self.open("crowd")
            assert self.running.result(WAIT_S) == "held"
        assert [future.result(WAIT_S) for future in self.waiting] == list(range(len(self.waiting)))
        self._refuses()

    def _refuses(self) -> None:
        with pytest.raises(ShutdownExecutorError, match="after shutdown"):
            self.submit(tasks.give, "too late")
        assert self.executor._flags.broken is None

    def close(self) -> None:
        """End the pool, within a bounded time, and let go of everything."""
        try:
            if self._executor is not None:
                end(self._executor)
        finally:
            self._closing.close()
            self._executor = None
            self.running = None
            self.waiting = []
            self.notes.clear()


Options = Callable[[Stage], dict[str, Any]] | None
"""Arguments of an executor, made when its stage is there."""


def end(executor: ProcessPoolExecutor, kill: bool = True) -> None:
    """Shut an executor down and wait for its end, but not for ever."""
    life = executor._life
    executor.shutdown(wait=False, kill_workers=kill)
    if life is not None:
        life.thread.join(WAIT_S)
        assert not life.thread.is_alive(), "the pool does not come to its end"


def state_of(pid: int | str) -> str:
    """The letter of a process's state; `-` where there is none. Of a thread: `<pid>/task/<thread>`."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "-"
    return text.rpartition(")")[2].split()[0]


def has_stopped(pid: int) -> bool:
    """Whether all threads of a process have.

    Until the one that takes the signal has come to it, the others go on.
    """
    return all(state_of(f"{pid}/task/{thread}") == "T" for thread in os.listdir(f"/proc/{pid}/task"))


def pending_signals(pid: int) -> int:
    """The signals that wait to be taken by a process, as bits."""
    found = 0
    for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name in ("SigPnd", "ShdPnd"):
            found |= int(value, 16)
    return found


@contextlib.contextmanager
def full_descriptor_table(room: int = 0) -> Iterator[int]:
    """This process can open no more than `room`, until the block ends; gives how many fill its table.

    For rows that are alone: a table of the usual size would take long to fill.
    """
    filling = []
    try:
        with contextlib.suppress(OSError):
            while True:
                filling.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            os.open(os.devnull, os.O_RDONLY)
        for _ in range(room):
            os.close(filling.pop())
        yield len(filling)
    finally:
        for number in filling:
            os.close(number)
