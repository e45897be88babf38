"""What is measured with many tasks, many workers or large things. As `scenarios`, which names all."""

import os
import time
from collections.abc import Callable

from benches import family, tasks
from benches.peers import PEERS, ExecutorPeer
from benches.timing import MIB, WORKERS, Numbers, median_ms, ms_since, warm

BACKLOG = 100_000
CLOSURE_TASKS = 200
CANCELLED = 10_000
SHARED_MIB = 200
SHARED_TASKS = 1000
SHARED_ITEMS = 100_000
CROWD = 64
HELD_S = 2.0
BY_VALUE = ("loky-rs", "loky")
WITHOUT_CANCEL = ("mp-pool", "mpire")


def _resident_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def backlog(name: str) -> Numbers:
    """Tasks that do nothing, all submitted at once, and their results in order."""
    with warm(name) as peer:
        before = _resident_mib()
        began = time.perf_counter()
        answers = [peer.submit(tasks.nothing, item) for item in range(BACKLOG)]
        submitted = ms_since(began)
        for answer in answers:
            answer.result()
        return {
            "submit_ms": submitted,
            "finish_ms": ms_since(began),
            "growth_mib": _resident_mib() - before,
        }


def map_auto(name: str) -> Numbers:
    """`map` with the chunk size that is best for the contender: found by itself, or of three."""
    count = 300_000
    with warm(name) as peer:
        rates: Numbers = {}
        for size in (100, 1000, 10_000):
            began = time.perf_counter()
            list(peer.map(tasks.nothing, range(count), size))
            rates[f"chunk_{size}_per_s"] = count / (time.perf_counter() - began)
        if name == "loky-rs" and isinstance(peer, ExecutorPeer):
            began = time.perf_counter()
            list(peer.executor.map(tasks.nothing, range(count), chunksize="auto"))  # type: ignore[arg-type]
            rates["auto_per_s"] = count / (time.perf_counter() - began)
        return rates


def closure(name: str) -> Numbers:
    """A function that holds 1 MiB, called many times. Pools that cannot pickle one have no row."""
    if name not in BY_VALUE:
        return {}
    data = os.urandom(MIB)
    with warm(name) as peer:

        def task(item: int) -> int:
            return len(data) + item

        peer.submit(task, 0).result()
        began = time.perf_counter()
        for answer in [peer.submit(task, item) for item in range(CLOSURE_TASKS)]:
            answer.result()
        return {"per_task_us": ms_since(began) * 1e3 / CLOSURE_TASKS}


def crowd(name: str) -> Numbers:
    """64 workers and 64 tasks of 10 ms: from nothing, again, and the end."""
    peer = PEERS[name](CROWD)

    def work() -> set[int]:
        return {answer.result() for answer in [peer.submit(tasks.pause) for _ in range(CROWD)]}

    began = time.perf_counter()
    work()
    numbers: Numbers = {"cold_ms": ms_since(began)}
    workers: set[int] = set()

    def work_again() -> None:
        workers.update(work())

    numbers["warm_ms"] = median_ms(5, work_again)
    numbers["at_work"] = float(len(workers))
    numbers["memory_per_worker_mib"] = family.memory_bytes(family.descendants(os.getpid())) / CROWD / MIB
    began = time.perf_counter()
    peer.close()
    numbers["shutdown_ms"] = ms_since(began)
    return numbers


def cancel(name: str) -> Numbers:
    """Tasks that wait behind two long ones are cancelled, where a pool can do that."""
    if name in WITHOUT_CANCEL:
        return {}
    with warm(name) as peer:
        held = [peer.submit(time.sleep, HELD_S) for _ in range(WORKERS)]
        answers = [peer.submit(tasks.nothing, item) for item in range(CANCELLED)]
        began = time.perf_counter()
        cancelled = sum(answer.cancel() for answer in answers)  # type: ignore[attr-defined]
        numbers: Numbers = {"all_ms": ms_since(began), "cancelled": float(cancelled)}
        for answer in held:
            answer.result()
        return numbers


def processor(name: str) -> Numbers:
    """Processor time of the whole family for tasks that do nothing."""
    count = 10_000
    with warm(name) as peer:
        processes = [os.getpid(), *family.descendants(os.getpid())]
        before = family.processor_ns(processes)
        for answer in [peer.submit(tasks.nothing, item) for item in range(count)]:
            answer.result()
        return {"us_per_task": (family.processor_ns(processes) - before) / 1e3 / count}


def shared(name: str) -> Numbers:
    """The same array of 200 MiB in a thousand tasks; a shared dict of which each task reads one item."""
    if name != "loky-rs":
        return {}
    import numpy

    import loky

    array = numpy.ones(SHARED_MIB * MIB // 8)
    table = {f"key {number}": number for number in range(SHARED_ITEMS)}
    with warm(name) as peer:
        assert isinstance(peer, ExecutorPeer)
        began = time.perf_counter()
        for answer in [peer.submit(tasks.look, array, item) for item in range(SHARED_TASKS)]:
            answer.result()
        seconds = time.perf_counter() - began
        life = peer.executor._life  # type: ignore[attr-defined]
        moved = life._pool.statistics()["copied_bytes"] / MIB
        handle = loky.share(table)
        peer.submit(tasks.look, handle, "key 0").result()
        began = time.perf_counter()
        answers = [peer.submit(tasks.look, handle, f"key {item}") for item in range(SHARED_TASKS)]
        for answer in answers:
            answer.result()
        return {
            "array_s": seconds,
            "array_moved_mib": moved,
            "handle_us_per_task": ms_since(began) * 1e3 / SHARED_TASKS,
        }


SCALE: tuple[Callable[[str], Numbers], ...] = (backlog, map_auto, closure, shared, crowd, cancel, processor)
