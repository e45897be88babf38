"""The account of a campaign: how each task may end, and what the record of starts must show."""

from collections import Counter
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

from loky import BrokenProcessPool, TaskTimeoutError, TerminatedWorkerError
from tests.chaos import work
from tests.chaos.breaking import Breaking
from tests.chaos.plan import Planned
from tests.chaos.verdict import VerdictError

WAIT_S = 60.0


class Account:
    """What was done to the tasks, and what became of them.

    Attributes:
        breaking: how the present pool came to its end, where it is to break; None where it must not.
        ends: how many tasks came to each kind of end.
        executions: starts that the tasks themselves recorded; 0 before `judge_record`.
    """

    def __init__(self, breaking: Breaking | None = None) -> None:
        self.breaking = breaking
        self.ends: Counter[str] = Counter()
        self.executions = 0
        self._cancelled: dict[int, tuple[int, bool]] = {}
        self._unwanted: dict[int, int] = {}
        self._retries: dict[int, int] = {}
        self._attempts: dict[int, int] = {}
        self._answered: set[int] = set()
        self._expired: set[int] = set()
        self._scarce: set[str] = set()
        self._over: list[tuple[int, int]] = []

    def scarce(self, what: str) -> None:
        """Something was made scarce: tasks may fail for the lack of it from now on."""
        self._scarce.add(what)

    def cancelled(self, number: int, granted: bool, forced: bool, at_ns: int) -> None:
        """A cancellation was asked for; the clock is read after the answer."""
        if granted:
            self._cancelled.setdefault(number, (at_ns, forced))
        else:
            self._unwanted.setdefault(number, at_ns)

    def pool_over(self, last: int, at_ns: int) -> None:
        """A pool has been shut down, with all tasks up to this one."""
        self._over.append((last, at_ns))

    def settle(self, planned: Planned, future: "Future[Any]") -> None:
        """Demand the end of a task, and judge it."""
        if planned.retries:
            self._retries[planned.number] = planned.retries
        self.ends[self._end_of(planned, future)] += 1

    def _end_of(self, planned: Planned, future: "Future[Any]") -> str:
        number = planned.number
        name = f"task {number} ({planned.kind}, {planned.options})"
        try:
            value = future.result(timeout=WAIT_S)
        except CancelledError:
            if number not in self._cancelled:
                raise VerdictError(f"{name} is cancelled by nobody") from None
            return "cancelled"
        except TaskTimeoutError as error:
            return self._timed_out(planned, name, error)
        except TerminatedWorkerError as error:
            return self._died(planned, name, error)
        except TimeoutError as error:
            raise VerdictError(f"{name} has no end after {WAIT_S} s") from error
        except (OSError, MemoryError, BrokenProcessPool) as error:
            return self._lacked(planned, name, error)
        except (ValueError, TypeError) as error:
            end = type(error).__name__
            if isinstance(error, ValueError) and error.args != (number,):
                raise VerdictError(f"{name} raises of another: {error!r}") from error
        else:
            end = "value"
            wanted = bytes([number % 251]) * len(value) if planned.kind == "produce" else 2 * number
            if value != wanted:
                raise VerdictError(f"{name} gives {value!r}"[:200])
        if number in self._cancelled:
            raise VerdictError(f"{name} was cancelled and ends with {end}")
        if end not in planned.ends and not self._ended_early(planned, end):
            raise VerdictError(f"{name} ends with {end}")
        if self.breaking is not None and end == "value" and planned.deaths:
            raise VerdictError(f"{name} ends its worker and has a value, in a pool that breaks")
        self._answered.add(number)
        return end

    def _ended_early(self, planned: Planned, end: str) -> bool:
        """It is not tried again after somebody did not want it any more."""
        return end == "ValueError" and planned.kind == "retried" and planned.number in self._unwanted

    def _timed_out(self, planned: Planned, name: str, error: TaskTimeoutError) -> str:
        assert error.report is not None
        end = "timeout" if error.report.started else "expired"
        if end not in planned.ends:
            raise VerdictError(f"{name} ends with {end}: {error}") from error
        if end == "expired":
            self._expired.add(planned.number)
        return end

    def _died(self, planned: Planned, name: str, error: TerminatedWorkerError) -> str:
        report = error.report
        if report is not None and not report.started and self.breaking is not None:
            self.breaking.take_along(name, error)
            return "broken"
        if report is None or not report.started:
            raise VerdictError(f"{name} is blamed and had not begun: {error}") from error
        if report.attempt != len(report.history) + 1:
            raise VerdictError(f"{name} miscounts its attempts: {error}") from error
        retried = self.breaking is None and planned.number not in self._unwanted
        if retried and report.attempt <= planned.retries:
            raise VerdictError(f"{name} has retries left: {error}") from error
        self._attempts[planned.number] = report.attempt
        over = report.cause == "memory_limit"
        if over and "memory_limit" not in planned.ends:
            raise VerdictError(f"{name} is ended for its memory: {error}") from error
        if self.breaking is not None and not over:
            self.breaking.blame(name, report)
        return "memory_limit" if over else "died"

    def _lacked(self, planned: Planned, name: str, error: BaseException) -> str:
        if isinstance(error, MemoryError) and "MemoryError" in planned.ends:
            return "MemoryError"
        if isinstance(error, BrokenProcessPool) and "un-serialize" not in str(error):
            raise VerdictError(f"the pool broke: {error}") from error
        if not self._scarce:
            raise VerdictError(f"{name} lacks a resource: {error!r}") from error
        if self.breaking is not None and isinstance(error, BrokenProcessPool):
            self.breaking.is_broken = True
        return "lacked a resource"

    def judge_record(self, ledger: str, tasks: int) -> None:
        """Compare what became of the tasks with what they themselves recorded."""
        if sum(self.ends.values()) != tasks:
            raise VerdictError(f"{sum(self.ends.values())} ends of {tasks} tasks")
        record = Path(ledger).read_bytes() if Path(ledger).exists() else b""
        starts: dict[int, list[int]] = {}
        for number, at_ns, _ in work.RECORD.iter_unpack(record):
            starts.setdefault(number, []).append(at_ns)
        self.executions = len(record) // work.RECORD.size
        for number, times_ns in starts.items():
            if len(times_ns) > self._attempts.get(number, self._retries.get(number, 0) + 1):
                raise VerdictError(f"task {number} began {len(times_ns)} times, which is too often")
        self._judge_cancelled(starts)
        self._judge_pools(starts)
        ghosts = self._expired & starts.keys()
        if ghosts:
            raise VerdictError(f"began although it was too late: {sorted(ghosts)[:10]}")
        silent = self._answered - starts.keys()
        if silent:
            raise VerdictError(f"answered and never began: {sorted(silent)[:10]}")

    def _judge_pools(self, starts: dict[int, list[int]]) -> None:
        first = 1
        for last, at_ns in self._over:
            for number in range(first, last + 1):
                if any(time_ns > at_ns for time_ns in starts.get(number, ())):
                    raise VerdictError(f"task {number} began when its pool was over")
            first = last + 1

    def _judge_cancelled(self, starts: dict[int, list[int]]) -> None:
        for number, (at_ns, forced) in self._cancelled.items():
            late = sum(time_ns > at_ns for time_ns in starts.get(number, ()))
            # By force, what had been claimed may come to its first line just after.
            if late > int(forced):
                raise VerdictError(f"task {number} began although cancelled")
        for number, at_ns in self._unwanted.items():
            if sum(time_ns > at_ns for time_ns in starts.get(number, ())) > 1:
                raise VerdictError(f"task {number} was tried again although nobody wanted it")
