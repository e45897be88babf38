"""The future of a task: the standard library's, decoded when asked, and truthful about its state.

Owned by its user; the pool's manager thread finishes it. It knows its pool only weakly, and forgets
it when it is finished.
"""

import concurrent.futures._base as _std
import os
import threading
from _thread import allocate_lock, get_ident
from collections import deque

from . import _answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, Protocol, Self, TypeVar

    from ._native import Payload
    from ._options import TaskOptions

    T = TypeVar("T")

    class Pool(Protocol):
        """What a future asks of its pool."""

        inherited: bool

        def cancel(self, task: int) -> bool:
            """Withdraw a task that has not begun; True: it will never run."""

        def started(self, task: int) -> bool:
            """Whether a worker has begun the task."""

        def cancel_by_force(self, task: int, grace_s: float | None) -> bool:
            """End a task, also where it has begun; False: it is over."""

        def stack(self, task: int) -> str | None:
            """The stacks of the worker that runs the task."""

        def look(self, task: int) -> None:
            """Look for the outcome of a task for a moment."""

        def answer_unreadable(self, error: BaseException) -> None:
            """An answer could not be decoded."""


# The names of the base class and of the log that tells of callbacks' errors, as loky has them here.
LOGGER = _std.LOGGER
_BaseFuture = _std.Future

_PENDING, _CANCELLED_AND_NOTIFIED = _std.PENDING, _std.CANCELLED_AND_NOTIFIED
_CANCELLED = (_std.CANCELLED, _CANCELLED_AND_NOTIFIED)
_DONE = (*_CANCELLED, _std.FINISHED)

_guard = threading.RLock()
"""Held for the few instructions in which any future changes that has no condition of its own.

One for all: a condition for each future is most of the memory and time that a future costs.
"""


def _renew_locks() -> None:
    """In a forked child: whoever held a lock does not exist there."""
    global _guard
    _guard = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)


class _Condition(threading.Condition):
    """A future's condition, made when somebody reaches for it; it wakes also who waits without it.

    `wait` and `as_completed` reach for those of all their futures, so it is small: the base class
    keeps in each object what is here in the class, and a queue that hardly anybody waits in.
    """

    def __init__(self, bells: "list[Any]") -> None:
        self._lock = threading.RLock()
        self._bells = bells

    _waiters: "Any" = ()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until notified; the lock is held."""
        if not self._waiters:
            self._waiters = deque()
        return super().wait(timeout)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock of the condition."""
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Release the lock of the condition."""
        self._lock.release()

    def _release_save(self) -> "Any":
        return self._lock._release_save()  # type: ignore[attr-defined]

    def _acquire_restore(self, state: "Any") -> None:
        self._lock._acquire_restore(state)  # type: ignore[attr-defined]

    def _is_owned(self) -> bool:
        owned: bool = self._lock._is_owned()  # type: ignore[attr-defined]
        return owned

    def _at_fork_reinit(self) -> None:
        self._lock = threading.RLock()
        self._waiters = ()

    def notify(self, n: int = 1) -> None:
        """Wake `n` of those who wait for the condition, and all who wait for the future."""
        super().notify(n)
        _ring(self._bells)


def _ring(bells: "list[Any]") -> None:
    """Wake everybody who sleeps on one of these locks."""
    with _guard:
        woken = bells[:]
        bells.clear()
    for bell in woken:
        bell.release()


class Future(_std.Future["T"]):
    """The result of a task, now or later.

    As `concurrent.futures.Future`, except: a done-callback that raises anything, `SystemExit` and
    `KeyboardInterrupt` included, is logged and the next one runs (as in loky); `cancel()` succeeds
    for every task that has not begun; `running()` is true from the moment a worker has begun the
    task; an exception that is false in a boolean context is raised all the same.

    It is small: what most futures never need is made when somebody reaches for it. While there is no
    condition, `_guard` protects its state; once there is one, that does, as the base class and
    those who reach into futures expect.
    """

    # What a future has until something else is put there: making one stores nothing.
    _state: str = _std.PENDING
    _value: "Any" = None
    _error: BaseException | None = None
    _payload: "Payload | None" = None
    _payload_raised = False
    _decoder: int | None = None
    _task = 0
    _pool: "Callable[[], Pool | None] | None" = None
    _label: str | None = None
    _options: "TaskOptions | None" = None
    _forced_grace_s: float | None = None
    _sent_bytes = 0
    _calls = 1
    _made: _Condition | None = None
    _bells: "list[Any] | None" = None
    _watchers: "list[Any] | None" = None
    _callbacks: "list[Callable[[Any], object]] | None" = None

    __init__ = object.__init__  # The base class makes what is made late here

    # The base class and programs read and write these attributes. Those of the outcome decode what
    # has arrived; the others come into being.

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

    @property
    def _condition(self) -> threading.Condition:
        made = self._made
        if made is None:
            with _guard:
                if self._bells is None:
                    self._bells = []
                made = self._made
                if made is None:
                    self._made = made = _Condition(self._bells)
        return made

    @_condition.setter
    def _condition(self, condition: "Any") -> None:
        self._made = condition

    @property
    def _waiters(self) -> "list[Any]":
        with _guard:
            if self._watchers is None:
                self._watchers = []
            return self._watchers

    @_waiters.setter
    def _waiters(self, waiters: "list[Any]") -> None:
        self._watchers = waiters

    @property
    def _done_callbacks(self) -> "list[Callable[[Any], object]]":
        with _guard:
            if self._callbacks is None:
                self._callbacks = []
            return self._callbacks

    @_done_callbacks.setter
    def _done_callbacks(self, callbacks: "list[Callable[[Any], object]]") -> None:
        self._callbacks = callbacks

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
        watchers = self._watchers
        if watchers and not raised and any(getattr(w, "stop_on_exception", False) for w in watchers):
            # Such a waiter has to know whether this is an error, and only decoding tells.
            value, error = _answers.open_answer(payload, raised)
            if error is not None:
                self._note(error)
            self._finish(value, error)
            return
        with _guard:
            alone = self._made is None and not self._watchers
            if alone:
                if self._state in _DONE:
                    return
                self._payload = payload
                self._payload_raised = raised
                self._state = _std.FINISHED
        if alone:
            self._finished_alone()
            return
        with self._condition:
            with _guard:
                if self._state in _DONE:
                    return
                self._payload = payload
                self._payload_raised = raised
                self._state = _std.FINISHED
            self._tell_watchers("add_exception" if raised else "add_result")
        self._invoke_callbacks()

    def _finish(self, value: "Any", error: BaseException | None) -> None:
        """The outcome is known. Nothing happens if the future is finished already."""
        with _guard:
            alone = self._made is None and not self._watchers
            if alone and not self._finish_state(value, error):
                return
        if alone:
            self._finished_alone()
            return
        with self._condition:
            with _guard:
                if not self._finish_state(value, error):
                    return
            self._tell_watchers("add_result" if error is None else "add_exception")
        self._invoke_callbacks()

    def _finish_state(self, value: "Any", error: BaseException | None) -> bool:
        if self._state in _DONE:
            return False
        self._value = value
        self._error = error
        self._pool = None
        self._state = _std.FINISHED
        return True

    def _finished_alone(self) -> None:
        """Wake who waits, if there was no condition when the future was finished."""
        if self._bells:
            _ring(self._bells)
        if self._callbacks:
            self._invoke_callbacks()

    def _tell_watchers(self, event: str) -> None:
        """Tell who watches several futures, and wake who waits; the condition is held."""
        for watcher in self._watchers or ():
            getattr(watcher, event)(self)
        self._condition.notify_all()

    def _finish_cancelled(self, owed: bool = False) -> None:
        """The task will never run. Nothing happens if the future is finished already.

        Args:
            owed: the callbacks are to run although the future is cancelled already.
        """
        first = owed or self._state != _std.CANCELLED
        with _guard:
            alone = self._made is None and not self._watchers
            if alone and not self._cancel_state():
                return
        if alone:
            if first:
                self._finished_alone()
            return
        with self._condition:
            with _guard:
                if not self._cancel_state():
                    return
            self._tell_watchers("add_cancelled")
        if first:
            self._invoke_callbacks()

    def _cancel_state(self) -> bool:
        if self._state in (_std.CANCELLED_AND_NOTIFIED, _std.FINISHED):
            return False
        self._pool = None
        self._state = _std.CANCELLED_AND_NOTIFIED
        return True

    # What the user does.

    def cancel(self, force: bool = False, *, grace: float | None = None) -> bool:
        """Withdraw the task; True if it will never run, however it had been handed on.

        Args:
            force: end the task also where it has begun. It is interrupted, as by Ctrl-C, and if it
                has not ended after `grace` seconds its worker is killed and replaced. The future is
                cancelled at once; no other task is touched.
            grace: None means what the executor has as `grace`.

        Raises:
            TypeError, ValueError: `grace` is no number of seconds.
        """
        if grace is not None:
            from ._options import check_grace

            grace = check_grace("grace", grace)
        if not force and self._forced_grace_s is not None:
            force, grace = True, self._forced_grace_s
        alone = False
        # Asked for with the lock, so that two who ask get the same answer: the pool's state has a lock
        # of its own, and whoever holds that one waits for nobody.
        with _guard:
            if self._state != _PENDING:
                return self._state in _CANCELLED
            pool = None if self._pool is None else self._pool()
            if pool is not None:
                if not (pool.cancel(self._task) or (force and pool.cancel_by_force(self._task, grace))):
                    return False
                # Whoever has to be told is told without the lock.
                alone = self._made is None and not self._watchers
                self._state = _CANCELLED_AND_NOTIFIED if alone else _std.CANCELLED
        if pool is None:
            return super().cancel()
        if not alone:
            self._finish_cancelled(owed=True)
            return True
        self._pool = None
        if self._bells or self._callbacks:
            self._finished_alone()
        return True

    def force_on_cancel(self, grace: float = 0.2) -> "Self":
        """From now on `cancel()` is `cancel(force=True, grace=grace)`; gives the future itself.

        For code that knows nothing of force, such as asyncio: a task of asyncio that awaits
        `asyncio.wrap_future(future.force_on_cancel())` ends the call when it is cancelled.

        Raises:
            TypeError, ValueError: `grace` is no number of seconds.
        """
        from ._options import check_grace

        self._forced_grace_s = check_grace("grace", grace)
        return self

    def stack(self) -> str | None:
        """The Python stacks of the worker that runs the task, as text; None if none does.

        The task goes on undisturbed. Works also while it holds the lock of its interpreter.
        """
        pool = self._living_pool()
        return None if pool is None else pool.stack(self._task)

    def cancelled(self) -> bool:
        """Whether the task was cancelled."""
        return self._state in _CANCELLED

    def done(self) -> bool:
        """Whether the task was cancelled or is finished."""
        return self._state in _DONE

    def add_done_callback(self, fn: "Callable[[Any], object]") -> None:
        """Call `fn` with this future when it is done: in the pool's thread, or now if it is done."""
        with _guard:
            if self._made is None and self._state not in _DONE:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(fn)
                return
        super().add_done_callback(fn)

    def running(self) -> bool:
        """Whether a worker has begun the task and it is not done."""
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
        if self._state not in _DONE:
            pool = self._living_pool()
            if pool is not None and pool.inherited:
                from ._exceptions import IN_FORKED_CHILD

                raise RuntimeError(IN_FORKED_CHILD)
            if pool is not None and self._callbacks is None and self._made is None and timeout is None:
                # Nobody else is told by the end, so it may be told in this thread.
                pool.look(self._task)
            with _guard:
                bell = None if self._state in _DONE else self._new_bell()
            if bell is not None:
                self._sleep(bell, timeout)
        if self._state in _CANCELLED:
            raise _std.CancelledError
        if self._state != _std.FINISHED:
            raise TimeoutError

    def _new_bell(self) -> "Any":
        """A lock that is released when something happens to this future; `_guard` is held."""
        bell = allocate_lock()
        bell.acquire()
        if self._bells is None:
            self._bells = []
        self._bells.append(bell)
        return bell

    def _sleep(self, bell: "Any", timeout_s: float | None) -> None:
        """Wait for the bell, and take it away if it has not rung."""
        try:
            if timeout_s is None:
                bell.acquire()
            elif timeout_s > 0:
                bell.acquire(True, min(timeout_s, threading.TIMEOUT_MAX))
            else:
                bell.acquire(False)
        finally:
            with _guard:
                bells = self._bells
                if bells is not None and bell in bells:
                    bells.remove(bell)

    def _decode(self) -> None:
        """Decode what has arrived, once, in this thread; others that ask meanwhile wait."""
        me, mine, pool, error = get_ident(), False, None, None
        try:
            while True:
                with _guard:
                    payload = self._payload
                    if payload is None:
                        return
                    if self._decoder is None:
                        mine = True
                        self._decoder = me
                        break
                    if self._decoder == me:
                        raise RuntimeError("the result of this future is just being decoded")
                    bell = self._new_bell()
                self._sleep(bell, None)
            value, error = _answers.open_answer(payload, self._payload_raised)
            del payload
            pool = self._living_pool()
            if error is not None:
                self._note(error)
            with _guard:
                self._value = value
                self._error = error
                self._payload = None
                self._decoder = None
                self._pool = None
        except BaseException:
            # An interrupt, at any point: whoever asks next decodes it.
            if mine and self._decoder == me:
                self._decoder = None
            self._finished_decoding()
            raise
        self._finished_decoding()
        if pool is not None and error is not None and _answers.is_unreadable(error):
            pool.answer_unreadable(error)

    def _limit_s(self, name: str) -> float | None:
        """A limit on time that was asked for this task."""
        limit_s: float | None = getattr(self._options, name, None)
        return limit_s

    def _note(self, error: BaseException) -> None:
        """Have the error name the task, if its submitter gave it a name."""
        if self._options is not None and self._options.label is not None:
            note = f"task: {self._options.label}"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)

    def _finished_decoding(self) -> None:
        if self._bells:
            _ring(self._bells)

    def _invoke_callbacks(self) -> None:
        for callback in self._callbacks or ():
            try:
                callback(self)
            except BaseException:
                LOGGER.exception("exception calling callback for %r", self)

    def __repr__(self) -> str:
        if self._payload is None and self._state == _std.PENDING and self.running():
            return f"<{type(self).__name__} at {id(self):#x} state=running>"
        return super().__repr__()

    def __reduce__(self) -> "NoReturn":
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: a future belongs to its process")
