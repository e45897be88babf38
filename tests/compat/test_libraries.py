"""scikit-learn, dask and asyncio on this package: the examples, and what those libraries ask for."""

import asyncio
import importlib.util
import subprocess
import sys
import threading
import time

import pytest

import loky
from tests.support import programs
from tests.support.gates import pass_gate


def needs(name):
    """It is looked for and not imported: that would bring in joblib's own copy of loky."""
    reason = f"{name} is not installed here; `ci/joblib` runs this"
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=reason)


def example(name, temporary=None):
    path = programs.ROOT / "examples" / f"{name}.py"
    finished = subprocess.run(
        [sys.executable, path],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env=programs.environment(**({"TMPDIR": str(temporary)} if temporary else {})),
    )
    assert finished.returncode == 0, finished.stderr
    return finished


@needs("sklearn")
def test_a_search_of_scikit_learn_loses_one_candidate():
    finished = example("scikit_learn_search")
    lines = finished.stdout.splitlines()
    assert lines[0].startswith("cross_val_score: 4 scores")
    assert lines[1].startswith("search: failed: The worker process that ran this task was killed by SIGKILL")
    assert lines[4] == "depth 3: no score, it killed its process"
    assert [line for line in lines[2:7] if "no score" in line] == [lines[4]]
    assert lines[7].startswith("best depth: ")
    assert finished.stderr == ""


@needs("dask")
def test_a_graph_of_dask_that_dies_leaves_the_pool():
    lines = example("dask_graph").stdout.splitlines()
    assert lines[0] == "sum of squares: 285"
    assert lines[1].startswith("failed: ")
    assert lines[2] == "the same pool again: 285"


@needs("distributed")
def test_a_worker_of_distributed_has_a_pool(tmp_path):
    lines = example("dask_cluster", tmp_path).stdout.splitlines()
    assert lines[:2] == ["results: [0, 1, 2, 3]", "in other processes: True"]
    assert "SIGKILL(-9)" in lines[2]
    assert lines[3] == "afterwards: 5"


@needs("tblib")
def test_exceptions_may_be_made_picklable_by_tblib(pool):
    from tblib import pickling_support

    def fail():
        from tblib import pickling_support

        pickling_support.install()
        raise KeyError("reason")

    pickling_support.install()
    error = pool(1).submit(fail).exception()
    assert isinstance(error, KeyError)
    assert isinstance(error.__cause__, loky.process_executor._RemoteTraceback)
    assert "KeyError: 'reason'" in str(error.__cause__)


def test_asyncio_runs_and_cancels_tasks(pool, gate):
    executor = pool(1)

    async def go():
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(executor, abs, -3) == 3
        running = loop.run_in_executor(executor, pass_gate, gate.folder, "passed")
        await asyncio.to_thread(gate.wait_begun)
        waiting = loop.run_in_executor(executor, abs, -4)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.open()
        assert await running == "passed"
        assert await asyncio.wrap_future(executor.submit(abs, -5)) == 5

    asyncio.run(go())
    assert executor._pending_work_items == {}


def test_what_dask_reads(pool):
    executor = pool(3)
    assert executor._max_workers == 3
    assert isinstance(executor, loky.Executor)


def test_dask_may_submit_from_callbacks(pool):
    done = threading.Event()
    executor = pool(1)

    def again(future):
        executor.submit(abs, -1).add_done_callback(lambda _: done.set())

    executor.submit(time.monotonic).add_done_callback(again)
    assert done.wait(20)
