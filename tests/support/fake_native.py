"""An engine without processes: the test says what it delivers. Stands in for `loky._native.Pool`.

It has the methods that the front calls and does what their contract says, no more: it never runs a
task. A test that calls something else fails, because the method is not there.
"""

import queue
from typing import Any


class FakePayload:
    """An answer as the engine hands it over."""

    def __init__(self, stream: bytes, buffers: list[Any] | None = None) -> None:
        self._stream = stream
        self._buffers = buffers or []

    def stream(self) -> bytes:
        """The pickle."""
        return self._stream

    def buffers(self) -> list[Any]:
        """The buffers beside it."""
        return self._buffers

    @property
    def size_bytes(self) -> int:
        """How many bytes arrived."""
        return len(self._stream)


class FakePool:
    """The engine's side of a pool.

    Attributes:
        options: what it was made with.
        tasks: streams that were submitted, by number.
        begun: numbers of the tasks that a worker has begun; those cannot be cancelled.
        modes: the shutdowns that were asked for.
        setups: the setups that were provided; None for a failed one.
        alive: pairs of place and process id.
        signals: pairs of process id and signal.
        wants_setup: whether workers wait for one; at first they do.
        wanted: how often workers were wanted without a task.
        refusal: what `submit` raises.
        eager: deliveries that are there before `submit` has returned, as functions of the number.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.tasks: dict[int, bytes] = {}
        self.begun: set[int] = set()
        self.cancelled: set[int] = set()
        self.modes: list[str] = []
        self.setups: list[bytes | None] = []
        self.alive: list[tuple[int, int]] = []
        self.signals: list[tuple[int, int]] = []
        self.refusal: Exception | None = None
        self.eager: list[Any] = []
        self.wants_setup = True
        self.wanted = 0
        self._batches: queue.Queue[list[tuple[Any, ...]] | None] = queue.Queue()

    def deliver(self, *items: tuple[Any, ...]) -> None:
        """Have the manager thread get these in one batch."""
        self._batches.put(list(items))

    def stop(self) -> None:
        """The life of the pool is over."""
        self._batches.put(None)

    def attend(self, standby):
        """Nobody writes to a helper here."""

    def prestart(self) -> None:
        """Nothing is started."""

    def want_workers(self) -> None:
        """Count it."""
        self.wanted += 1

    def submit(self, stream: bytes, buffers: list[Any]) -> int:
        """Accept a task."""
        if self.refusal is not None:
            raise self.refusal
        number = len(self.tasks) + 1
        self.tasks[number] = stream
        while self.eager:
            self.deliver(self.eager.pop(0)(number))
        return number

    def submit_light(self, function: Any, args: tuple[Any, ...]) -> int | None:
        """No call is light here: `tasks` has what the pickler writes."""

    def spawning(self) -> bool:
        return self.setup_wanted()

    def breakage(self) -> dict[str, Any] | None:
        """It never breaks by itself."""
        return None

    def setup_wanted(self) -> bool:
        """Until one is provided or has failed."""
        return self.wants_setup

    def provide_setup(
        self,
        blob: bytes,
        descriptors: list[tuple[int, int]],
        environment: list[tuple[str, str]] | None = None,
    ) -> None:
        """Remember it."""
        self.wants_setup = False
        self.setups.append(blob)

    def setup_failed(self) -> None:
        """Remember it."""
        self.wants_setup = False
        self.setups.append(None)

    def wait_spawned(self) -> None:
        """All workers of `alive` are there."""

    def wait_resized(self) -> None:
        """At once."""

    def cancel(self, task: int) -> bool:
        """True for what has not begun."""
        if task in self.begun or task in self.cancelled:
            return False
        self.cancelled.add(task)
        return True

    def started(self, task: int) -> bool:
        """Whether the test said so."""
        return task in self.begun

    def workers(self) -> list[tuple[int, int]]:
        """Whom the test said."""
        return list(self.alive)

    def signal(self, pid: int, signal: int) -> bool:
        """Remember it."""
        self.signals.append((pid, signal))
        return True

    def resize(self, workers: int) -> None:
        """Remember it."""
        self.options["max_workers"] = workers

    def shutdown(self, mode: str) -> None:
        """Remember it; a test ends the life itself."""
        self.modes.append(mode)

    def next_batch(self) -> list[tuple[Any, ...]] | None:
        """What the test delivers."""
        return self._batches.get()
