"""Who waits for one short task after the other, and is interrupted while he does."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait

import pytest

from tests.support.pools import Make

ROUNDS = 3000
WAIT_S = 60


class Tick(KeyboardInterrupt):
    """What the alarm raises, wherever the main thread is."""


@pytest.fixture
def ticks() -> Iterator[None]:
    """Has an alarm interrupt the main thread again and again."""

    def raise_tick(number: int, frame: object) -> None:
        raise Tick

    before = signal.signal(signal.SIGALRM, raise_tick)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_one_task_after_the_other_gives_each_its_own_value(pool: Make) -> None:
    executor = pool(2)
    assert [executor.submit(abs, -item).result() for item in range(ROUNDS)] == list(range(ROUNDS))


def test_threads_that_wait_for_tasks_of_one_pool_get_their_own_values(pool: Make) -> None:
    executor = pool(2)
    wrong: list[int] = []

    def ask(first: int) -> None:
        items = range(first, first + ROUNDS // 4)
        wrong.extend(item for item in items if executor.submit(abs, -item).result() != item)

    threads = [threading.Thread(target=ask, args=(first,)) for first in (0, 10_000, 20_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)


def test_an_interrupt_at_any_point_of_a_wait_loses_no_answer(pool: Make, ticks: None) -> None:
    executor = pool(1)
    struck = 0
    futures: list[Future[int]] = []
    for item in range(ROUNDS):
        future = executor.submit(abs, -item)
        futures.append(future)
        try:
            try:
                # Short enough to strike while the answer is found and told.
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + item % 60))
                future.result()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Tick:
            struck += 1
    assert struck > ROUNDS // 20, f"only {struck} waits were interrupted"
    assert not wait(futures, WAIT_S).not_done
    assert [future.result() for future in futures] == list(range(ROUNDS))
