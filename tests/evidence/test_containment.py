"""Nothing that a task has started outlives its worker, unless that was asked for."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import loky
from tests.evidence import stayers, tasks
from tests.support import programs
from tests.support.waiting import LIMIT_S, eventually, has_ended, is_running

BOUND_S = 2.0
EXECUTED = ("child", "session", "orphan", "orphan-in-session")

pytestmark = pytest.mark.parametrize("launcher", ["zygote", "exec"])


def gone_in_time(pids):
    """Whether all these are gone within the bound; those that are not are ended here."""
    deadline_s = time.monotonic() + BOUND_S
    late = [pid for pid in pids if not has_ended(pid, max(0.0, deadline_s - time.monotonic()))]
    for pid in late:
        os.kill(pid, signal.SIGKILL)
    return late == []


def left_by(pool, launcher, **options):
    """A pool of one worker, that worker, and what a task has left below it."""
    executor = pool(1, launcher=launcher, **options)
    worker, pids = executor.submit(stayers.leave_all).result()
    return executor, worker, pids


@contextlib.contextmanager
def ended_at_last(spared):
    """These are to live on, and end with the test."""
    try:
        yield
    finally:
        for pid in spared:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not any(is_running(pid) for pid in spared))


def zygote_of(worker):
    return int(Path(f"/proc/{worker}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def test_they_stay_as_long_as_the_worker(pool, launcher):
    executor, worker, pids = left_by(pool, launcher)
    assert executor.submit(os.getpid).result() == worker
    assert all(is_running(pid) for pid in pids)


@pytest.mark.parametrize("how", ["exit", signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_takes_them_along(pool, launcher, how, tmp_path):
    executor = pool(1, launcher=launcher)
    assert executor.submit(stayers.leave_and_crash, str(tmp_path), how).exception()
    pids = [int(word) for word in (tmp_path / "left").read_text(encoding="ascii").split()]
    assert len(pids) == len(stayers.NEAR)
    assert gone_in_time(pids)
    assert executor.submit(tasks.answer, 1).result() == 1


def test_a_kill_of_the_worker_takes_them_along(pool, launcher):
    _, worker, pids = left_by(pool, launcher)
    os.kill(worker, signal.SIGKILL)
    assert gone_in_time(pids)


def test_an_idle_worker_that_leaves_takes_them_along(pool, launcher):
    _, worker, pids = left_by(pool, launcher, timeout=0.1)
    assert has_ended(worker)
    assert gone_in_time(pids)


def test_a_worker_that_is_replaced_takes_them_along(pool, launcher):
    _, worker, pids = left_by(pool, launcher, max_tasks_per_child=1)
    assert has_ended(worker)
    assert gone_in_time(pids)


@pytest.mark.parametrize("kill_workers", [False, True])
def test_the_end_of_the_pool_takes_them_along(pool, launcher, kill_workers):
    executor, _, pids = left_by(pool, launcher)
    executor.shutdown(wait=True, kill_workers=kill_workers)
    assert gone_in_time(pids)


def test_the_end_of_the_zygote_takes_them_along(pool, launcher):
    _, worker, pids = left_by(pool, launcher)
    os.kill(zygote_of(worker), signal.SIGKILL)
    assert gone_in_time([worker, *pids])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_the_end_of_the_parent_takes_them_along(tmp_path, launcher, number):
    path = programs.write(
        tmp_path / "program.py",
        f"""
        import signal
        from loky import ProcessPoolExecutor
        from tests.evidence import stayers
        executor = ProcessPoolExecutor(1, launcher={launcher!r})
        worker, pids = executor.submit(stayers.leave_all).result()
        print(worker, *pids, flush=True)
        signal.pause()
        """,
    )
    process = subprocess.Popen(
        [sys.executable, path], stdout=subprocess.PIPE, text=True, env=programs.environment()
    )
    with process.stdout:
        worker, *pids = [int(word) for word in process.stdout.readline().split()]
        zygote = zygote_of(worker)
        process.send_signal(number)
        assert gone_in_time([zygote, worker, *pids])
        assert process.wait(LIMIT_S) == -number


@pytest.mark.parametrize("end", ["kill", "leave", "shutdown", "kill_workers", "zygote"])
def test_what_is_meant_to_live_lives(pool, launcher, end):
    executor = pool(1, launcher=launcher, timeout=0.1 if end == "leave" else None)
    worker, spared = executor.submit(stayers.leave_to_live, EXECUTED).result()
    doomed = [] if end == "leave" else executor.submit(stayers.leave_all).result()[1]
    with ended_at_last(spared):
        zygote = zygote_of(worker) if end != "leave" else 0
        if end == "kill":
            os.kill(worker, signal.SIGKILL)
        elif end == "zygote":
            os.kill(zygote, signal.SIGKILL)
        elif end != "leave":
            executor.shutdown(wait=True, kill_workers=end == "kill_workers")
        assert has_ended(worker)
        assert gone_in_time(doomed)
        executor.shutdown(wait=True)
        assert not zygote or has_ended(zygote, BOUND_S), "the zygote does not wait for them"
        assert all(is_running(pid) for pid in spared)


def test_the_wish_holds_for_what_the_spared_one_starts(pool, launcher):
    executor = pool(1, launcher=launcher)

    def start():
        script = "sleep 1000 >/dev/null 2>&1 & echo $!"
        return int(subprocess.run(["sh", "-c", script], check=True, env=loky.let_live(), stdout=-1).stdout)

    pid = executor.submit(start).result()
    executor.shutdown(wait=True)
    with ended_at_last([pid]):
        assert is_running(pid)


def test_the_wish_is_not_handed_on_to_another_pool(pool, launcher):
    """A process that was let live has a pool of its own: that one's workers have no such right."""
    executor = pool(1, launcher=launcher, env={"LOKY_LET_LIVE": "1"})
    _, pids = executor.submit(stayers.leave_all).result()
    executor.shutdown(wait=True)
    assert gone_in_time(pids)


def test_outside_of_a_worker_there_is_nothing_to_spare(launcher):
    assert loky.let_live({"A": "1", "LOKY_LET_LIVE": "9"}) == {"A": "1"}
    assert "LOKY_LET_LIVE" not in loky.let_live()
