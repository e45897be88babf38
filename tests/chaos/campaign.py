"""A campaign: random tasks, sizes, cancels and resizes under random kills, judged from outside.

`python -m tests.chaos.campaign --tasks 1000000 --seed 7`. The seed replays the plan (which task does
what, what is done to the pool and when); the kernel's timing is its own.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import tempfile
import time
from collections import Counter, deque
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import loky
from loky.process_executor import BrokenProcessPool, TerminatedWorkerError
from tests.chaos import work

OUTSTANDING_MAX = 400
WAIT_S = 60.0
DEATHS = ("exit", "null", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGABRT")
BLOWS = ("SIGKILL", "SIGTERM", "SIGSEGV", "stop", "zygote", "resize", "cancel", "files", "cancel")


class VerdictError(AssertionError):
    """A promise was broken."""


class Campaign:
    """One run: the plan from its seed, the pool, and the account of what became of each task."""

    def __init__(self, seed: int, tasks: int, ledger: Path, workers: int = 3) -> None:
        self.chance = random.Random(seed)
        self.tasks = tasks
        self.ledger = str(ledger)
        self.workers = workers
        self.pool = loky.ProcessPoolExecutor(max_workers=workers, on_crash="recover")
        self.outstanding: deque[tuple[int, str, Future[Any]]] = deque()
        self.kinds: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.blows: Counter[str] = Counter()
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.starved_until = 0
        self.cancelled: set[int] = set()
        self.died: set[int] = set()
        self.answered: set[int] = set()

    def run(self) -> None:
        """Submit everything while striking, then demand an end of each."""
        with self.pool:
            for number in range(1, self.tasks + 1):
                self.submit(number)
                if number >= self.starved_until:
                    self.give_files_back()
                if self.chance.random() < 1 / 150:
                    self.strike(self.chance.choice(BLOWS), number)
                if len(self.outstanding) >= OUTSTANDING_MAX:
                    # A wait would outlast the shortage that the pool may be waiting for to end.
                    self.give_files_back()
                    self.settle()
            self.give_files_back()
            while self.outstanding:
                self.settle()
        self.judge_record()

    def submit(self, number: int) -> None:
        """Plan and submit one task."""
        dice = self.chance.random()
        call: tuple[Any, ...]
        if dice < 0.004:
            kind, call = "die", (work.die, self.ledger, number, self.chance.choice(DEATHS))
        elif dice < 0.006:
            kind, call = "children", (work.leave_children, self.ledger, number)
        elif dice < 0.03:
            payload = bytes([number % 251]) * self.chance.choice((10, 70_000, 400_000, 2_000_000))
            kind, call = "measure", (work.measure, self.ledger, number, payload)
        elif dice < 0.05:
            length = self.chance.choice((10, 70_000, 400_000, 2_000_000))
            kind, call = "produce", (work.produce, self.ledger, number, length)
        elif dice < 0.08:
            kind, call = "refuse", (work.refuse, self.ledger, number)
        elif dice < 0.085:
            kind, call = "unpicklable", (work.unpicklable, self.ledger, number)
        elif dice < 0.13:
            kind, call = "nap", (work.nap, self.ledger, number, self.chance.random() * 0.01)
        else:
            kind, call = "double", (work.double, self.ledger, number)
        self.kinds[kind] += 1
        self.outstanding.append((number, kind, self.pool.submit(*call)))

    def strike(self, blow: str, number: int) -> None:
        """Do something to the pool."""
        self.blows[blow] += 1
        if blow == "cancel":
            for victim, _, future in self.chance.sample(list(self.outstanding), len(self.outstanding) // 4):
                if future.cancel():
                    self.cancelled.add(victim)
            return
        if blow == "resize":
            # It waits for the new size, which a shortage of files can make impossible.
            self.give_files_back()
            self.pool._life.resize(self.chance.randint(1, self.workers + 1))
            return
        if blow == "files":
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, self.files[1]))
            self.starved_until = number + 10
            return
        victims = list(self.pool._processes)
        if blow == "zygote":
            victims = zygotes()
        if victims:
            hit(self.chance.choice(victims), blow)

    def give_files_back(self) -> None:
        """End a shortage of descriptors."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self.files)

    def settle(self) -> None:
        """Demand the end of the oldest task, and judge it."""
        number, kind, future = self.outstanding.popleft()
        end = self.end_of(number, kind, future)
        self.ends[end] += 1

    def end_of(self, number: int, kind: str, future: "Future[Any]") -> str:
        """How a task ended; what must not be is a `VerdictError`."""
        try:
            value = future.result(timeout=WAIT_S)
        except CancelledError:
            if number not in self.cancelled:
                raise VerdictError(f"task {number} is cancelled by nobody") from None
            return "cancelled"
        except TerminatedWorkerError as error:
            if error.report is None or not error.report.started:
                raise VerdictError(f"task {number} is blamed and had not begun: {error}") from error
            self.died.add(number)
            return "died"
        except BrokenProcessPool as error:
            raise VerdictError(f"the pool broke: {error}") from error
        except TimeoutError as error:
            raise VerdictError(f"task {number} ({kind}) has no end after {WAIT_S} s") from error
        except ValueError as error:
            expected = kind == "refuse" and error.args == (number,)
        except TypeError:
            expected = kind == "unpicklable"
        except OSError as error:
            if self.blows["files"] == 0:
                raise VerdictError(f"task {number} lacks a resource: {error}") from error
            return "lacks files"
        else:
            expected = value == (bytes([number % 251]) * len(value) if kind == "produce" else 2 * number)
        if not expected or number in self.cancelled:
            raise VerdictError(f"task {number} ({kind}) ended as it must not")
        self.answered.add(number)
        return "answered"

    def judge_record(self) -> None:
        """Compare what became of the tasks with what they themselves recorded."""
        record = Path(self.ledger).read_bytes()
        starts = Counter(number for number, _ in work.RECORD.iter_unpack(record))
        again = [number for number, count in starts.items() if count > 1]
        if again:
            raise VerdictError(f"began more than once: {again[:10]}")
        ghosts = self.cancelled & starts.keys()
        if ghosts:
            raise VerdictError(f"began although cancelled: {sorted(ghosts)[:10]}")
        silent = self.answered - starts.keys()
        if silent:
            raise VerdictError(f"answered and never began: {sorted(silent)[:10]}")
        if sum(self.ends.values()) != self.tasks:
            raise VerdictError(f"{sum(self.ends.values())} ends of {self.tasks} tasks")


def hit(pid: int, blow: str) -> None:
    """Send a signal; a victim that is gone by now is no target any more."""
    with contextlib.suppress(ProcessLookupError):
        if blow == "stop":
            os.kill(pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
        else:
            os.kill(pid, signal.SIGKILL if blow == "zygote" else getattr(signal, blow))


def zygotes() -> list[int]:
    """The children of this process that fork the workers."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    found = []
    for pid in children:
        with contextlib.suppress(OSError):
            if b"loky-zygote" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def run(seed: int, tasks: int) -> dict[str, Any]:
    """Run one campaign; its figures. A broken promise raises, with the seed in the message."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(seed, tasks, Path(folder) / "starts")
        try:
            campaign.run()
        except VerdictError as error:
            campaign.pool.shutdown(kill_workers=True)
            raise VerdictError(f"seed {seed}, {tasks} tasks: {error}") from error
    return {
        "seed": seed,
        "tasks": tasks,
        "seconds": round(time.monotonic() - began, 1),
        "kinds": dict(campaign.kinds),
        "ends": dict(campaign.ends),
        "blows": dict(campaign.blows),
    }


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=100_000)
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.seed, arguments.tasks), indent=2))


if __name__ == "__main__":
    main()
