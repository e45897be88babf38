"""The life of one pool on the side of Python: futures in, outcomes out.

Between the executor, which the user holds, and the engine. An executor that is collected leaves
this behind; the manager thread holds it until every future is finished. It never refers to the
executor, and it holds no lock while it calls the engine or a user's code.
"""

import errno
import sys
import threading
import weakref
from _pickle import PicklingError

from . import (
    _answers,
    _exceptions,
    _launch,
    _lives,
    _manager,
    _mourning,
    _pickling,
    _remote,
    _running,
    _standby,
    _state,
)
from ._base import Future
from ._native import Pool, PoolBroken, PoolClosed, PoolForked
from ._pool_options import ExecutorFlags, PoolOptions
from ._processes import WorkerTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from . import _share
    from ._options import TaskOptions
    from ._statistics import PoolStatistics

_TRANSIENT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN))
"""Errors of a shortage that may end: workers are tried again after a while."""

_ENDS = frozenset(("value", "raised", "died", "timed_out", "expired", "broken", "shutdown", "undeliverable"))
"""What an end of a task is called where somebody has to be told."""

_SMALL_BYTES = 1024
"""A task up to this size does not count in what a lazy `map` has on its way."""


class PoolLife:
    """A pool, from its start on.

    Attributes:
        begun: it has its process and its thread.
        inherited: this process is a forked child of the pool's owner; the pool is inert.
        pending: unfinished futures by task number.
        processes: the workers.
        thread: the manager thread.
        on_task_failed: told of each task that could not be sent; an error in it breaks the pool.
    """

    def __init__(
        self,
        options: PoolOptions,
        flags: ExecutorFlags,
        processes: WorkerTable,
        workers: int,
        by_value: bool,
    ) -> None:
        self.inherited = False
        self.pending: dict[int, Future[Any]] = {}
        self.processes = processes
        self.flags = flags
        self._options = options
        self._breaks_on_death = options.on_crash == "break"
        self._early: dict[int, tuple[Any, ...]] = {}
        self._over = False
        self._submitting: list[None] = []
        # The objects for many tasks that unfinished tasks need, by task number.
        self._shared: dict[int, Collection[_share.Shared[Any]]] = {}
        self._unpicklable = 0
        self._unpicklable_lock = threading.RLock()
        self._setup_error: BaseException | None = None
        self.on_task_failed: Callable[[object], None] | None = None
        self._mourner = _mourning.Mourner(options)
        self._pickling_lock = threading.RLock() if options.job_reducers else None
        self.ref = weakref.ref(self)
        self._first_number = _lives.count_processes(workers)
        self._environment = _launch.environment_with(options.environment)
        self._pool = Pool(
            max_workers=workers,
            idle_timeout=options.idle_timeout_s,
            on_crash=options.on_crash,
            launcher=options.launcher,
            transport=options.transport,
            executable=sys.executable,
            arguments=_launch.zygote_arguments(options.preload, by_value, options.memory_limit_bytes),
            max_tasks_per_worker=options.max_tasks_per_worker,
            start_timeout=options.start_timeout_s,
            grace=options.grace_s[0],
            terminate_grace=options.grace_s[1],
            environment=list(self._environment.items()),
            capture_stderr=options.capture_stderr,
            memory_limit=options.memory_limit_bytes,
        )
        self.thread = _manager.ManagerThread(self)
        self.begun = False

    def begin(self) -> None:
        """Start the helper process and the manager thread; without them there is no pool.

        An error, or an interrupt at any point, leaves nothing behind; this life cannot be used then.
        """
        try:
            self._pool.prestart()
            _lives.register(self)
            _mourning.prepare()
            self.processes.opened(self._pool, self._first_number)
            self.thread.start()
            self.begun = True
        except BaseException:
            # What the executor shows is from now on about its next life.
            self.processes.closed()
            self.processes, self.flags = WorkerTable(), ExecutorFlags()
            _lives.unregister(self)
            self._pool.shutdown("kill")
            raise

    # Submitting.

    def submit(
        self,
        function: "Any",
        args: "tuple[Any, ...]",
        kwargs: "dict[str, Any]",
        options: "TaskOptions | None" = None,
    ) -> "Future[Any]":
        """Hand a call to the pool; whatever is wrong with the call itself becomes its outcome.

        Raises:
            BrokenProcessPool, ShutdownExecutorError, RuntimeError: the pool takes no more tasks.
        """
        task = None
        picklers = self._pickling_lock or _state.pickler_name or _state.registered_reducers
        if options is None and not kwargs and not picklers:
            try:
                task = self._pool.submit_light(function, args)
            except (PoolClosed, PoolBroken, PoolForked) as refusal:
                raise self.refusal(refusal) from None
        if task is None:
            future = self._submit_any(function, args, kwargs, options)
        else:
            future = Future()
            self._accepted(future, task, _running.label_of(function))
        if self._pool.spawning():
            self.start_workers()
        return future

    def _submit_any(
        self,
        function: "Any",
        args: "tuple[Any, ...]",
        kwargs: "dict[str, Any]",
        options: "TaskOptions | None",
    ) -> "Future[Any]":
        """As `submit`, for a call that only a pickler can encode."""
        future: Future[Any] = Future()
        label = _running.label_of(function)
        if options is not None:
            future._options = options
            if options.soft_memory_limit_bytes is not None:
                from . import _soft_limit

                args, kwargs = (options.soft_memory_limit_bytes, function, args, kwargs), {}
                function = _soft_limit.call
        self._submitting.append(None)
        try:
            end_shares = None
            if _state.shares:
                from . import _share

                end_shares = _share.collect_call()
            encoded: _pickling.Encoded | None = None
            try:
                retry_on = () if options is None else options.retry_on
                encoded = self._encode(function, args, kwargs, retry_on)
            except PicklingError as error:
                with self._unpicklable_lock:
                    self._unpicklable += 1
                self._could_not_be_sent(future, error)
                self._pool.want_workers()
            finally:
                shared = () if end_shares is None else end_shares()
            if encoded is not None:
                self._hand_over(future, *encoded, label, shared)
        finally:
            self._submitting.pop()
        return future

    def _encode(
        self,
        function: "Any",
        args: "tuple[Any, ...]",
        kwargs: "dict[str, Any]",
        retry_on: "tuple[type[BaseException], ...]",
    ) -> "_pickling.Encoded":
        reducers = self._options.job_reducers
        if self._pickling_lock is None:
            return _pickling.encode_task(function, args, kwargs, reducers, retry_on)
        # Reducers may rely on one task being pickled at a time.
        with self._pickling_lock:
            return _pickling.encode_task(function, args, kwargs, reducers, retry_on)

    def _hand_over(
        self,
        future: "Future[Any]",
        stream: bytes,
        buffers: "_pickling.Buffers",
        label: str | None,
        shared: "Collection[_share.Shared[Any]]",
    ) -> None:
        for handle in shared:
            handle.used_by(self)
        try:
            options = future._options
            if options is None:
                task = self._pool.submit(stream, buffers)
            else:
                task = self._pool.submit(stream, buffers, options.native)
                label = options.label or label
        except (PoolClosed, PoolBroken, PoolForked) as refusal:
            raise self.refusal(refusal) from None
        if buffers or len(stream) > _SMALL_BYTES:
            future._sent_bytes = len(stream) + sum(map(len, buffers))
        if shared:
            self._shared[task] = shared
        self._accepted(future, task, label)

    def _accepted(self, future: "Future[Any]", task: int, label: str | None) -> None:
        """The engine has this task."""
        future._pool, future._task, future._label = self.ref, task, label
        # The outcome may be here before the future is known. Both sides put down what they have
        # and then look for the other's; whoever takes the outcome out finishes the future.
        self.pending[task] = future
        if self._early:
            outcome = self._early.pop(task, None)
            if outcome is not None:
                self.pending.pop(task, None)
                self._settle(future, outcome)
        if self._over:
            self._fail_pending()

    def refusal(self, reason: BaseException | None = None) -> BaseException:
        """Why this pool takes no more tasks, as an exception to raise."""
        broken = self.flags.broken
        if broken is not None:
            return _exceptions.fresh_copy(broken)
        if isinstance(reason, PoolBroken):
            # The manager thread, which is told the same, has not come to it yet.
            facts = self._pool.breakage()
            if facts is not None:
                return self._broken_error(facts, None)
            return _exceptions.BrokenProcessPool(str(reason))
        if isinstance(reason, PoolForked):
            return RuntimeError(_exceptions.IN_FORKED_CHILD)
        if _lives.exiting():
            return _exceptions.ShutdownExecutorError(_exceptions.AT_EXIT)
        return _exceptions.ShutdownExecutorError(_exceptions.AFTER_SHUTDOWN)

    def start_workers(self) -> None:
        """Give the engine what it needs to start workers, if it wants any, and wait for their pids."""
        if self._pool.spawning():
            # The manager thread may have been faster.
            if self._pool.setup_wanted():
                self.provide_setup()
            self._pool.wait_spawned()

    def provide_setup(self) -> None:
        """Describe this process to new workers."""
        options = self._options
        try:
            from . import _surroundings

            setup = _surroundings.capture(
                options.environment,
                options.initializer,
                options.initargs,
                options.result_reducers,
                self._first_number,
                options.context,
            )
        except KeyboardInterrupt:
            raise
        except OSError as error:
            if error.errno not in _TRANSIENT:
                self._surroundings_failed(error)
                return
            self._pool.setup_lacks(error.errno)
            return
        except BaseException as error:
            self._surroundings_failed(error)
            return
        _standby.attend(self._pool)
        fresh = _launch.environment_for_exec(self._environment, setup.environment)
        self._pool.provide_setup(setup.blob, setup.descriptors, list(fresh.items()))

    def _surroundings_failed(self, error: BaseException) -> None:
        error.__cause__ = _remote._RemoteTraceback(_remote.describe(error))
        error.__traceback__ = None
        self._setup_error = error
        self._pool.setup_failed()

    # What a future asks.

    def cancel(self, task: int) -> bool:
        """Withdraw a task that has not begun; True: it will never run and has no other outcome."""
        if self.inherited or not self._pool.cancel(task):
            return False
        # The engine does not report this end: the future is finished by whoever cancels.
        self.pending.pop(task, None)
        if self._shared:
            self._shared.pop(task, None)
        return True

    def cancel_by_force(self, task: int, grace_s: float | None) -> bool:
        """End a task, also where it has begun; True: its future can be told that it is cancelled.

        The task stays among the pending ones until it has really ended.
        """
        if self.inherited:
            return False
        return self._pool.cancel_by_force(task, self._options.grace_s[0] if grace_s is None else grace_s)

    def stack(self, task: int) -> str | None:
        """The stacks of the worker that runs the task; None if none does or it writes nothing."""
        return None if self.inherited else self._pool.stack(task)

    def stacks(self) -> dict[int, str]:
        """The stacks of all workers by process id, each under a line that says what it runs."""
        if self.inherited:
            return {}
        return {facts[1]: _running.under_heading(self.pending, *facts) for facts in self._pool.stacks()}

    def statistics(self) -> "PoolStatistics":
        """What the pool has done, and how it stands."""
        from . import _statistics

        counts = None if self.inherited else self._pool.statistics()
        if counts is None:
            raise RuntimeError(_exceptions.IN_FORKED_CHILD)
        return _statistics.from_counts(counts, self._unpicklable)

    def started(self, task: int) -> bool:
        """Whether a worker has begun the task."""
        return not self.inherited and self._pool.started(task)

    def look(self, task: int) -> None:
        """Look for the answer of a task for a moment, where it is likely to come at once.

        Whatever interrupts this at any point, the answer is told: here, or by the manager thread.
        """
        if self._breaks_on_death or self.inherited:
            return  # There, answers are decoded in the manager thread.
        found = self._pool.look(task)
        future = None if found is None else self.pending.get(task)
        answer = None if found is None or future is None else found.payload()
        if found is None or future is None or answer is None:
            return
        try:
            future._finish_payload(*answer)
            found.settled()
            self.pending.pop(task, None)
            self._shared.pop(task, None)
        except BaseException:
            future._finished_decoding()  # Others may wait for it, and have not been told.
            raise

    def answer_unreadable(self, error: BaseException) -> None:
        """An answer could not be decoded: where a death breaks the pool, so does this, as in loky."""
        if self._breaks_on_death and self.flags.broken is None:
            self._break_with(error)

    # What the executor asks.

    def forget_shared(self, name: bytes) -> None:
        """Nobody needs the object of this name any more: the workers drop it.

        Safe in a destructor, as `drain` is.
        """
        if self.inherited or self._over:
            return
        try:
            self._pool.forget(name)
        except (PoolClosed, PoolBroken, PoolForked, RuntimeError):
            pass  # There are no workers any more that keep anything.

    def resize(self, workers: int) -> None:
        """Change the number of workers; returns when it has taken effect or the pool has ended."""
        self._pool.resize(workers)
        if self._pool.setup_wanted():
            self.provide_setup()
        self._pool.wait_resized()

    def drain(self) -> None:
        """Take no more tasks, execute those that are accepted, then end.

        Safe in a destructor, in any thread and at any moment: it takes no lock of Python.
        """
        self.flags.shutdown = True
        if not self.inherited:
            self._pool.shutdown("drain")

    def kill(self) -> None:
        """Take no more tasks, kill the workers and end."""
        self.flags.shutdown = True
        self.flags.kill_workers = True
        if not self.inherited:
            self._pool.shutdown("kill")

    def join(self) -> None:
        """Wait until the pool's life has ended; the manager thread itself does not wait."""
        if self.begun and not self.inherited and threading.current_thread() is not self.thread:
            self.thread.join()

    def cancel_waiting(self, workers: int) -> None:
        """Cancel what has not begun, except what has a worker that is free or on its way."""
        begun = set(self.running())
        spare = workers - len(begun)
        for task, future in list(self.pending.items()):
            if task in begun:
                continue
            spare -= 1
            if spare < 0:
                future.cancel()

    def running(self) -> list[int]:
        """Numbers of the tasks that workers have begun."""
        return [task for task in list(self.pending) if self.started(task)]

    # What the manager thread does.

    def next_batch(self) -> "list[Any] | None":
        """Wait for outcomes. None: the pool's life has ended."""
        return self._pool.next_batch()

    def handle(self, item: "tuple[Any, ...]") -> None:
        """Carry out one item of a batch."""
        match item[0]:
            case "cancelled":
                self._shared.pop(item[1], None)
                future = self.pending.pop(item[1], None)
                if future is not None:
                    future._finish_cancelled()
            case kind if kind in _ENDS:
                task = item[1]
                future = self.pending.pop(task, None)
                if future is None:
                    self._early[task] = item
                    future = self.pending.pop(task, None)
                    if future is None or self._early.pop(task, None) is None:
                        return
                self._settle(future, item)
            case "setup":
                # The thread that submits may have been faster.
                if self._pool.setup_wanted():
                    self.provide_setup()
            case "worker_gone":
                self._worker_gone(*item[1:])
            case "slow":
                _running.tell_slow(self.pending.get(item[1]), *item[2:])
            case "notice":
                self._notice(item[1], item[2])
            case "broke":
                self._broke(item[1])
            case unknown:
                raise RuntimeError(f"the engine reports {unknown!r}, which this version does not know")

    def _settle(self, future: "Future[Any]", item: "tuple[Any, ...]") -> None:
        self._shared.pop(item[1], None)
        match item[0]:
            case "value" | "raised":
                future._finish_payload(item[2], item[0] == "raised")
                if self._breaks_on_death and not future.cancelled():
                    # loky decodes in this thread, and a failure to do so breaks its pool at once.
                    error = future._exception
                    if error is not None and _answers.is_unreadable(error):
                        self.answer_unreadable(error)
            case _:
                try:
                    error = self._error_of(future, item)
                except OSError as lack:
                    error = _exceptions.untold(lack, item[0])
                future._note(error)
                future._finish(None, error)

    def _error_of(self, future: "Future[Any]", item: "tuple[Any, ...]") -> BaseException:
        match item[0]:
            case "died":
                self._mourner.show_stack(item[2])
                return _exceptions.terminated(item[2], future._label)
            case "timed_out":
                return _exceptions.timed_out(item[2], future._label, future._limit_s("timeout_s"))
            case "expired":
                return _exceptions.expired(item[2], future._label, future._limit_s("queue_timeout_s"))
            case "broken":
                return self._broken_error(item[2], future._label)
            case "shutdown":
                return self._shutdown_error()
            case "undeliverable":
                return _exceptions.undeliverable(item[2])
            case unknown:
                raise RuntimeError(f"{unknown!r} is no end of a task")

    def _shutdown_error(self) -> BaseException:
        broken = self.flags.broken
        if broken is not None:
            return _exceptions.fresh_copy(broken)
        return _exceptions.ShutdownExecutorError(_exceptions.KILLED)

    def _broken_error(self, facts: "Mapping[str, Any]", label: str | None) -> BaseException:
        cause = _answers.cause_of_break(facts)
        if cause is None:
            cause = self._setup_error
        return _exceptions.pool_broken(facts, label, self._breaks_on_death, cause)

    def _broke(self, facts: "Mapping[str, Any]") -> None:
        self._mourner.show_stack(facts.get("report") or {})
        self.flags.shutdown = True
        if self.flags.broken is None:
            broken = self._broken_error(facts, None)
            assert isinstance(broken, _exceptions.BrokenProcessPool)
            self.flags.broken = broken

    def _break_with(self, error: BaseException) -> None:
        """Break the pool for a reason that the engine does not know; what is unfinished gets `error`."""
        assert isinstance(error, _exceptions.BrokenProcessPool)
        self.flags.broken = error
        self.flags.shutdown = True
        self._pool.shutdown("kill")

    def _worker_gone(self, pid: int, _index: int, reason: str, facts: "Mapping[str, Any]") -> None:
        self.processes.worker_gone(pid, facts.get("exitcode"))
        self._mourner.buried(facts)
        idles_out = reason == "asked" and self._options.idle_timeout_s is not None
        if idles_out and self._submitting and not self.flags.shutdown:
            # A task that is just being pickled is unknown to the engine but given by the user.
            self._mourner.stopped_with_work()

    def _notice(self, kind: str, detail: object) -> None:
        if kind == "spawn_delayed":
            assert isinstance(detail, int)
            _running.tell_delay(detail)
        elif detail == "memory":
            self._mourner.grew()
        else:
            self._mourner.stopped_with_work()

    def _could_not_be_sent(self, future: "Future[Any]", error: BaseException) -> None:
        try:
            if self.on_task_failed is not None:
                self.on_task_failed(future)
        except Exception as fault:
            broken = _exceptions.BrokenProcessPool(f"{_exceptions.FEEDER_CRASHED} {fault!r}")
            error = _exceptions.with_cause(broken, _remote.describe(fault))
            self._break_with(broken)
        future._note(error)
        future._finish(None, error)

    def crashed(self, error: BaseException) -> None:
        """The manager thread met an error of its own: no future may wait for ever because of it."""
        broken = _exceptions.BrokenProcessPool(f"{_exceptions.MANAGER_CRASHED} {error!r}")
        _exceptions.with_cause(broken, _remote.describe(error))
        self._break_with(broken)
        self._fail_pending()

    def _fail_pending(self) -> None:
        error = self._shutdown_error()
        while self.pending:
            try:
                task, future = self.pending.popitem()
            except KeyError:
                break
            outcome = self._early.pop(task, None)
            if outcome is not None:
                self._settle(future, outcome)
            else:
                future._finish(None, _exceptions.fresh_copy(error))
        self._shared.clear()

    def ended(self) -> None:
        """The engine has delivered everything. Nothing is left to wait for."""
        self.flags.shutdown = True
        # Somebody who has just submitted may not have put the future down yet: he looks for this.
        self._over = True
        self._fail_pending()
        self.processes.closed()
        # What the last words of a worker were to a tracker, nobody has seen any more.
        _standby.start_written()
        _lives.unregister(self)
