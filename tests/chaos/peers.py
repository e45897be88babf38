"""The contenders of the campaign behind one surface. An adapter adds nothing that its pool does not do.

What a pool cannot do it does not have here: `cancel` answers None where there is no such thing.
"""

import multiprocessing
import multiprocessing.pool
from collections.abc import Callable
from concurrent.futures import CancelledError, ProcessPoolExecutor
from typing import Any, Protocol

WORKERS = 3


class Peer(Protocol):
    """What the campaign asks of a pool."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Hand over a task; a handle of it."""

    def is_done(self, handle: Any) -> bool:
        """Whether it has an end."""

    def outcome(self, handle: Any) -> Any:
        """Its value; what it ended with is raised."""

    def cancel(self, handle: Any) -> bool | None:
        """Withdraw it; whether that was granted."""

    def workers(self) -> list[int]:
        """The process ids of the workers."""

    def close(self) -> None:
        """Finish what was accepted, and wait for the end of the workers."""

    def abandon(self) -> None:
        """End at once, by what the pool has for that."""


class ExecutorPeer:
    """Any pool with the surface of `concurrent.futures`."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Submit."""
        return self._executor.submit(function, *arguments)

    def is_done(self, handle: Any) -> bool:
        """Ask the future."""
        done: bool = handle.done()
        return done

    def outcome(self, handle: Any) -> Any:
        """Ask the future."""
        return handle.result(0)

    def cancel(self, handle: Any) -> bool | None:
        """Ask the future."""
        granted: bool = handle.cancel()
        return granted

    def workers(self) -> list[int]:
        """The table of processes that all of them have."""
        return list(self._executor._processes or ())

    def close(self) -> None:
        """Shut down and wait."""
        self._executor.shutdown(wait=True)

    def abandon(self) -> None:
        """Shut down without waiting."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class PoolPeer:
    """`multiprocessing.Pool`, which cannot cancel."""

    def __init__(self) -> None:
        self._pool = multiprocessing.Pool(WORKERS)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Apply asynchronously."""
        return self._pool.apply_async(function, arguments)

    def is_done(self, handle: Any) -> bool:
        """Ask the answer."""
        ready: bool = handle.ready()
        return ready

    def outcome(self, handle: Any) -> Any:
        """Ask the answer."""
        return handle.get(0)

    def cancel(self, handle: Any) -> bool | None:
        """There is no such thing."""
        return None

    def workers(self) -> list[int]:
        """The processes of the pool."""
        return [process.pid for process in list(self._pool._pool)]  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close and join."""
        self._pool.close()
        self._pool.join()

    def abandon(self) -> None:
        """Terminate."""
        self._pool.terminate()


class PebblePeer(ExecutorPeer):
    """`pebble.ProcessPool`; its cancellation ends what has begun, too."""

    def __init__(self) -> None:
        from pebble import ProcessPool

        super().__init__(ProcessPool(max_workers=WORKERS))

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Schedule."""
        return self._executor.schedule(function, args=arguments)

    def workers(self) -> list[int]:
        """The processes of its manager."""
        return list(self._executor._pool_manager.worker_manager.workers)

    def close(self) -> None:
        """Close and join."""
        self._executor.close()
        self._executor.join()

    def abandon(self) -> None:
        """Stop."""
        self._executor.stop()
        self._executor.join(5)


class LokyPeer(ExecutorPeer):
    """loky, and this package under its name."""

    def __init__(self) -> None:
        import loky

        super().__init__(loky.ProcessPoolExecutor(max_workers=WORKERS))

    def abandon(self) -> None:
        """Shut down with the workers killed."""
        self._executor.shutdown(wait=False, kill_workers=True)


def _standard(method: str) -> Callable[[], Peer]:
    def start() -> Peer:
        context = multiprocessing.get_context(method)
        return ExecutorPeer(ProcessPoolExecutor(WORKERS, mp_context=context))

    return start


PEERS: dict[str, Callable[[], Peer]] = {
    "loky-rs": LokyPeer,
    "loky": LokyPeer,
    "concurrent.futures, fork": _standard("fork"),
    "concurrent.futures, forkserver": _standard("forkserver"),
    "concurrent.futures, spawn": _standard("spawn"),
    "multiprocessing.Pool": PoolPeer,
    "pebble": PebblePeer,
}
ELSEWHERE = ("loky",)
"""Contenders with our import name, which live in an environment of their own."""

__all__ = ["ELSEWHERE", "PEERS", "CancelledError", "Peer"]
