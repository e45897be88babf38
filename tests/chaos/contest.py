"""The part of the campaign that every pool can be given, with one of them.

`python -m tests.chaos.contest NAME`.

Tasks without wishes of all sizes, some of which end their worker; cancellations; kills of workers from
outside. A pool that is broken is replaced. One in which nothing ends for `HANG_S` is given up, with all
its processes, and replaced. The plan is the same for all; the figures are printed as JSON.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benches import family
from tests.chaos import plan, work
from tests.chaos.peers import PEERS, CancelledError, Peer
from tests.support import census
from tests.support.waiting import has_ended, is_running

OUTSTANDING_MAX = 200
HANG_S = 10.0
CALL_S = 30.0
BLOWS = ("SIGKILL", "SIGTERM", "SIGSEGV", "cancel")


class BlockedError(Exception):
    """A call of the pool did not return."""


@contextlib.contextmanager
def _bounded(limit_s: float) -> Iterator[None]:
    def strike(_number: int, _frame: Any) -> None:
        raise BlockedError

    old = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


class Contest:
    """One run with one contender.

    Attributes:
        counts: the figures.
    """

    def __init__(self, name: str, seed: int, tasks: int, ledger: Path) -> None:
        self._start = PEERS[name]
        self._chance = random.Random(seed)
        self._tasks = tasks
        self._ledger = str(ledger)
        self._outstanding: dict[int, tuple[plan.Planned, Any]] = {}
        self._last_end_s = time.monotonic()
        self._lost: list[int] = []
        self.counts: Counter[str] = Counter()
        self._before = census.take()
        self._peer: Peer = self._start()

    def run(self) -> dict[str, Any]:
        """Submit everything while striking, then wait for the ends."""
        began_s = time.monotonic()
        for number in range(1, self._tasks + 1):
            planned = plan.plain(self._chance, number)
            dice, where = self._chance.random(), self._chance.random()
            self._submit(planned)
            if dice < 1 / 150:
                self._strike(BLOWS[int(dice * 150 * len(BLOWS))], where)
            while len(self._outstanding) >= OUTSTANDING_MAX:
                self._take_ended()
        while self._outstanding:
            self._take_ended()
        self._close()
        seconds = round(time.monotonic() - began_s, 1)
        return {**self._figures(), "seconds": seconds}

    def _submit(self, planned: plan.Planned) -> None:
        function, arguments = planned.call
        for _ in range(3):
            try:
                with _bounded(CALL_S):
                    handle = self._peer.submit(function, self._ledger, planned.number, *arguments)
            except BlockedError:
                self.counts["blocked calls"] += 1
                self._give_up()
            except Exception:
                # It is broken; what was under way has been told so, or will never be.
                self.counts["broken pools"] += 1
                self._renew()
            else:
                self._outstanding[planned.number] = planned, handle
                return
        self.counts["refused"] += 1

    def _strike(self, blow: str, where: float) -> None:
        self.counts[f"blow {blow}"] += 1
        if blow == "cancel":
            for number, (_, handle) in list(self._outstanding.items())[:: 2 + int(where * 4)]:
                try:
                    with _bounded(CALL_S):
                        granted = self._peer.cancel(handle)
                except BlockedError:
                    self.counts["blocked calls"] += 1
                    return
                if granted:
                    del self._outstanding[number]
                    self.counts["cancelled"] += 1
            return
        victims = sorted(self._peer.workers())
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victims[int(where * len(victims))], getattr(signal, blow))

    def _take_ended(self) -> None:
        ended = [number for number, (_, handle) in self._outstanding.items() if self._peer.is_done(handle)]
        for number in ended:
            self.counts[self._end_of(*self._outstanding.pop(number))] += 1
        if ended:
            self._last_end_s = time.monotonic()
        elif time.monotonic() - self._last_end_s > HANG_S:
            self._give_up()
        else:
            time.sleep(0.002)

    def _end_of(self, planned: plan.Planned, handle: Any) -> str:
        number = planned.number
        try:
            value = self._peer.outcome(handle)
        except (CancelledError, TimeoutError):
            return "wrong"
        except ValueError as error:
            return "as planned" if planned.kind == "refuse" and error.args == (number,) else "wrong"
        except Exception:
            if planned.kind == "die":
                return "as planned"
            self._lost.append(number)
            return "lost"
        wanted = bytes([number % 251]) * len(value) if planned.kind == "produce" else 2 * number
        return "as planned" if "value" in planned.ends and value == wanted else "wrong"

    def _renew(self) -> None:
        """Another pool; those who wait for the old one are looked at for as long as they may take."""
        limit_s = time.monotonic() + HANG_S
        while self._outstanding and time.monotonic() < limit_s:
            self._take_ended()
        self._give_up()

    def _give_up(self) -> None:
        """End the pool with all its processes. What has no end now will have none."""
        self.counts["hangs"] += bool(self._outstanding)
        self.counts["without an end"] += len(self._outstanding)
        self._outstanding.clear()
        try:
            with _bounded(HANG_S):
                self._peer.abandon()
        except Exception:
            # It cannot even be ended; its processes can.
            self.counts["ends that failed"] += 1
        end_descendants()
        self._last_end_s = time.monotonic()
        self._peer = self._start()

    def _close(self) -> None:
        try:
            with _bounded(CALL_S):
                self._peer.close()
        except BlockedError:
            self.counts["blocked calls"] += 1

    def _figures(self) -> dict[str, Any]:
        left = census.settle(self._before, 5.0)
        starts = Counter(number for number, _, _ in work.RECORD.iter_unpack(Path(self._ledger).read_bytes()))
        self.counts["executions"] = sum(starts.values())
        self.counts["began twice"] = sum(count > 1 for count in starts.values())
        self.counts["lost and never begun"] = sum(number not in starts for number in self._lost)
        self.counts["processes left"] = sum(line.startswith("process") for line in left)
        return dict(self.counts)


def end_descendants() -> None:
    """Kill everything below this process, and wait until it is no more."""
    while living := [pid for pid in family.descendants(os.getpid()) if is_running(pid)]:
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in living:
            has_ended(pid)


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=5_000)
    arguments = parser.parse_args()
    census.adopt_marks()
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        figures = Contest(arguments.name, arguments.seed, arguments.tasks, Path(folder) / "starts").run()
    print(json.dumps({"name": arguments.name, "tasks": arguments.tasks, **figures}))
    sys.stdout.flush()
    end_descendants()
    # A pool that was given up may have threads that the interpreter would wait for.
    os._exit(0)


if __name__ == "__main__":
    main()
