"""Programs with a pool that come to a sudden end, and a look at what is left of their families.

The workers of such a program sit in loops in C that hold the interpreter and look at no signal, and
have children: plain ones, some with a session of their own, some whose parent has gone.
"""

import collections
import itertools
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, Self

from loky import ProcessPoolExecutor
from tests.faults import tasks, values
from tests.faults.stage import Stage, Witness, has_stopped

ROOT = Path(__file__).resolve().parents[2]
WAYS = (
    "is-killed-with-busy-workers-and-their-children",
    "calls-os-exit-with-busy-workers",
    "is-killed-with-idle-workers",
    "is-killed-while-workers-start",
    "is-killed-and-a-child-of-it-holds-its-descriptors",
    "is-killed-with-its-zygote-and-one-of-its-busy-workers",
    "is-killed-after-the-thread-that-submitted-has-ended",
    "is-killed-when-its-zygote-is-stopped",
    "is-killed-when-its-idle-workers-are-stopped",
    "is-killed-when-its-zygote-and-busy-workers-are-stopped",
)
_CHILDREN = 3


class Program:
    """Such a program, seen from outside."""

    def __init__(self, stage: Stage, how: str) -> None:
        self._stage = stage
        self._how = how
        # Everybody of the family that a task makes holds the other end of this, or inherits it.
        os.mkfifo(stage.folder / "alive")
        self._alive = os.open(stage.folder / "alive", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        command = [sys.executable, "-m", "tests.faults.parents"]
        self._process = subprocess.Popen(
            [*command, how, stage.mode, stage.launcher, str(stage.folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
            stdin=subprocess.DEVNULL,
        )
        self._family: list[Witness] = []
        self._strangers: list[int] = []

    def __enter__(self) -> Self:
        stage = self._stage
        stage.gate("exit")
        starting = "start" in self._how
        workers = [stage.watch(stage.news("initializing" if starting else "began", 20)) for _ in range(2)]
        zygote = stage.watch(stage.parent_of(workers[0].pid))
        self._family = [*workers, zygote]
        if "busy" in self._how:
            self._family += [stage.watch(stage.news("child")) for _ in range(2 * _CHILDREN)]
        if "holds" in self._how:
            self._strangers.append(stage.news("stranger"))
        stage.news("complete", 20)
        assert not any(witness.gone(0) for witness in self._family)
        if "stopped" in self._how:
            self._stop(
                [*([zygote] if "zygote" in self._how else []), *(workers if "workers" in self._how else [])]
            )
        return self

    def _stop(self, witnesses: list[Witness]) -> None:
        for witness in witnesses:
            os.kill(witness.pid, signal.SIGSTOP)
            self._stage.until(lambda pid=witness.pid: has_stopped(pid))

    def end(self) -> None:
        """Bring the parent to its end."""
        if "with-its-zygote" in self._how:
            self._end_three()
            return
        if "os-exit" in self._how:
            self._stage.open("exit")
            assert self._process.wait(10) == 3
        else:
            self._process.kill()
            assert self._process.wait(10) == -signal.SIGKILL

    def _end_three(self) -> None:
        """The zygote has not looked whom a worker left, and nobody is left to do so but the other worker."""
        worker, _, zygote, *children = self._family
        # The parent continues a stopped zygote, and so does its end; it finds whom a zygote left. So both
        # must die without another step.
        for pid in (self._process.pid, zygote.pid):
            os.kill(pid, signal.SIGSTOP)
            self._stage.until(lambda pid=pid: has_stopped(pid))
        self._stage.kill(worker)
        assert worker.gone(10)
        assert not any(child.gone(0) for child in children)
        orphans = [child for child in children if self._stage.parent_of(child.pid) == zygote.pid]
        assert len(orphans) == _CHILDREN
        self._stage.kill(zygote)
        self._process.kill()
        assert self._process.wait(10) == -signal.SIGKILL

    def left_after(self, limit_s: float) -> list[str]:
        """Who of the family still lives after this time, and whether anybody unknown does."""
        deadline_s = time.monotonic() + limit_s
        left = [
            f"process {witness.pid}"
            for witness in self._family
            if not witness.gone(max(0.0, deadline_s - time.monotonic()))
        ]
        poll = select.poll()
        poll.register(self._alive, 0)
        if not poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
            left.append("somebody who inherited a descriptor of a task")
        return left

    def __exit__(self, *_exception: object) -> None:
        for pid in self._strangers:
            os.kill(pid, signal.SIGKILL)
        os.close(self._alive)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._stage.workers = []


# What follows runs in the program and in its workers.


def have_children(folder: str) -> None:
    """Start three: a plain one, one with a session of its own, one whose parent has gone."""
    sleep = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
    for options in ({}, {"start_new_session": True}):
        child = subprocess.Popen(sleep, close_fds=False, **options)  # type: ignore[call-overload]
        tasks.tell(folder, "child", child.pid)
        _kept.append(child)
    if os.fork() == 0:
        grandchild = os.fork()
        if grandchild == 0:
            os.setsid()
            tasks.tell(folder, "child")
            tasks.wait_for_ever()
        os._exit(0)
    os.wait()


_kept: list[Any] = []


def hold_line(folder: str) -> None:
    """Open what is at its end when this process and all that inherit from it are over."""
    os.set_inheritable(os.open(Path(folder, "alive"), os.O_WRONLY), True)


def sit_in_c(folder: str, children: bool) -> None:
    """Never return, never let go of the interpreter, never look at a signal."""
    hold_line(folder)
    if children:
        have_children(folder)
    tasks.tell(folder, "began")
    collections.deque(itertools.repeat(None), maxlen=0)


def idle(folder: str, gate: str) -> None:
    """Meet another task, so that each is in a worker of its own, and end."""
    hold_line(folder)
    tasks.tell(folder, "began")
    tasks.pass_gate(folder, gate)


def start_for_ever(folder: str) -> NoReturn:
    """An initializer that is never done."""
    hold_line(folder)
    values.initialize_for_ever(folder)


def _main(how: str, mode: str, launcher: str, folder: str) -> NoReturn:
    starting = "start" in how
    start = {"initializer": start_for_ever, "initargs": (folder,)} if starting else {}
    executor = ProcessPoolExecutor(2, on_crash=mode, launcher=launcher, **start)  # type: ignore[arg-type]

    def submit() -> None:
        for _ in range(2):
            if "idle" in how:
                executor.submit(idle, folder, "exit")
            elif starting:
                executor.submit(tasks.give, 1)
            else:
                executor.submit(sit_in_c, folder, "busy" in how)

    if "thread" in how:
        thread = threading.Thread(target=submit)
        thread.start()
        thread.join()
    else:
        submit()
    if "holds" in how:
        stranger = os.fork()
        if stranger == 0:
            tasks.wait_for_ever()
        tasks.tell(folder, "stranger", stranger)
    tasks.tell(folder, "complete")
    tasks.pass_gate(folder, "exit")
    os._exit(3)


if __name__ == "__main__":
    _main(*sys.argv[1:])
