"""The future of a task: the standard library's, decoded when asked, and truthful about its state.

Owned by its user; the pool's manager thread finishes it. It knows its pool only weakly, and forgets
it when it is finished.
"""

import concurrent.futures._base as _std
import threading

from . import _answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar

    from ._native import Payload

    T = TypeVar("T")

    class Pool(Protocol):
        """What a future asks of its pool."""

        inherited: bool

        def cancel(self, task: int) -> bool:
            """Withdraw a task that has not begun; True: it will never run."""

        def started(self, task: int) -> bool:
            """Whether a worker has begun the task."""

        def answer_unreadable(self, error: BaseException) -> None:
            """An answer could not be decoded."""


_CANCELLED = (_std.CANCELLED, _std.CANCELLED_AND_NOTIFIED)
_DONE = (*_CANCELLED, _std.FINISHED)


class Future(_std.Future["T"]):
    """The result of a task, now or later.

    As `concurrent.futures.Future`, except: a done-callback that raises anything, `SystemExit` and
    `KeyboardInterrupt` included, is logged and the next one runs (as in loky); `cancel()` succeeds
    for every task that has not begun; `running()` is true from the moment a worker has begun the
    task; an exception that is false in a boolean context is raised all the same.
    """

    def __init__(self) -> None:
        self._payload: Payload | None = None
        self._payload_raised = False
        self._decoder: int | None = None
        self._task = 0
        self._pool: Callable[[], Pool | None] | None = None
        self._label: str | None = None
        super().__init__()

    # The base class reads and writes its outcome in these two attributes, and so do programs.
    # Reading them decodes what has arrived.

    @property
    def _result(self) -> "Any":
        if self._payload is not None:
            self._decode()
        return self._value

    @_result.setter
    def _result(self, value: "Any") -> None:
        self._value = value

    @property
    def _exception(self) -> BaseException | None:
        if self._payload is not None:
            self._decode()
        return self._error

    @_exception.setter
    def _exception(self, error: BaseException | None) -> None:
        self._error = error

    def _attach(self, pool: "Callable[[], Pool | None]", task: int, label: str | None) -> None:
        """Make this the future of a pool's task."""
        self._pool = pool
        self._task = task
        self._label = label

    def _living_pool(self) -> "Pool | None":
        return None if self._pool is None else self._pool()

    # What the pool does.

    def _finish_payload(self, payload: "Payload", raised: bool) -> None:
        """The worker has answered. Nothing happens if the future is finished already."""
        if not raised and any(getattr(w, "stop_on_exception", False) for w in self._waiters):
            # Such a waiter has to know whether this is an error, and only decoding tells.
            value, error = _answers.open_answer(payload, raised)
            self._finish(value, error)
            return
        with self._condition:
            if self._state in _DONE:
                return
            self._payload = payload
            self._payload_raised = raised
            self._finished(raised)
        self._invoke_callbacks()

    def _finish(self, value: "Any", error: BaseException | None) -> None:
        """The outcome is known. Nothing happens if the future is finished already."""
        with self._condition:
            if self._state in _DONE:
                return
            self._value = value
            self._error = error
            self._finished(error is not None)
        self._invoke_callbacks()

    def _finished(self, raised: bool) -> None:
        if self._payload is None:
            self._pool = None  # Else it is asked once more, when the payload cannot be decoded.
        self._state = _std.FINISHED
        for waiter in self._waiters:
            if raised:
                waiter.add_exception(self)
            else:
                waiter.add_result(self)
        self._condition.notify_all()

    def _finish_cancelled(self) -> None:
        """The task will never run. Nothing happens if the future is finished already."""
        with self._condition:
            if self._state in (_std.CANCELLED_AND_NOTIFIED, _std.FINISHED):
                return
            first = self._state != _std.CANCELLED
            self._pool = None
            self._state = _std.CANCELLED_AND_NOTIFIED
            for waiter in self._waiters:
                waiter.add_cancelled(self)
            self._condition.notify_all()
        if first:
            self._invoke_callbacks()

    # What the user does.

    def cancel(self) -> bool:
        """Withdraw the task; True if it will never run, however it had been handed on."""
        with self._condition:
            if self._state in _CANCELLED:
                return True
            if self._state != _std.PENDING:
                return False
            pool = self._living_pool()
            if pool is None:
                own_task = False
            elif pool.cancel(self._task):
                own_task = True
            else:
                return False
        if not own_task:
            return super().cancel()
        self._finish_cancelled()
        return True

    def running(self) -> bool:
        """Whether a worker has begun the task and it is not done."""
        with self._condition:
            if self._state == _std.RUNNING:
                return True
            if self._state != _std.PENDING:
                return False
            pool = self._living_pool()
            return pool is not None and pool.started(self._task)

    def result(self, timeout: float | None = None) -> "T":
        """What the task returned.

        Args:
            timeout: longest wait in seconds; None waits without limit.

        Raises:
            CancelledError: the task was cancelled.
            TimeoutError: it was not done in time; it goes on.
            BaseException: what the task raised, with the worker's traceback as its cause.
        """
        try:
            self._wait(timeout)
            error = self._exception
            if error is not None:
                raise error
            value: T = self._value
            return value
        finally:
            # The traceback holds this frame: without the names there is no cycle with the future.
            error = None
            del self

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the task raised, or None; waits and raises as `result`."""
        self._wait(timeout)
        return self._exception

    def _wait(self, timeout: float | None) -> None:
        with self._condition:
            if self._state not in _DONE:
                pool = self._living_pool()
                if pool is not None and pool.inherited:
                    from ._exceptions import IN_FORKED_CHILD

                    raise RuntimeError(IN_FORKED_CHILD)
                self._condition.wait(timeout)
            if self._state in _CANCELLED:
                raise _std.CancelledError
            if self._state != _std.FINISHED:
                raise TimeoutError

    def _decode(self) -> None:
        """Decode what has arrived, once, in this thread; others that ask meanwhile wait."""
        with self._condition:
            while self._decoder is not None:
                if self._decoder == threading.get_ident():
                    raise RuntimeError("the result of this future is just being decoded")
                self._condition.wait()
            payload = self._payload
            if payload is None:
                return
            self._decoder = threading.get_ident()
        try:
            value, error = _answers.open_answer(payload, self._payload_raised)
        except BaseException:
            with self._condition:
                self._decoder = None
                self._condition.notify_all()
            raise
        del payload
        with self._condition:
            self._value = value
            self._error = error
            self._payload = None
            self._decoder = None
            pool = self._living_pool()
            self._pool = None
            self._condition.notify_all()
        if pool is not None and error is not None and _answers.is_unreadable(error):
            pool.answer_unreadable(error)

    def _invoke_callbacks(self) -> None:
        callbacks: list[Callable[[Any], object]] = self._done_callbacks  # type: ignore[attr-defined]
        for callback in callbacks:
            try:
                callback(self)
            except BaseException:
                _std.LOGGER.exception("exception calling callback for %r", self)

    def __repr__(self) -> str:
        if self._payload is None and self._state == _std.PENDING and self.running():
            return f"<{type(self).__name__} at {id(self):#x} state=running>"
        return super().__repr__()
