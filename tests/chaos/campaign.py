"""A campaign: random tasks with random wishes, under random kills and shortages, judged from outside.

`python -m tests.chaos.campaign --tasks 1000000 --seed 7` runs it in segments, each with a pool and a
seed of its own. A seed replays the plan: which task does what, what is asked for it, what is done to
the pool and when. The kernel's timing is its own.
"""

import argparse
import contextlib
import errno
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loky
from tests.chaos import plan, work
from tests.chaos.breaking import Breaking
from tests.chaos.judge import Account
from tests.chaos.page import add_up
from tests.chaos.plan import Planned
from tests.chaos.scarcity import Scarcity
from tests.chaos.verdict import VerdictError
from tests.support import census

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Campaign", "VerdictError", "run", "work"]

OUTSTANDING_MAX = {"recover": 400, "break": 60}
"""A pool that breaks takes all of them along."""

BREAKING_SHARE = 0.25
PAIR = "all and zygote SIGKILL"
SEGMENT_TASKS = 50_000
LEFT_S = 10.0
HISTORY_LEN = 12
BLOWS = (
    *("SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT", "stop"),
    *("zygote SIGKILL", "zygote SIGSEGV", "zygote SIGTERM", "zygote stop"),
    *("resize", "cancel", "cancel", "cancel by force", "cancel by force"),
    *("files", "processes", "memory"),
)
_SHORTAGES = {"files": "descriptors", "processes": "processes", "memory": "memory"}
_SHORTAGE_TASKS = 10


class Campaign:
    """One run: the plan from its seed, the pool, and the account of what became of each task."""

    def __init__(
        self, seed: int, tasks: int, ledger: Path, workers: int = 3, mode: str | None = None
    ) -> None:
        self._pairs = random.Random(f"pairs of {seed}")
        self.mode = mode or mode_of(seed)
        self.chance = random.Random(seed)
        self.tasks = tasks
        self.ledger = str(ledger)
        self.workers = workers
        self.scarcity = Scarcity()
        self.account = Account(Breaking() if self.mode == "break" else None)
        self.kinds: Counter[str] = Counter()
        self.blows: Counter[str] = Counter()
        self.outstanding: deque[tuple[Planned, Future[Any]]] = deque()
        self.options = self._options()
        self.pool = self._new_pool()
        self.workers_started = 0
        self.pools_broken = 0
        self._submitted = self._submitted_here = 0
        self.history: deque[str] = deque(maxlen=HISTORY_LEN)
        self._scarce_until = 0

    def _new_pool(self) -> loky.ProcessPoolExecutor:
        return loky.ProcessPoolExecutor(max_workers=self.workers, on_crash=self.mode, **self.options)

    def _options(self) -> dict[str, Any]:
        return {
            "launcher": "exec" if self.chance.random() < 0.2 else "zygote",
            "timeout": self.chance.choice((None, None, 0.02)),
            "max_tasks_per_child": self.chance.choice((None, None, 300)),
            "capture_stderr": self.chance.random() < 0.3,
            "memory_limit": self.chance.choice((None, None, "4G")),
            "grace": 0.05,
        }

    def run(self) -> None:
        """Submit everything while striking, then demand an end of each."""
        try:
            for number in range(1, self.tasks + 1):
                self._take_turn(number)
            self.scarcity.end()
            while self.outstanding:
                self.settle()
            self._end_pool()
            self.account.judge_record(self.ledger, self.tasks)
        except BaseException:
            self.scarcity.end()
            self.pool.shutdown(kill_workers=True)
            raise
        finally:
            self.scarcity.close()

    def _take_turn(self, number: int) -> None:
        self.submit(plan.any_task(self.chance, number))
        if number >= self._scarce_until:
            self.scarcity.end()
        if self.chance.random() < 1 / 150:
            blow = self.chance.choice(BLOWS)
            if blow == "zygote SIGKILL" and self._pairs.random() < 0.5:
                blow = PAIR
            self.strike(blow, number)
        if len(self.outstanding) >= OUTSTANDING_MAX[self.mode]:
            # A wait would outlast the shortage that the pool may be waiting for to end.
            self.scarcity.end()
            self.settle()

    def submit(self, planned: Planned) -> None:
        """Submit one task."""
        self.kinds[planned.kind] += 1
        try:
            future = self._hand_over(planned)
        except loky.BrokenProcessPool as refusal:
            if self.account.breaking is None:
                raise
            self.account.breaking.refuse(refusal)
            self._replace_pool()
            future = self._hand_over(planned)
        self._submitted += 1
        self._submitted_here += 1
        self.outstanding.append((planned, future))

    def _hand_over(self, planned: Planned) -> "Future[Any]":
        function, arguments = planned.call
        target = self.pool.options(**planned.options) if planned.options else self.pool
        try:
            return target.submit(function, self.ledger, planned.number, *arguments)
        except OSError as error:
            # A pool that has not begun needs descriptors and a thread for that, and says so without them.
            if error.errno not in (errno.EMFILE, errno.EAGAIN) or self._submitted_here:
                raise
            self.scarcity.end()
            return target.submit(function, self.ledger, planned.number, *arguments)

    def settle(self) -> None:
        """Demand the end of the oldest task, and judge it."""
        self.account.settle(*self.outstanding.popleft())
        if self.account.breaking is not None and self.account.breaking.is_broken:
            self._replace_pool()

    def _replace_pool(self) -> None:
        """A pool that has broken takes no more; all that it had ends; another one takes its place."""
        breaking = self.account.breaking
        assert breaking is not None
        try:
            self.pool.submit(work.double, self.ledger, 0)
        except loky.BrokenProcessPool as refusal:
            breaking.refuse(refusal)
        else:
            raise VerdictError("a pool is broken and takes a task")
        self.scarcity.end()
        while self.outstanding:
            self.account.settle(*self.outstanding.popleft())
        self._end_pool()
        self.pools_broken += 1
        self.account.breaking = Breaking()
        self.pool = self._new_pool()

    def _end_pool(self) -> None:
        self.pool.shutdown()
        self.account.pool_over(self._submitted, time.monotonic_ns())
        self._judge_statistics()
        self.workers_started += self.pool.statistics().workers_started
        self._submitted_here = 0

    def strike(self, blow: str, number: int) -> None:
        """Do something to the pool."""
        dice = self.chance.random()
        if blow.startswith("cancel"):
            self._cancel(by_force="force" in blow)
        elif blow == "resize":
            # It waits for the new size, which a shortage can make impossible.
            self.scarcity.end()
            if not self._resize(1 + int(dice * (self.workers + 1))):
                return
        elif blow in _SHORTAGES:
            if blow == "processes" and not self.scarcity.can_limit_processes:
                return
            self._make_room()
            self._make_scarce(blow, dice)
            self._scarce_until = number + _SHORTAGE_TASKS
        else:
            who, _, what = blow.rpartition(" ")
            if who:
                # To look for it takes a descriptor.
                self.scarcity.end()
                if self.account.breaking is not None:
                    self.account.breaking.zygote_struck = True
            victims = zygotes() if who else list(self.pool._processes)
            if not victims:
                return
            victim = victims[int(dice * len(victims))]
            if what == "stop":
                self._make_room()
                self.scarcity.stop(victim)
                self._scarce_until = number + _SHORTAGE_TASKS
            else:
                if blow == PAIR:
                    # The zygote has no time to look whom the worker left.
                    for worker in list(self.pool._processes):
                        hit(worker, what)
                hit(victim, what)
        self.blows[blow] += 1
        self.history.append(f"{blow} at task {number}")

    def _resize(self, workers: int) -> bool:
        life = self.pool._life
        if life is None:
            # The pool is new, and nothing has been submitted to it.
            return False
        try:
            life.resize(workers)
        except loky.BrokenProcessPool as refusal:
            if self.account.breaking is None:
                raise
            self.account.breaking.refuse(refusal)
        return True

    def _make_room(self) -> None:
        """Have it last for some submissions: a full house would have the next one wait, and end it."""
        while len(self.outstanding) > OUTSTANDING_MAX[self.mode] - 2 * _SHORTAGE_TASKS:
            self.scarcity.end()
            self.settle()

    def _make_scarce(self, blow: str, dice: float) -> None:
        self.account.scarce(_SHORTAGES[blow])
        if blow == "files":
            self.scarcity.files()
        elif blow == "processes":
            self.scarcity.processes()
        else:
            victims = list(self.pool._processes)
            if victims:
                self.scarcity.memory(victims[int(dice * len(victims))])

    def _cancel(self, by_force: bool) -> None:
        if by_force:
            # The oldest are those that run.
            victims = list(self.outstanding)[:20]
            victims = self.chance.sample(victims, min(3, len(victims)))
        else:
            victims = self.chance.sample(list(self.outstanding), len(self.outstanding) // 4)
        for planned, future in victims:
            granted = future.cancel(force=True, grace=0.05) if by_force else future.cancel()
            self.account.cancelled(planned.number, granted, by_force, time.monotonic_ns())

    def _judge_statistics(self) -> None:
        seen = self.pool.statistics()
        over = seen.tasks_finished + seen.tasks_failed + seen.tasks_cancelled
        tasks = self._submitted_here
        if (seen.tasks_submitted, over, seen.workers_alive) != (tasks, tasks, 0):
            raise VerdictError(f"the pool miscounts {tasks} tasks: {seen}")


def mode_of(seed: int) -> str:
    """What a death does to the pool of a segment.

    Drawn apart from the plan, which is what it was before there was a choice.
    """
    return "break" if random.Random(f"mode of {seed}").random() < BREAKING_SHARE else "recover"


def hit(pid: int, blow: str) -> None:
    """Send a signal; a victim that is gone by now is no target any more."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, getattr(signal, blow))


def zygotes() -> list[int]:
    """The children of this process that fork the workers."""
    children: list[str] = []
    # Whichever thread has started it is its parent.
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            children += (task / "children").read_text().split()
    return [int(pid) for pid in children if _is_zygote(pid)]


def _is_zygote(pid: str) -> bool:
    try:
        return b"loky-zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def run(seed: int, tasks: int, mode: str | None = None) -> dict[str, Any]:
    """Run one segment; its figures. A broken promise raises, with the seed in the message.

    Args:
        seed: of the plan.
        tasks: how many.
        mode: what a death does to the pool; None is what the seed says.
    """
    began_s = time.monotonic()
    census.adopt_marks()
    before = census.take()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(seed, tasks, Path(folder) / "starts", mode=mode)
        try:
            campaign.run()
        except Exception as error:
            raise VerdictError(
                f"seed {seed}, {tasks} tasks, {campaign.mode}, {campaign.options}: {error!r}; "
                f"{list(campaign.history)}"
            ) from error
    figures = {
        "tasks": tasks,
        "executions": campaign.account.executions,
        "workers": campaign.workers_started,
        "broken": campaign.pools_broken,
        "kinds": dict(campaign.kinds),
        "ends": dict(campaign.account.ends),
        "blows": dict(campaign.blows),
    }
    del campaign
    left = census.settle(before, LEFT_S)
    if left:
        raise VerdictError(f"seed {seed}, {tasks} tasks: left behind: {left}")
    return {**figures, "seconds": round(time.monotonic() - began_s, 1)}


def main() -> None:
    """Run as a program; every segment is told when it is over, the sum at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first segment; each further has the next")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--segment", type=int, default=SEGMENT_TASKS, help="tasks of one pool")
    parser.add_argument("--mode", choices=("recover", "break"), help="of all segments, in place of a draw")
    parser.add_argument("--results", type=Path, help="a file for the sum so far, after each segment")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loky-chaos-") as folder:
        # The census looks at the folder for temporary files, which others use as well.
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        _campaign(arguments)


def _campaign(arguments: argparse.Namespace) -> None:
    total: dict[str, Any] = {}
    text = ""
    left, seed = arguments.tasks, arguments.seed
    while left > 0:
        tasks = min(left, arguments.segment)
        figures = run(seed, tasks, arguments.mode)
        print(f"seed {seed}: {tasks} tasks in {figures['seconds']} s", file=sys.stderr, flush=True)
        add_up(total, figures)
        left, seed = left - tasks, seed + 1
        text = json.dumps({**total, "seeds": [[arguments.seed, seed - 1]], "violations": 0}, indent=2) + "\n"
        if arguments.results is not None:
            arguments.results.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
