"""Forks: of the program that owns a pool, and of a worker amid a task."""

import gc
import multiprocessing
import os
import sys
import traceback
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from loky import ProcessPoolExecutor, get_reusable_executor
from tests.faults import tasks
from tests.faults.stage import Stage

LIMIT_S = 10

# In a child of the program that owns the pool.


def _says_so(call: Callable[[], object]) -> None:
    with pytest.raises(RuntimeError, match=r"inherited through os\.fork\(\)") as refusal:
        call()
    assert type(refusal.value) is RuntimeError


def _uses_the_executor(stage: Stage) -> None:
    running = stage.running
    assert running is not None
    _says_so(lambda: stage.executor.submit(tasks.give, 1))
    _says_so(lambda: running.result(LIMIT_S))
    _says_so(lambda: next(stage.executor.map(tasks.give, [1])))
    assert not running.cancel()


def _shuts_the_executor_down(stage: Stage) -> None:
    stage.executor.shutdown(wait=True, kill_workers=True)
    stage.executor.shutdown(wait=True)


def _drops_the_executor(stage: Stage) -> None:
    known = weakref.ref(stage.executor)
    stage._executor = None
    stage.running = None
    stage.waiting = []
    gc.collect()
    assert known() is None


def _makes_pools_of_its_own(_stage: Stage) -> None:
    with ProcessPoolExecutor(1) as executor:
        assert executor.submit(os.getppid).result(LIMIT_S) != os.getpid()
    executor = get_reusable_executor(max_workers=1)
    assert executor.submit(tasks.give, 2).result(LIMIT_S) == 2
    executor.shutdown(wait=True, kill_workers=True)


def _exits_as_a_program_does(stage: Stage) -> NoReturn:
    _uses_the_executor(stage)
    sys.exit(0)


def _uses_the_executor_under_multiprocessing(stage: Stage) -> None:
    _uses_the_executor(stage)


CHECKS = {
    "uses-the-executor": _uses_the_executor,
    "shuts-the-executor-down": _shuts_the_executor_down,
    "drops-the-executor": _drops_the_executor,
    "makes-pools-of-its-own": _makes_pools_of_its_own,
    "exits-as-a-program-does": _exits_as_a_program_does,
    "of-multiprocessing-uses-the-executor": _uses_the_executor_under_multiprocessing,
}


def status_of_child(check: Callable[[Stage], None], stage: Stage) -> int:
    """Run a check in a forked child, and give its exit status."""
    if check is _uses_the_executor_under_multiprocessing:
        process = multiprocessing.get_context("fork").Process(target=check, args=(stage,))
        process.start()
        process.join(LIMIT_S)
        return process.exitcode if process.exitcode is not None else -1
    child = os.fork()
    if child == 0:
        try:
            check(stage)
        except SystemExit:
            raise
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# In a worker.


def _fork_and(act: Callable[[], Any]) -> Callable[[str], Any]:
    def task(folder: str) -> Any:
        child = os.fork()
        if child == 0:
            return act()
        tasks.tell(folder, "forked", child)
        return "the worker's"

    return task


def _raise_error() -> NoReturn:
    raise ValueError("in the child")


WAYS: dict[str, Any] = {
    "dies-at-once": _fork_and(lambda: os._exit(0)),
    "is-killed": _fork_and(os.abort),
    "returns-from-the-task": _fork_and(lambda: "the child's"),
    "raises-from-the-task": _fork_and(_raise_error),
    "calls-sys-exit": _fork_and(lambda: sys.exit(0)),
    "lives-on": _fork_and(tasks.wait_for_ever),
}


def have_children_and_wait(folder: str) -> NoReturn:
    from tests.faults.parents import have_children, hold_line

    hold_line(folder)
    have_children(folder)
    tasks.tell(folder, "complete")
    tasks.wait_for_ever()
