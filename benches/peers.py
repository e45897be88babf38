"""The contenders behind one surface. An adapter adds nothing that its pool does not do itself."""

import importlib
import multiprocessing
import multiprocessing.pool
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from concurrent.futures import ProcessPoolExecutor as StandardExecutor
from typing import Any, Protocol


class Answer(Protocol):
    """The promise of a value."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value."""


class Peer(Protocol):
    """What a scenario asks of a pool."""

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Answer:
        """Hand over one task."""

    def map(self, task: Callable[..., Any], items: Iterable[Any], chunksize: int) -> Iterator[Any]:
        """Hand over many."""

    def close(self) -> None:
        """Finish, and wait for the end of all workers."""


class ExecutorPeer:
    """Any pool with the surface of `concurrent.futures`."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Answer:
        """Submit."""
        return self.executor.submit(task, *arguments)

    def map(self, task: Callable[..., Any], items: Iterable[Any], chunksize: int) -> Iterator[Any]:
        """Map."""
        return self.executor.map(task, items, chunksize=chunksize)

    def close(self) -> None:
        """Shut down and wait."""
        self.executor.shutdown(wait=True)


class PoolAnswer:
    """The answer of `multiprocessing.Pool` under the name that futures use."""

    def __init__(self, answer: "multiprocessing.pool.AsyncResult[Any]") -> None:
        self._answer = answer

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value."""
        return self._answer.get(timeout)


class PoolPeer:
    """`multiprocessing.Pool`."""

    def __init__(self, workers: int) -> None:
        self._pool = multiprocessing.Pool(workers)

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Answer:
        """Apply asynchronously."""
        return PoolAnswer(self._pool.apply_async(task, arguments))

    def map(self, task: Callable[..., Any], items: Iterable[Any], chunksize: int) -> Iterator[Any]:
        """Map in order, as the executors do."""
        return self._pool.imap(task, items, chunksize)

    def close(self) -> None:
        """Close and join."""
        self._pool.close()
        self._pool.join()


class PebblePeer:
    """`pebble.ProcessPool`."""

    def __init__(self, workers: int) -> None:
        from pebble import ProcessPool

        self._pool: Any = ProcessPool(max_workers=workers)

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Answer:
        """Schedule."""
        answer: Answer = self._pool.schedule(task, args=arguments)
        return answer

    def map(self, task: Callable[..., Any], items: Iterable[Any], chunksize: int) -> Iterator[Any]:
        """Map in order."""
        results: Iterator[Any] = self._pool.map(task, items, chunksize=chunksize).result()
        return results

    def close(self) -> None:
        """Close and join."""
        self._pool.close()
        self._pool.join()


class MpirePeer:
    """`mpire.WorkerPool`."""

    def __init__(self, workers: int) -> None:
        # By name, because its types do not say that it exports this.
        self._pool: Any = importlib.import_module("mpire").WorkerPool(n_jobs=workers)

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Answer:
        """Apply asynchronously."""
        return PoolAnswer(self._pool.apply_async(task, arguments))

    def map(self, task: Callable[..., Any], items: Iterable[Any], chunksize: int) -> Iterator[Any]:
        """Map in order."""
        results: Iterator[Any] = self._pool.imap(task, items, chunk_size=chunksize)
        return results

    def close(self) -> None:
        """Stop and join."""
        self._pool.stop_and_join()


class JoblibAnswer:
    """The values of one call of `joblib.Parallel`."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def result(self, timeout: float | None = None) -> Any:
        """Give the value, which has been waited for already."""
        del timeout
        return self._values[0]


class JoblibPeer:
    """`joblib.Parallel` with its own copy of loky. It has no `submit`: one task is a call of its own."""

    def __init__(self, workers: int) -> None:
        self._joblib = importlib.import_module("joblib")
        self._workers = workers

    def _parallel(self, chunksize: int | str) -> Any:
        return self._joblib.Parallel(n_jobs=self._workers, backend="loky", batch_size=chunksize)

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Answer:
        """Call with one task and wait."""
        return JoblibAnswer(self._parallel("auto")([self._joblib.delayed(task)(*arguments)]))

    def map(self, task: Callable[..., Any], items: Iterable[Any], chunksize: int) -> Iterator[Any]:
        """Call with all tasks."""
        results: Iterable[Any] = self._parallel(chunksize)(self._joblib.delayed(task)(item) for item in items)
        return iter(results)

    def close(self) -> None:
        """End the pool that it keeps."""
        importlib.import_module("joblib.externals.loky").get_reusable_executor().shutdown(wait=True)


def _loky(workers: int) -> Peer:
    import loky

    return ExecutorPeer(loky.ProcessPoolExecutor(max_workers=workers))


def _standard(method: str) -> Callable[[int], Peer]:
    def start(workers: int) -> Peer:
        context = multiprocessing.get_context(method)
        return ExecutorPeer(StandardExecutor(workers, mp_context=context))

    return start


PEERS: dict[str, Callable[[int], Peer]] = {
    "loky-rs": _loky,
    "loky": _loky,
    "cf-fork": _standard("fork"),
    "cf-forkserver": _standard("forkserver"),
    "cf-spawn": _standard("spawn"),
    "mp-pool": PoolPeer,
    "pebble": PebblePeer,
    "mpire": MpirePeer,
    "joblib": JoblibPeer,
}
IMPORTS = {
    "loky-rs": "from loky import ProcessPoolExecutor",
    "loky": "from loky import ProcessPoolExecutor",
    "cf-fork": "from concurrent.futures import ProcessPoolExecutor",
    "cf-forkserver": "from concurrent.futures import ProcessPoolExecutor",
    "cf-spawn": "from concurrent.futures import ProcessPoolExecutor",
    "mp-pool": "from multiprocessing.pool import Pool",
    "pebble": "from pebble import ProcessPool",
    "mpire": "from mpire import WorkerPool",
    "joblib": "from joblib import Parallel, delayed",
}
ELSEWHERE = ("loky", "joblib")
"""Contenders that live in an environment of their own: one has our import name, one looks for it."""
ONLY = {"joblib": ("start_up", "round_trip", "arrays", "map_auto")}
"""What a contender can do, where it cannot do all: these take one call as a whole, and no single tasks."""
