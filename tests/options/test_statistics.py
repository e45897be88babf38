"""`executor.statistics()` says what has happened, at any moment of the pool's life."""

import dataclasses
import json
import os
import random

import loky
from tests.options import jobs
from tests.support import tasks
from tests.support.gates import pass_gate
from tests.support.waiting import eventually


def assert_each_task_has_one_place(seen):
    places = (
        seen.tasks_finished,
        seen.tasks_failed,
        seen.tasks_cancelled,
        seen.tasks_running,
        seen.tasks_waiting,
    )
    assert seen.tasks_submitted == sum(places), seen
    assert min(places) >= 0, seen
    assert seen.tasks_failed == sum(seen.failures.values()), seen


def test_nothing_is_started_before_the_first_task(pool):
    executor = pool(2)
    assert executor.statistics() == loky.PoolStatistics()
    assert dict(executor._processes) == {}  # noqa: SLF001  # what programs read


def test_waiting_and_running_and_finished_tasks(pool, gate):
    executor = pool(2)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(5)]
    gate.wait_begun(2)
    seen = executor.statistics()
    assert (seen.tasks_submitted, seen.tasks_running, seen.tasks_waiting) == (5, 2, 3)
    assert (seen.workers_alive, seen.workers_started) == (2, 2)
    gate.open()
    for future in futures:
        future.result()
    seen = executor.statistics()
    assert (seen.tasks_finished, seen.tasks_running, seen.tasks_waiting) == (5, 0, 0)
    executor.shutdown()
    seen = executor.statistics()
    assert (seen.tasks_finished, seen.workers_alive, seen.workers_started) == (5, 0, 2)
    assert (seen.failures, seen.workers_lost) == ({}, {})


def test_each_kind_of_failure(pool, tmp_path):
    executor = pool(1)
    executor.submit(tasks.identity, 0).result()
    ends = [
        executor.submit(int, "seven"),
        executor.submit(lambda: (step for step in ())),
        executor.submit(tasks.identity, (step for step in ())),
        executor.submit(os._exit, 3),
        executor.options(retries=2).submit(jobs.die, str(tmp_path / "runs")),
        executor.options(timeout=0.1).submit(jobs.sleep, 60),
        executor.options(timeout=0.1).submit(jobs.hold_the_lock),
    ]
    for future in ends:
        assert future.exception() is not None
    seen = executor.statistics()
    assert seen.failures == {"raised": 2, "unpicklable": 1, "died": 2, "timeout": 2}
    assert (seen.tasks_finished, seen.tasks_failed, seen.tasks_retried) == (1, 7, 2)
    # On a busy machine the task that could let go may not have done so in time.
    late = seen.workers_lost["timeout"]
    assert late in (1, 2)
    assert seen.workers_lost == {"exit": 1, "signal": 3, "timeout": late}
    assert eventually(lambda: executor.statistics().workers_restarted == 4 + late)
    assert_each_task_has_one_place(seen)
    assert json.loads(json.dumps(seen.as_dict())) == dataclasses.asdict(seen)


def test_cancelled_and_expired_tasks(pool, gate):
    executor = pool(1)
    running = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    waiting = [executor.submit(tasks.identity, number) for number in range(3)]
    assert all(future.cancel() for future in waiting)
    late = executor.options(queue_timeout=0.1).submit(tasks.identity, 1)
    assert late.exception() is not None
    assert running.cancel(force=True)
    assert eventually(lambda: executor.statistics().tasks_cancelled == 4)
    seen = executor.statistics()
    assert (seen.failures, seen.tasks_waiting, seen.tasks_running) == ({"queue_timeout": 1}, 0, 0)
    assert_each_task_has_one_place(seen)


def test_a_broken_pool_still_tells(pool, gate):
    executor = pool(2, on_crash="break")
    held = executor.submit(pass_gate, gate.folder)
    gate.wait_begun()
    deadly = executor.submit(os._exit, 3)
    assert (deadly.exception(), held.exception()) != (None, None)
    executor.shutdown()
    seen = executor.statistics()
    assert seen.failures == {"died": 1, "pool_broken": 1}
    assert seen.workers_lost == {"exit": 1}
    assert (seen.workers_alive, seen.workers_restarted) == (0, 0)


def test_a_shutdown_that_kills_is_no_loss_of_workers(pool, gate):
    executor = pool(2)
    futures = [executor.submit(pass_gate, gate.folder) for _ in range(4)]
    gate.wait_begun(2)
    executor.shutdown(kill_workers=True)
    assert all(isinstance(future.exception(), loky.ShutdownExecutorError) for future in futures)
    seen = executor.statistics()
    assert (seen.failures, seen.workers_lost, seen.workers_alive) == ({"shutdown": 4}, {}, 0)


def test_bytes_that_are_copied_into_shared_memory(pool, gate):
    executor = pool(1)
    assert executor.submit(len, b"x" * 100).result() == 100
    assert executor.statistics().shared_bytes_copied == 0
    future = executor.submit(pass_gate, gate.folder, bytearray(3_000_000))
    gate.wait_begun()
    seen = executor.statistics()
    assert 3_000_000 <= seen.shared_bytes_copied < 3_100_000
    assert seen.shared_bytes_held >= 3_000_000
    gate.open()
    assert len(future.result()) == 3_000_000


def test_recycled_workers_are_counted_as_such(pool):
    executor = pool(1, max_tasks_per_child=2)
    for number in range(6):
        executor.submit(tasks.identity, number).result()
    executor.shutdown()
    seen = executor.statistics()
    assert seen.workers_recycled == 3
    assert seen.workers_lost == {}


def test_it_is_true_at_any_moment(pool, tmp_path):
    executor = pool(3)
    chance = random.Random(5)
    futures = []
    for _ in range(400):
        dice = chance.random()
        if dice < 0.03:
            futures.append(executor.options(retries=1).submit(jobs.die_until, str(tmp_path / "x"), 1))
        elif dice < 0.3:
            futures.append(executor.submit(jobs.sleep, 0.001))
        else:
            futures.append(executor.submit(tasks.identity, 1))
        if dice > 0.8:
            chance.choice(futures).cancel()
        assert_each_task_has_one_place(executor.statistics())
    executor.shutdown()
    seen = executor.statistics()
    assert_each_task_has_one_place(seen)
    assert seen.tasks_submitted == 400
    assert (seen.tasks_waiting, seen.tasks_running) == (0, 0)
    assert sum(future.cancelled() for future in futures) == seen.tasks_cancelled


def test_a_forked_child_is_told_that_the_pool_is_not_its_own(pool):
    executor = pool(1)
    executor.submit(tasks.identity, 1).result()
    child = os.fork()
    if child == 0:
        try:
            executor.statistics()
        except RuntimeError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
