"""Typed uses of the package: a strict checker must accept them and know their types. Never run."""

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import assert_type

import loky
import loky.joblib
from loky import (
    BrokenProcessPool,
    Future,
    PoolStatistics,
    ProcessPoolExecutor,
    TerminatedWorkerError,
    as_completed,
    cpu_count,
    get_reusable_executor,
    set_loky_pickler,
    wait,
    wrap_non_picklable_objects,
)


def power(base: int, exponent: float = 2.0, *, exact: bool = False) -> float:
    """A task."""
    return float(base) if exact else base * exponent


def name(value: int) -> str:
    """Another one."""
    return str(value)


def submit_keeps_parameters_and_result(executor: ProcessPoolExecutor) -> None:
    """The wrong calls are marked; a checker that did not see them would complain of the marks."""
    assert_type(executor.submit(power, 2, exact=True), Future[float])
    assert_type(executor.submit(name, 3).result(), str)
    assert_type(executor.submit(lambda: [1]).result(timeout=1.0), list[int])
    executor.submit(power, "2")  # type: ignore[arg-type]
    executor.submit(power, 2, unknown=1)  # type: ignore[call-arg]
    executor.submit(name)  # type: ignore[call-arg]


def map_keeps_the_result(executor: ProcessPoolExecutor) -> Iterator[str]:
    """What `map` yields is what the function returns."""
    results = executor.map(name, range(3), timeout=1.0, chunksize=2, buffersize=4)
    assert_type(results, Iterator[str])
    return results


def an_executor_is_one_of_the_standard_library(executor: Executor) -> Executor:
    """Either kind goes where an `Executor` is wanted."""
    with get_reusable_executor(2, timeout=None, reuse=True, env={"A": 1}) as reusable:
        assert_type(reusable.submit(name, 1), Future[str])
    del executor
    return ProcessPoolExecutor(
        max_workers=cpu_count(only_physical_cores=True), initializer=print, initargs=(1,)
    )


def futures(executor: ProcessPoolExecutor) -> list[str]:
    """Waiting keeps the types; errors carry their report."""
    submitted = [executor.submit(name, number) for number in range(3)]
    done, _ = wait(submitted, timeout=1.0, return_when=loky.FIRST_EXCEPTION)
    try:
        return [future.result() for future in as_completed(done)]
    except TerminatedWorkerError as error:
        if error.report is not None:
            print(error.report.pid)
        raise
    except BrokenProcessPool:
        return []
    finally:
        executor.shutdown(wait=False, kill_workers=True, cancel_futures=True)


def the_rest() -> None:
    """Functions without a pool."""
    loky.joblib.install()
    set_loky_pickler("pickle")
    assert_type(cpu_count(), int)
    wrap_non_picklable_objects(name, keep_wrapper=False)


def statistics(executor: ProcessPoolExecutor) -> int:
    """Counts are integers, by name."""
    seen = executor.statistics()
    assert_type(seen, PoolStatistics)
    return seen.tasks_submitted - sum(seen.failures.values())
