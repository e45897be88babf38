"""What a pool in the mode `break` owes: one death ends it, and all that is unfinished is told of that one."""

from loky import BrokenProcessPool, CrashReport, TerminatedWorkerError
from tests.chaos.verdict import VerdictError

_OF_ONE_TASK = ("timeout", "memory_limit", "cancelled")
"""Why the pool itself ends a worker: for the sake of one task, which breaks no pool."""


class Breaking:
    """How one such pool came to its end, as far as its tasks have told.

    Attributes:
        is_broken: somebody has told of a death.
    """

    def __init__(self, zygote_struck: bool = False) -> None:
        self.is_broken = False
        self.zygote_struck = zygote_struck
        self._culprit: tuple[object, ...] | None = None
        self._blamed: dict[int | None, str] = {}

    def blame(self, name: str, report: CrashReport) -> None:
        """A task is told that it had begun in the worker that died."""
        self.is_broken = True
        self._judge_cause(name, report)
        other = self._blamed.setdefault(report.pid, name)
        if other != name:
            raise VerdictError(f"{name} and {other} are both blamed for the end of process {report.pid}")

    def take_along(self, name: str, error: BaseException) -> None:
        """A task, or a call, is told that the pool is broken: all must name the same culprit."""
        self.is_broken = True
        report = error.report if isinstance(error, TerminatedWorkerError) else None
        if report is None:
            culprit: tuple[object, ...] = (type(error),)
        else:
            culprit = (report.cause, report.pid, report.signal, report.exitcode)
            if report.started:
                raise VerdictError(f"{name} is told that it had begun, and is not blamed: {error}")
            if report.cause in _OF_ONE_TASK:
                raise VerdictError(f"{name} is lost for the sake of another: {error}")
            self._judge_cause(name, report)
        if self._culprit not in (None, culprit):
            raise VerdictError(f"{name} names {culprit} as culprit, others {self._culprit}")
        self._culprit = culprit

    def _judge_cause(self, name: str, report: CrashReport) -> None:
        if report.cause == "zygote" and not self.zygote_struck:
            raise VerdictError(f"{name} tells of a dead zygote, and nobody has touched it")

    def refuse(self, error: BrokenProcessPool) -> None:
        """A broken pool has refused a task."""
        self.take_along("a submit", error)
