"""The thread that finishes a pool's futures. It owns nothing: what it does stands in the pool's life."""

import threading

from ._base import LOGGER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._pool import PoolLife


class ManagerThread(threading.Thread):
    """Finishes futures as their outcomes arrive, and runs their callbacks. Ends with its pool."""

    def __init__(self, life: "PoolLife") -> None:
        super().__init__(name="ExecutorManagerThread", daemon=False)
        self._life: PoolLife | None = life
        self._held: list[Any] | None = None
        self._over = threading.Event()

    def run(self) -> None:
        """Carry out what the engine reports until the pool's life has ended."""
        life = self._life
        assert life is not None
        try:
            self._work(life)
        except BaseException as error:
            LOGGER.critical("Exception in executor manager thread:", exc_info=error)
            life.crashed(error)
            self._drain(life)
        finally:
            life.ended()
            self._life = None
            self._over.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the pool's life has ended, at most `timeout` seconds.

        An interrupted `join` of the base class may take the thread for ended, so it is called only
        when there is nothing more to wait for.
        """
        if threading.current_thread() is not self and self.is_alive() and not self._over.wait(timeout):
            return
        super().join(timeout)

    def wait_result_broken_or_wakeup(self) -> "list[Any] | None":
        """Wait for outcomes. Looked up at each step, under the name that loky gives it."""
        held, self._held = self._held, None
        if held is not None:
            return held
        life = self._life
        return None if life is None else life.next_batch()

    def _work(self, life: "PoolLife") -> None:
        while True:
            replaced = vars(self).get("wait_result_broken_or_wakeup")
            batch = self.wait_result_broken_or_wakeup()
            if batch is None:
                return
            if vars(self).get("wait_result_broken_or_wakeup") is not replaced:
                # A program has put its own in place meanwhile: that one decides what becomes of these.
                self._held = batch
                continue
            batch.reverse()
            while batch:
                # Taken out one by one: nothing may hold an answer longer than its future.
                life.handle(batch.pop())

    @staticmethod
    def _drain(life: "PoolLife") -> None:
        """Let the engine come to its end although nobody listens any more."""
        try:
            while life.next_batch() is not None:
                life._fail_pending()
        except BaseException:
            pass  # The engine itself is what failed; `ended` finishes what is left.
