"""What a row of the table of failures says, and how what happened is compared with it.

A `Failure` is a line of `docs/failures.md`. A `Row` is one way to bring it about; each is run in both
modes and with both launchers. Nothing here starts a process.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.stage import Options, Stage


class Others(enum.Enum):
    """What becomes of everything that the fault was not about; the value stands in the page."""

    UNTOUCHED = "untouched"
    """Every other task gives its value, the same workers go on, the executor takes more."""

    REPLACED = "untouched; the worker is replaced"
    """As before, but for the worker that is gone."""

    RENEWED = "the rest run on a new zygote"
    """All workers are new; every task that had not begun gives its value."""

    BROKEN = "the pool is broken"
    """Unfinished tasks end with the pool's error, each with an object of its own."""

    SHUT = "every unfinished task gets the same"
    """Unfinished tasks end with `ShutdownExecutorError`, and a later `submit` raises it."""

    FINISHED = "what was accepted is finished"
    """Every task that was accepted before gives its value; a later `submit` is refused."""

    GONE = "every process of the family is gone within two seconds"
    """There is nobody left to have an outcome; the row itself looks for the processes."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A line of the page."""

    what: str
    future: str
    recover: Others
    breaks: Others


def _holds(want: object, got: object) -> bool:
    return bool(want(got)) if callable(want) and not isinstance(want, type) else want == got


@dataclass(frozen=True, kw_only=True)
class Raises:
    """An exception of exactly this kind, with what is known of it.

    Attributes:
        text: parts of its text.
        cause: parts of the text of its `__cause__`.
        notes: parts of its notes.
        report: fields of its report; a function is asked, anything else is compared.
        fields: other attributes of it, likewise.
    """

    kind: type[BaseException]
    text: tuple[str, ...] = ()
    cause: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    report: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)

    def check(self, error: BaseException | None, value: Any = None) -> None:
        """Compare with what the future gave."""
        assert error is not None, f"a value came instead of {self.kind.__name__}: {value!r}"
        assert type(error) is self.kind, repr(error)
        for part in self.text:
            assert part in str(error), f"{part!r} is not in {error}"
        cause = str(error.__cause__) if error.__cause__ is not None else ""
        for part in self.cause:
            assert part in cause, f"{part!r} is not in the cause {error.__cause__!r}: {cause}"
        notes = "\n".join(getattr(error, "__notes__", ()))
        for part in self.notes:
            assert part in notes, f"{part!r} is not in the notes {notes!r}"
        for name, want in self.fields.items():
            got = getattr(error, name)
            assert _holds(want, got), f"{name} is {got!r}"
        for name, want in self.report.items():
            got = getattr(error.report, name)  # type: ignore[attr-defined]
            assert _holds(want, got), f"report.{name} is {got!r} in {error.report}"  # type: ignore[attr-defined]


@dataclass(frozen=True, kw_only=True)
class Gives:
    """A value."""

    value: object

    def check(self, error: BaseException | None, value: Any = None) -> None:
        """Compare with what the future gave."""
        if error is not None:
            raise AssertionError(f"an error came instead of a value: {error!r}") from error
        assert _holds(self.value, value), repr(value)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way in which a failure comes about.

    Attributes:
        name: what is done, for the test's name.
        failure: the line of the page.
        provoke: does it; gives the future of the task that it is about, or None.
        gets: the exact outcome of that future.
        gets_if_broken: the same in the mode `break`, where it differs.
        proof: asserts that it has really happened.
        options: of the executor, made on the stage.
        cold: the pool is not started before, and there are no other tasks.
        crowd: other tasks run and wait while it happens.
        alone: it is done in an interpreter of its own, because it changes or ends that.
        others: overrides what the line of the page says, by mode; with the reason in the row's text.
        lacking: says what this machine lacks for the row, which is skipped then; empty if nothing.
    """

    name: str
    failure: Failure
    provoke: Callable[[Stage], Any]
    gets: Raises | Gives | None
    gets_if_broken: Raises | Gives | None = None
    proof: Callable[[Stage], None]
    options: Options = None
    cold: bool = False
    crowd: bool = True
    alone: bool = False
    others: Mapping[str, Others] = field(default_factory=dict)
    lacking: Callable[[], str] = str

    def outcome(self, mode: str) -> Raises | Gives | None:
        """What the future gets in this mode."""
        return self.gets_if_broken if mode == "break" and self.gets_if_broken else self.gets

    def bystanders(self, mode: str) -> Others:
        """What the others get in this mode."""
        default = self.failure.breaks if mode == "break" else self.failure.recover
        return self.others.get(mode, default)
