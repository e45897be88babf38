"""What is measured of the beginning and the end of pools. As `scenarios`, which names all."""

import multiprocessing
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from concurrent.futures import ProcessPoolExecutor as StandardExecutor

from benches import family, tasks
from benches.peers import PEERS
from benches.timing import WORKERS, Numbers, median_ms, ms_since, warm

IDLE_S = 2.0
REUSABLE = ("loky-rs", "loky")

_FORGETFUL = """
import sys, time
from benches import tasks
from benches.peers import PEERS
peer = PEERS[sys.argv[1]](2)
for answer in [peer.submit(tasks.nothing, item) for item in range(40)]:
    answer.result()
print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), flush=True)
"""


def forgotten(name: str) -> Numbers:
    """The end of a program that does not shut its pool down, from its last line."""
    command = [sys.executable, "-c", _FORGETFUL, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        # A descriptor of the process, since to wait for it with a time limit is to ask every now and then.
        ended = os.pidfd_open(process.pid)
        assert process.stdout is not None
        began_ns = int(process.stdout.readline())
        select.select([ended], [], [])
        return {"exit_ms": (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - began_ns) / 1e6}


def reusable(name: str) -> Numbers:
    """The pool that is shared by a whole program: asked for again, made larger, made smaller."""
    if name not in REUSABLE:
        return {}
    from loky import get_reusable_executor

    def resize(workers: int) -> float:
        began = time.perf_counter()
        get_reusable_executor(max_workers=workers)
        return ms_since(began)

    get_reusable_executor(max_workers=2).submit(abs, 1).result()
    again = median_ms(1000, lambda: get_reusable_executor(max_workers=2)) * 1e3
    grow, shrink = [], []
    for _ in range(5):
        grow.append(resize(4))
        get_reusable_executor(max_workers=4).submit(abs, 1).result()
        shrink.append(resize(2))
    return {"again_us": again, "grow_2_to_4_ms": sorted(grow)[2], "shrink_4_to_2_ms": sorted(shrink)[2]}


def wake_ups(name: str) -> Numbers:
    """How often an idle pool's processes are woken."""
    with warm(name):
        processes = [os.getpid(), *family.descendants(os.getpid())]
        # Nothing is measured while the workers still settle.
        time.sleep(0.5)
        before = family.switches(processes)
        time.sleep(IDLE_S)
        # This process's own sleep is one.
        return {"per_s": max(0, family.switches(processes) - before - 1) / IDLE_S}


def numpy_task(name: str) -> Numbers:
    """The first result of a task that imports numpy; and of each later worker, where it is preloaded."""
    began = time.perf_counter()
    peer = PEERS[name](WORKERS)
    peer.submit(tasks.use_numpy, 1).result()
    numbers: Numbers = {"first_result_ms": ms_since(began)}
    peer.close()
    if name == "loky-rs":
        from loky import ProcessPoolExecutor

        # A worker for each task: what is measured is a new one with the library in place.
        with ProcessPoolExecutor(1, preload=["numpy"], max_tasks_per_child=1) as executor:
            numbers["later_worker_ms"] = _each_ms(executor, tasks.use_numpy)
    return numbers


def new_worker(name: str) -> Numbers:
    """One task that does nothing in a worker of its own, again and again."""
    if name == "loky-rs":
        from loky import ProcessPoolExecutor

        executor: Executor = ProcessPoolExecutor(1, max_tasks_per_child=1)
    elif name in ("cf-forkserver", "cf-spawn"):
        context = multiprocessing.get_context(name.removeprefix("cf-"))
        executor = StandardExecutor(1, mp_context=context, max_tasks_per_child=1)
    else:
        return {}
    with executor:
        return {"task_ms": _each_ms(executor, tasks.nothing)}


def _each_ms(executor: Executor, task: Callable[[int], int]) -> float:
    executor.submit(task, 1).result()
    return median_ms(20, lambda: executor.submit(task, 1).result())


LIFE: tuple[Callable[[str], Numbers], ...] = (forgotten, reusable, wake_ups, numpy_task, new_worker)
