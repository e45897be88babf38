"""Processes of the family are stopped, and nobody continues them: who asked for an end gets it.

More is in `tests/faults/rows_stopped.py`, and without Python in `crates/engine/tests/pool/stopped.rs`.
"""

import gc
import os
import signal
import time

import pytest

from loky import ProcessPoolExecutor, TerminatedWorkerError, get_reusable_executor
from tests.faults.stage import state_of
from tests.support import programs
from tests.support.waiting import eventually, has_ended, is_running

LIMIT_S = 10.0


@pytest.fixture(params=["zygote", "exec"])
def kind(request):
    return request.param


def stop(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        assert eventually(lambda pid=pid: state_of(pid) == "T")


def family_of(executor):
    """The zygote, and the workers."""
    return executor.submit(os.getppid).result(), list(executor._processes)


def running(executor, count):
    futures = [executor.submit(time.sleep, 1000) for _ in range(count)]
    assert eventually(lambda: all(future.running() for future in futures))
    return futures


@pytest.mark.parametrize(
    ("order", "number"), [("terminate_workers", signal.SIGTERM), ("kill_workers", signal.SIGKILL)]
)
def test_a_signal_to_all_workers_reaches_those_that_are_stopped(pool, kind, order, number):
    executor = pool(2, launcher=kind)
    zygote, workers = family_of(executor)
    futures = running(executor, 2)
    stop(zygote, *workers)
    getattr(executor, order)()
    for future in futures:
        error = future.exception(LIMIT_S)
        assert isinstance(error, TerminatedWorkerError)
        assert error.report.signal == number.name
    assert all(has_ended(pid, LIMIT_S) for pid in [zygote, *workers])


def test_a_pool_that_nobody_holds_ends_although_its_zygote_is_stopped(kind):
    executor = ProcessPoolExecutor(2, launcher=kind)
    zygote, workers = family_of(executor)
    stop(zygote)
    del executor
    gc.collect()
    assert all(has_ended(pid, LIMIT_S) for pid in [zygote, *workers])


PROGRAM = """
import os, signal, sys
from loky import ProcessPoolExecutor

if __name__ == "__main__":
    executor = ProcessPoolExecutor(2, launcher=sys.argv[1])
    zygote = executor.submit(os.getppid).result()
    os.kill(zygote, signal.SIGSTOP)
    print(zygote, *executor._processes)
"""


def test_a_program_ends_although_the_zygote_is_stopped(kind, tmp_path):
    result = programs.run(programs.write(tmp_path / "program.py", PROGRAM), kind)
    assert (result.status, result.errors) == (0, "")
    assert not any(is_running(int(pid)) for pid in result.output.split())


def test_a_resize_takes_effect_although_the_zygote_is_stopped():
    executor = get_reusable_executor(3, timeout=None)
    try:
        zygote, workers = family_of(executor)
        stop(zygote)
        assert get_reusable_executor(1, timeout=None) is executor
        assert len(executor._processes) == 1
        stop(zygote)
        assert get_reusable_executor(2, timeout=None) is executor
        assert len(executor._processes) == 2
        assert sum(not is_running(pid) for pid in workers) == 2
    finally:
        executor.shutdown(kill_workers=True)


def test_a_worker_that_waits_while_it_is_stopped_is_waited_for(pool, kind):
    executor = pool(1, launcher=kind)
    _, (worker,) = family_of(executor)
    stop(worker)
    executor.shutdown(wait=False)
    assert not has_ended(worker, 1.0), "nobody has asked for its end"
    os.kill(worker, signal.SIGCONT)
    assert has_ended(worker, LIMIT_S)


STOPPER = """
import os, signal
from pathlib import Path

mark = Path(__file__).with_name("stop-one")


def stop_one():
    if mark.exists():
        mark.rename(mark.with_name("stopped"))
        os.kill(os.getpid(), signal.SIGSTOP)

os.register_at_fork(after_in_child=stop_one)
"""


def test_a_worker_that_is_stopped_when_it_is_born_hides_no_end_of_the_zygote(pool, tmp_path, monkeypatch):
    """It has copies of all of the zygote's descriptors still, so that no socket tells of the end."""
    (tmp_path / "stopper.py").write_text(STOPPER)
    monkeypatch.syspath_prepend(tmp_path)
    executor = pool(1, launcher="zygote", preload=["stopper"], timeout=0.1)
    zygote, (worker,) = family_of(executor)
    assert has_ended(worker)
    (tmp_path / "stop-one").touch()
    future = executor.submit(os.getppid)
    assert eventually((tmp_path / "stopped").exists)
    (born,) = executor._processes
    assert eventually(lambda: state_of(born) == "T")
    os.kill(zygote, signal.SIGKILL)
    assert future.result(LIMIT_S) != zygote
    assert has_ended(born, LIMIT_S)
