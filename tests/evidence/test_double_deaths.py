"""A worker and the helper that would have looked whom it left are killed together."""

import os
import signal

import pytest

import loky
from tests.evidence import stayers, tasks
from tests.evidence.test_containment import EXECUTED, ended_at_last, gone_in_time, zygote_of
from tests.faults.stage import state_of
from tests.support.waiting import eventually, has_ended, is_running

pytestmark = pytest.mark.parametrize("launcher", ["zygote", "exec"])


def kill_both(worker, zygote):
    """The helper is stopped first, so it never learns of the worker's end."""
    os.kill(zygote, signal.SIGSTOP)
    assert eventually(lambda: state_of(zygote) == "T")
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: not is_running(worker))
    os.kill(zygote, signal.SIGKILL)


def test_what_the_worker_left_is_found(pool, launcher):
    executor = pool(1, launcher=launcher)
    worker, pids = executor.submit(stayers.leave_all).result()
    kill_both(worker, zygote_of(worker))
    assert gone_in_time(pids)
    assert executor.submit(tasks.answer, 1).result() == 1


def test_also_where_the_pool_belongs_to_a_worker(pool, launcher):
    """The family is that of the inner pool: the outer worker lives on."""

    def inner():
        with loky.ProcessPoolExecutor(1, launcher=launcher) as executor:
            worker, pids = executor.submit(stayers.leave_all).result()
            kill_both(worker, zygote_of(worker))
            return gone_in_time(pids), executor.submit(tasks.answer, 1).result()

    executor = pool(1, launcher=launcher)
    outer = executor.submit(os.getpid).result()
    assert executor.submit(inner).result() == (True, 1)
    assert executor.submit(os.getpid).result() == outer


def test_another_pool_is_not_touched(pool, launcher):
    executor, other = pool(1, launcher=launcher), pool(1, launcher=launcher)
    worker, pids = executor.submit(stayers.leave_all).result()
    bystander, others = other.submit(stayers.leave_all).result()
    kill_both(worker, zygote_of(worker))
    assert gone_in_time(pids)
    assert all(is_running(pid) for pid in [bystander, *others])


def test_what_is_meant_to_live_lives(pool, launcher):
    executor = pool(1, launcher=launcher)
    worker, spared = executor.submit(stayers.leave_to_live, EXECUTED).result()
    _, doomed = executor.submit(stayers.leave_all).result()
    with ended_at_last(spared):
        kill_both(worker, zygote_of(worker))
        assert gone_in_time(doomed)
        assert executor.submit(tasks.answer, 1).result() == 1
        assert all(is_running(pid) for pid in spared)


def test_a_stopped_worker_ends_with_its_helper(pool, launcher):
    executor = pool(1, launcher=launcher)
    worker, pids = executor.submit(stayers.leave_all).result()
    zygote = zygote_of(worker)
    os.kill(worker, signal.SIGSTOP)
    assert eventually(lambda: state_of(worker) == "T")
    os.kill(zygote, signal.SIGKILL)
    assert has_ended(zygote)
    assert gone_in_time([worker, *pids])
