"""Cancelling a task that has begun: it ends, its future is cancelled, and nothing else happens."""

import asyncio
import time

import pytest

from loky import CancelledError
from tests.options import jobs
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually, is_running


def test_force_ends_a_task_that_holds_the_interpreters_lock(pool, gate):
    executor = pool(1)
    future = executor.submit(jobs.hold_the_lock, gate.folder)
    gate.wait_begun()
    assert not future.cancel()
    assert future.cancel(force=True, grace=0.1)
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result()
    assert executor.submit(tasks.identity, 1).result() == 1


def test_a_task_that_lets_go_costs_no_worker(pool, gate):
    executor = pool(1)
    worker = executor.submit(tasks.pid).result()
    future = executor.submit(jobs.sleep_on, gate.folder, 60)
    gate.wait_begun()
    assert future.cancel(force=True)
    assert executor.submit(tasks.pid).result() == worker


def test_only_the_one_task_ends(pool, gate, tmp_path):
    executor = pool(2)
    other = executor.submit(pass_gate, gate.folder, 1)
    victim = executor.submit(jobs.hold_the_lock, gate.folder)
    gate.wait_begun(2)
    marks = [str(tmp_path / f"{number}") for number in range(20)]
    waiting = [executor.submit(jobs.record, mark) for mark in marks]
    assert victim.cancel(force=True, grace=0)
    gate.open()
    assert other.result() == 1
    assert [future.result() for future in waiting] == [None] * 20
    assert [jobs.runs(mark) for mark in marks] == [1] * 20


def test_a_task_that_has_not_begun_never_runs(pool, gate, tmp_path):
    executor = pool(1)
    running = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    mark = str(tmp_path / "mark")
    waiting = executor.submit(jobs.record, mark)
    assert waiting.cancel(force=True)
    gate.open()
    running.result()
    executor.shutdown()
    assert jobs.runs(mark) == 0


def test_it_is_not_tried_again(pool, gate, tmp_path):
    executor = pool(1)
    mark = str(tmp_path / "mark")
    future = executor.options(retries=5).submit(jobs.record_and_wait, mark, gate.folder)
    gate.wait_begun()
    assert future.cancel(force=True, grace=0)
    executor.shutdown()
    assert jobs.runs(mark) == 1


def test_a_finished_task_cannot_be_cancelled_by_force(pool):
    future = pool(1).submit(tasks.identity, 1)
    future.result()
    assert not future.cancel(force=True)


def test_the_pool_waits_for_the_end_of_what_was_cancelled(pool, gate):
    executor = pool(1)
    future = executor.submit(jobs.ignore_interrupts, gate.folder, 60)
    (worker,) = gate.wait_begun()
    assert future.cancel(force=True, grace=0.2)
    executor.shutdown()
    assert not is_running(worker)


def test_a_task_of_asyncio_can_be_told_to_end_the_call(pool, gate):
    executor = pool(1)

    async def cancel_it() -> None:
        future = executor.submit(jobs.hold_the_lock, gate.folder).force_on_cancel(grace=0.1)
        waiter = asyncio.ensure_future(asyncio.wrap_future(future))
        await asyncio.to_thread(gate.wait_begun)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        eventually(future.cancelled)

    asyncio.run(cancel_it())
    assert executor.submit(tasks.identity, 1).result() == 1


def test_a_closed_map_cancels_the_rest(pool, gate):
    executor = pool(1)
    results = executor.options(label="mapped").map(pass_gate, [gate.folder] * 10)
    gate.wait_begun()
    gate.let_pass()
    next(results)
    gate.wait_begun()
    results.close()
    gate.open()
    executor.shutdown()
    assert gate.nobody_begins()


def test_a_storm_of_interrupts_hits_no_other_task(pool):
    """Tasks that end just when they are cancelled, so that interrupts are late; others must not see them."""
    executor = pool(2)
    executor.submit(tasks.identity, 0).result()
    ends_s = time.monotonic() + 3
    while time.monotonic() < ends_s:
        victims = [executor.submit(jobs.sleep, 0.001) for _ in range(4)]
        others = [executor.submit(jobs.sleep, 0.0005) for _ in range(8)]
        for victim in victims:
            victim.cancel(force=True, grace=5)
        assert [other.result() for other in others] == [0.0005] * 8
