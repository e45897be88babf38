"""The exceptions that derive from those of the standard library's process pool.

Apart from the others because that module is dear to import, and because nobody needs them before
something goes wrong. `_exceptions` has them under the same names.
"""

from concurrent.futures.process import BrokenProcessPool as _StandardBrokenProcessPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._report import CrashReport


class BrokenProcessPool(_StandardBrokenProcessPool):
    """The pool cannot go on, or an answer of it cannot be read. A `RuntimeError`."""


class TerminatedWorkerError(BrokenProcessPool):
    """A worker process died with the task, or, where that breaks the pool, with another one.

    Attributes:
        report: what is known of the death; None on an instance that was made by hand.
    """

    def __init__(self, *args: object, report: "CrashReport | None" = None) -> None:
        super().__init__(*args)
        self.report = report


# The names under which users of loky know these classes, in tracebacks and in pickles.
BrokenProcessPool.__module__ = TerminatedWorkerError.__module__ = "loky.process_executor"
