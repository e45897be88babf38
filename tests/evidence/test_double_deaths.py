"""A worker and the helper that would have looked whom it left are killed together."""

import os
import signal
import subprocess
import sys

import pytest

import loky
from tests.evidence import stayers, tasks
from tests.evidence.test_containment import EXECUTED, ended_at_last, gone_in_time, zygote_of
from tests.faults.stage import full_descriptor_table, state_of
from tests.support import programs
from tests.support.waiting import eventually, has_ended, is_running

INNER = """
import os, signal, sys
import loky
from tests.evidence import stayers
with loky.ProcessPoolExecutor(1, launcher=sys.argv[1]) as executor:
    worker, pids = executor.submit(stayers.leave_all).result()
    print(os.getpid(), worker, *pids, flush=True)
    signal.pause()
"""

KILLING = """
import subprocess, sys
import loky
from tests.evidence import stayers
from tests.evidence.test_containment import gone_in_time, zygote_of
from tests.evidence.test_double_deaths import kill_both
with loky.ProcessPoolExecutor(1, launcher=sys.argv[1]) as executor:
    worker, pids = executor.submit(stayers.leave_all).result()
    kill_both(worker, zygote_of(worker))
    own = subprocess.check_output(["bash", "-c", "ulimit -Sx"], text=True)
    print(own.strip(), gone_in_time(pids))
"""

_kept = []

pytestmark = pytest.mark.parametrize("launcher", ["zygote", "exec"])


def kill_both(worker, zygote):
    """The helper is stopped first, so it never learns of the worker's end."""
    stop(zygote)
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: not is_running(worker))
    os.kill(zygote, signal.SIGKILL)


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: state_of(pid) == "T")


def leave_a_program(launcher, **options):
    """As a task: start a program that has a pool of its own; the worker's number and those of that family."""
    arguments = [sys.executable, "-c", INNER, launcher]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, start_new_session=True, **options)
    pids = [int(word) for word in process.stdout.readline().split()]
    return os.getpid(), [*pids, zygote_of(pids[1])]


def leave_a_program_to_live(launcher):
    return leave_a_program(launcher, env=loky.let_live())


def have_a_pool(launcher):
    """As a task: the worker's number, that of a worker of its own, and that of the zygote between them."""
    _kept.append(loky.ProcessPoolExecutor(1, launcher=launcher))
    inner = _kept[-1].submit(os.getpid).result()
    return os.getpid(), inner, zygote_of(inner)


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


def test_what_has_no_environment_is_found(pool, launcher):
    executor = pool(1, launcher=launcher)
    worker, pids = executor.submit(stayers.leave_all, {}).result()
    kill_both(worker, zygote_of(worker))
    assert gone_in_time(pids)


def test_what_is_left_is_found_as_soon_as_there_are_descriptors(pool, launcher):
    executor = pool(1, launcher=launcher)
    worker, pids = executor.submit(stayers.leave_all).result()
    zygote = zygote_of(worker)
    busy = executor.submit(signal.pause)
    assert eventually(busy.running)
    stop(zygote)
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: not is_running(worker))
    with full_descriptor_table():
        os.kill(zygote, signal.SIGKILL)
        # The first look came before that.
        assert isinstance(busy.exception(), loky.TerminatedWorkerError)
        for pid in pids:
            os.kill(pid, 0)
    assert gone_in_time(pids)
    assert executor.submit(tasks.answer, 1).result() == 1


def test_a_limit_of_the_user_s_own_is_no_mark(launcher):
    """Neither where a bystander has one, nor where the pool's program does."""
    bounded = ["bash", "-c", 'ulimit -Sx 1000 && exec "$0" "$@"']
    program = [*bounded, sys.executable, "-c", KILLING, launcher]
    with subprocess.Popen([*bounded, "sleep", "1000"]) as bystander:
        try:
            output = subprocess.check_output(program, env=programs.environment(), text=True)
            assert (output, bystander.poll()) == ("1000 True\n", None)
        finally:
            bystander.kill()


def test_a_program_with_a_pool_of_its_own_ends_with_that(pool, launcher):
    executor = pool(1, launcher=launcher)
    worker, pids = executor.submit(leave_a_program, launcher).result()
    kill_both(worker, zygote_of(worker))
    assert gone_in_time(pids)


def test_a_program_that_is_meant_to_live_keeps_its_pool(pool, launcher):
    executor = pool(1, launcher=launcher)
    worker, spared = executor.submit(leave_a_program_to_live, launcher).result()
    _, doomed = executor.submit(stayers.leave_all).result()
    with ended_at_last(spared[:1]):
        kill_both(worker, zygote_of(worker))
        assert gone_in_time(doomed)
        assert executor.submit(tasks.answer, 1).result() == 1
        assert all(is_running(pid) for pid in spared)
    assert gone_in_time(spared)


def test_the_helper_of_a_worker_s_own_pool_ends_though_it_is_stopped(pool, launcher):
    """It does not see that its program is gone, and the mark of its family is another."""
    executor = pool(1, launcher=launcher)
    worker, inner, stopped = executor.submit(have_a_pool, launcher).result()
    stop(stopped)
    os.kill(zygote_of(worker), signal.SIGKILL)
    assert gone_in_time([worker, inner, stopped])


def test_a_stopped_worker_ends_with_its_helper(pool, launcher):
    executor = pool(1, launcher=launcher)
    worker, pids = executor.submit(stayers.leave_all).result()
    zygote = zygote_of(worker)
    os.kill(worker, signal.SIGSTOP)
    assert eventually(lambda: state_of(worker) == "T")
    os.kill(zygote, signal.SIGKILL)
    assert has_ended(zygote)
    assert gone_in_time([worker, *pids])
