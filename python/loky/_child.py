"""The programs that run in the family's other processes: the helper that forks, and the worker.

Imported by the command lines of `_launch` and nowhere in the parent. It imports as little as it
can: every worker carries what stands here, and every start waits for it. `cloudpickle`,
`multiprocessing` and `traceback` come in only when a task needs them.
"""

import _signal  # type: ignore[import-not-found]  # `signal` would import enum into every worker
import faulthandler
import gc
import os
import sys
import time

from . import _launch, _native, _pickling, _remote, _soft_limit, _state, _world  # noqa: F401  # `_soft_limit`: for later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from ._native import Seed, Worker
    from ._world import Setup

_LEAVES_FOR_MEMORY = 1

_QUEUES_WRITTEN_S = 1.0
"""How long a worker whose initializer has failed goes on writing its queues."""


def zygote_main(
    preload: tuple[str, ...],
    path: list[str],
    with_cloudpickle: bool,
    group: str | None = None,
    group_limit: int = 0,
) -> None:
    """The helper: fork a worker whenever the engine asks for one; end with the parent.

    Args:
        preload: modules to import before the first fork.
        path: where to look for them: the parent's `sys.path`.
        with_cloudpickle: import `cloudpickle` before the first fork.
        group: folder of a memory cgroup below which each worker gets one, or None.
        group_limit: what the processes of one worker may have, in bytes.
    """
    _read_nothing_from_stdin()
    parent_pid, control = (int(number) for number in sys.argv[-2:])
    zygote = _native.Zygote(control, parent_pid, _launch.worker_command(), group, group_limit)
    if with_cloudpickle:
        _import_quietly("loky._by_value")
    _preload(preload, path)
    # What is here now is shared with all workers; their collectors need not look at it, and not
    # touching it keeps the pages shared.
    gc.disable()
    gc.collect()
    gc.freeze()
    setups = Setups()
    while True:
        order = zygote.next()
        if order[0] == "fork":
            seed = order[1]
            setup = setups.of(seed)
            try:
                pid = os.fork()
            except OSError as error:
                zygote.fork_failed(seed, error.errno or 0)
                continue
            if pid == 0:
                _run_forked(zygote, seed, setup)
            zygote.forked(seed, pid)
            del seed
        elif order[0] == "preload":
            _preload(tuple(order[1].decode().split()), path)
        else:
            os._exit(order[1])
        del order


class Setups:
    """What the helper does once for all workers that are to have the same surroundings.

    What every worker would read, decode and write into its environment for itself lies in pages that
    all of them share instead.
    """

    def __init__(self) -> None:
        self._stream: bytes | None = None
        self._setup: Setup | None = None

    def of(self, seed: "Seed") -> "Setup | None":
        """The setup of a worker that is to be forked; None where the worker has to see to it itself."""
        try:
            stream = seed.setup()
            if stream != self._stream:
                self._stream = None
                self._setup = _pickling.decode(stream)
                _world.enter_environment(self._setup["environment"])
                self._stream = stream
                gc.freeze()
        except (OSError, MemoryError):
            return None  # The worker will say what is lacking if it is lacking there, too.
        return self._setup


def _import_quietly(name: str) -> None:
    try:
        __import__(name)
    except Exception:
        pass  # The worker that needs it will say why it cannot be had.


def _preload(names: tuple[str, ...], path: list[str]) -> None:
    if not names:
        return
    own_path = sys.path[:]
    sys.path[:] = [directory or os.getcwd() for directory in path]
    for name in names:
        try:
            __import__(name)
        except Exception as error:
            sys.stderr.write(f"loky: preload={name!r} failed in the helper process:\n")
            sys.stderr.write(_remote.describe(error))
    sys.path[:] = own_path
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # Or each worker would write the same text again at its end.


def _read_nothing_from_stdin() -> None:
    """Descriptor 0 becomes the null device, so that no worker competes for the user's input."""
    null = os.open(os.devnull, os.O_RDONLY)
    if null != 0:
        os.dup2(null, 0)
        os.close(null)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115


def executed_main() -> None:
    """A worker that was started by executing a fresh interpreter."""
    _read_nothing_from_stdin()
    numbers = [int(number) for number in sys.argv[2:]]
    _run_to_the_end(_begin_undisturbed(lambda: _native.worker_from_exec(*numbers)))


def _run_forked(zygote: "Any", seed: "Seed", setup: "Setup | None") -> "NoReturn":
    try:
        worker = _begin_undisturbed(lambda: zygote.become_worker(seed))
    except BaseException as error:
        _print_error(error)
        os._exit(1)
    gc.enable()
    _run_to_the_end(worker, setup)


def _begin_undisturbed(begin: "Callable[[], Worker]") -> "Worker":
    """Become a worker; it goes on ignoring interrupts until it can take them without harm."""
    interrupt = (_signal.SIGINT,)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, interrupt)
    worker = begin()
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, interrupt)
    return worker


def _print_error(error: BaseException) -> None:
    try:
        sys.stderr.write(_remote.describe(error))
        sys.stderr.flush()
    except BaseException:
        pass  # There is no one to tell.


def _run_to_the_end(worker: "Worker", setup: "Setup | None" = None) -> "NoReturn":
    """Work until told to leave, then end the process; nothing may return to the helper's loop."""
    status = 1
    try:
        on_interrupt = _start(worker, setup or _pickling.decode(worker.setup()))
        if on_interrupt is not None:
            serve(worker, on_interrupt)
        status = 0
    except BaseException as error:
        _print_error(error)
    finally:
        try:
            _leave_cleanly()
        finally:
            os._exit(status)


def _leave_cleanly() -> None:
    """What a finishing interpreter does: threads, multiprocessing's finalizers, `atexit`, streams.

    Pools that were opened inside this worker are drained by the first step. An interrupt ends the
    step that it meets and nothing more.
    """
    for step in (_join_threads, _finalize_multiprocessing, _run_exit_handlers, _flush_streams):
        try:
            step()
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            _print_error(error)


def _join_threads() -> None:
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()


def _finalize_multiprocessing() -> None:
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._exit_function()


def _run_exit_handlers() -> None:
    import atexit

    atexit._run_exitfuncs()


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass  # Closed, or its reader is gone.


def _start(worker: "Worker", setup: "Setup") -> "Any":
    """Set the stage and run the initializer.

    Gives what an interrupt is to do from now on; None if the initializer failed, which has been
    reported. An interrupt is ignored meanwhile, except by the initializer.
    """
    _world.enter(setup, worker.worker_id)
    on_interrupt: Any = _signal.SIG_IGN if setup["ignores_interrupt"] else _signal.default_int_handler
    if "PYTHONFAULTHANDLER" not in os.environ:
        faulthandler.enable(worker.stack_fd())
    # Written by the handler itself, without the interpreter: a task that holds its lock is seen, too.
    faulthandler.register(_native.STACK_SIGNAL, worker.stack_fd(), all_threads=True)
    worker.keep_last_words()
    try:
        if setup["reducers"] is not None:
            _state.result_reducers = _pickling.decode(setup["reducers"])
        _world.import_main(setup["main"])
        if setup["initializer"] is not None:
            initializer, arguments = _decode_while_spawning(setup["initializer"])
            _signal.signal(_signal.SIGINT, on_interrupt)
            initializer(*arguments)
            # It may have chosen another handler.
            on_interrupt = _signal.signal(_signal.SIGINT, _signal.SIG_IGN) or _signal.SIG_DFL
            del initializer, arguments
    except BaseException as error:
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        _report_initializer(worker, error)
        return None
    worker.ready()
    return on_interrupt


def _decode_while_spawning(stream: bytes) -> "Any":
    """Decode what was pickled for inheritance: multiprocessing's objects look for this mark."""
    if b"multiprocessing" not in stream:
        return _pickling.decode(stream)
    from multiprocessing import process as module

    process: Any = module.current_process()
    process._inheriting = True
    try:
        return _pickling.decode(stream)
    finally:
        del process._inheriting


def _report_initializer(worker: "Worker", error: BaseException) -> None:
    import logging

    text = _remote.describe(_without_own_frame(error))
    logging.getLogger("concurrent.futures").critical("Exception in initializer:\n%s", text)
    _let_queues_be_written()
    worker.initializer_failed(_pickling.encode_exception(error, text))


def _let_queues_be_written() -> None:
    """What was put into multiprocessing's queues, such as a log of this very error, is written.

    The report breaks the pool, which kills this worker. What hangs is not waited for.
    """
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        import threading

        writer = threading.Thread(target=util._exit_function, daemon=True)
        writer.start()
        writer.join(_QUEUES_WRITTEN_S)


def _without_own_frame(error: BaseException) -> BaseException:
    """Drop this module's frame from the head of the traceback: the user's code begins below."""
    if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
        error.__traceback__ = error.__traceback__.tb_next
    return error


class _Desk:
    """The task in hand. A Ctrl-C may come between any two instructions; what stands here says how
    far the task had got, so that no task runs twice and none stays without an answer."""

    def __init__(self, on_interrupt: "Any") -> None:
        self.on_interrupt = on_interrupt
        self.pid = os.getpid()
        self.begun: tuple[int, int] | None = None
        self.answer: tuple[bool, bytes, Any, bool] | None = None
        self.watch = _MemoryWatch()

    def take_interrupts(self) -> None:
        """From now on an interrupt does what it is meant to do."""
        if self.on_interrupt is not None:
            _signal.signal(_signal.SIGINT, self.on_interrupt)
            self.on_interrupt = None

    def turn(self, worker: "Worker") -> bool:
        """Wait for a task, do it and answer; False when this worker is to leave."""
        turn = worker.next()
        if turn[0] == "gone" or turn[0] == "leave":
            return False
        if turn[0] == "forget":
            kept: Any = sys.modules.get("loky._kept")
            if kept is not None:
                kept.forget(turn[1])
            return True
        if turn[0] == "lost":
            _, task, attempt, errno = turn
            lost = OSError(errno, f"the data of the task did not arrive: {os.strerror(errno)}")
            worker.reply(task, attempt, True, _pickling.encode_exception(lost), [])
            return True
        task, attempt = turn[1], turn[2]
        if self.begun != (task, attempt):
            self.answer = None
            self.begun = (task, attempt)
            self.answer = _perform(turn[3], turn[4], self.pid)
        elif self.answer is None:
            # Interrupted outside the task's own code: the task had begun and is not run again.
            self.answer = True, _pickling.encode_exception(KeyboardInterrupt()), [], False
        del turn
        self._reply(worker, task, attempt, *self.answer)
        self.answer = None
        if self.watch.grown():
            worker.leaving(_LEAVES_FOR_MEMORY)
            return False
        return True

    def _reply(
        self,
        worker: "Worker",
        task: int,
        attempt: int,
        raised: bool,
        stream: bytes,
        buffers: "Any",
        retry_wanted: bool,
    ) -> None:
        try:
            worker.reply(task, attempt, raised, stream, buffers, retry_wanted)
        except OSError as error:
            # There is no room for a large answer; a small one that says so needs none.
            self.answer = True, _pickling.encode_exception(_without_own_frame(error)), [], False
            worker.reply(task, attempt, *self.answer)


def serve(worker: "Worker", on_interrupt: "Any") -> None:
    """Do tasks until the pool wants no more. An interrupt of an idle worker changes nothing.

    Args:
        on_interrupt: the handler of Ctrl-C, which is ignored until here.
    """
    desk = _Desk(on_interrupt)
    while True:
        # Twice, because a second interrupt may arrive in the handler of the first.
        try:
            _serve_until_interrupted(worker, desk)
            return
        except KeyboardInterrupt:
            continue


def _serve_until_interrupted(worker: "Worker", desk: _Desk) -> None:
    while True:
        try:
            desk.take_interrupts()
            while desk.turn(worker):
                pass
            return
        except KeyboardInterrupt:
            continue


def _perform(stream: "Any", buffers: "Any", pid: int) -> "tuple[bool, bytes, Any, bool]":
    """Run a task. Its arguments and its result are dropped when this returns.

    Args:
        pid: the number of the worker, which a process that the task forks does not have.
    """
    try:
        call = _pickling.decode_task(stream, buffers)
        retry_on = call[3] if len(call) > 3 else ()
        function, args, kwargs = call[:3]
        del call
    except KeyboardInterrupt as error:
        return True, _pickling.encode_exception(_without_own_frame(error)), [], False
    except BaseException as error:
        return True, _pickling.encode_unreadable_task(_without_own_frame(error)), [], False
    try:
        result = function(*args, **kwargs)
        if os.getpid() != pid:
            _leave_as_fork(None)
        del function, args, kwargs
        encoded = _pickling.encode_result(result)
        return False, *encoded, False
    except BaseException as error:
        if os.getpid() != pid:
            _leave_as_fork(error)
        answer = _pickling.encode_exception(_without_own_frame(error))
        error.__traceback__ = None  # Its frames hold the task's arguments.
        return True, answer, [], isinstance(error, retry_on)


def _leave_as_fork(error: BaseException | None) -> "NoReturn":
    """The end of a process that a task forked and that came back from the task as well.

    The task has one answer, which is the worker's; this process ends as a program would.
    """
    status = 0
    if isinstance(error, SystemExit):
        code = error.code
        status = code if isinstance(code, int) else int(code is not None)
    elif error is not None:
        _print_error(error)
        status = 1
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status & 0xFF)


class _MemoryWatch:
    """Notices that the process keeps growing from task to task.

    The limits are looked up each time, because a task may set them in `loky.process_executor`.
    """

    def __init__(self) -> None:
        self._reference_bytes: int | None = None
        self._checked_s = 0.0
        self._limit_bytes = _state.memory_growth_limit_bytes(os.environ.get("LOKY_MAX_MEMORY_LEAK_SIZE"))

    def grown(self) -> bool:
        """Whether this worker has grown past its limit since its first task."""
        now_s = time.monotonic()
        values: Any = sys.modules.get("loky.process_executor")
        interval_s = 1.0 if values is None else values._MEMORY_LEAK_CHECK_DELAY
        if self._reference_bytes is not None and now_s - self._checked_s < interval_s:
            return False
        self._checked_s = now_s
        if self._reference_bytes is None:
            gc.collect()
            self._reference_bytes = self._resident_bytes()
            return False
        limit_bytes = self._limit_bytes
        if values is not None:
            if not values._USE_PSUTIL:
                gc.collect()
                return False
            limit_bytes = values._MAX_MEMORY_LEAK_SIZE
        if self._resident_bytes() - self._reference_bytes < limit_bytes:
            return False
        gc.collect()
        return self._resident_bytes() - self._reference_bytes >= limit_bytes

    def _resident_bytes(self) -> int:
        """What is resident, without the objects that are kept for many tasks."""
        kept: Any = sys.modules.get("loky._kept")
        return _state.resident_bytes() - (0 if kept is None else kept.kept_bytes())
