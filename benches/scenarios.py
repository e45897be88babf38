"""What is measured. A scenario starts a pool of its own and returns numbers by name.

The name of a number ends with its unit. Rates (`…_per_s`) are better when higher, all else when
lower.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from benches import family, tasks
from benches.peers import IMPORTS, PEERS
from benches.scenarios_life import LIFE
from benches.scenarios_scale import SCALE
from benches.timing import MIB, WORKERS, Numbers, median_ms, ms_since, warm

CRASH_LIMIT_S = 10.0
IDLE_S = 3.0
HANG = "hang"


def start_up(name: str) -> Numbers:
    """The import of the pool in a bare interpreter; from constructing it to the first result."""
    numbers: Numbers = {"import_ms": _import_ms(IMPORTS[name])}
    exec(IMPORTS[name], {})
    began = time.perf_counter()
    peer = PEERS[name](WORKERS)
    peer.submit(tasks.nothing, 1).result()
    numbers["first_result_ms"] = ms_since(began)
    peer.close()
    return numbers


def _import_ms(statement: str) -> float:
    clock = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
    command = [sys.executable, "-c", clock.format(statement)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(result.stdout) * 1e3


def round_trip(name: str) -> Numbers:
    """One task at a time that does nothing, from submit to its result."""
    with warm(name) as peer:
        for item in range(300):
            peer.submit(tasks.nothing, item).result()
        times = []
        for item in range(2000):
            began = time.perf_counter()
            peer.submit(tasks.nothing, item).result()
            times.append((time.perf_counter() - began) * 1e6)
    times.sort()
    return {"p50_us": times[len(times) // 2], "p99_us": times[len(times) * 99 // 100]}


def throughput(name: str) -> Numbers:
    """Many tasks that do nothing."""

    def rate(count: int, work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return count / (time.perf_counter() - began)

    with warm(name) as peer:

        def submit_all() -> None:
            for answer in [peer.submit(tasks.nothing, item) for item in range(5000)]:
                answer.result()

        return {
            "submit_per_s": rate(5000, submit_all),
            "map_1_per_s": rate(5000, lambda: list(peer.map(tasks.nothing, range(5000), 1))),
            "map_100_per_s": rate(100_000, lambda: list(peer.map(tasks.nothing, range(100_000), 100))),
        }


def arrays(name: str) -> Numbers:
    """Arrays into a worker and back out of it; the receiver reads each page."""
    numbers: Numbers = {}
    with warm(name) as peer:
        for label, size, repeat in (("64kib", MIB // 16, 100), ("1mib", MIB, 30), ("64mib", 64 * MIB, 7)):
            array = tasks.make(size)

            def send(array: object = array) -> None:
                peer.submit(tasks.touch, array).result()

            def fetch(size: int = size) -> None:
                tasks.touch(peer.submit(tasks.make, size).result())

            median_ms(2, send)
            numbers[f"in_{label}_ms"] = median_ms(repeat, send)
            median_ms(2, fetch)
            numbers[f"out_{label}_ms"] = median_ms(repeat, fetch)

            def exchange(array: object = array) -> None:
                tasks.touch(peer.submit(abs, array).result())

            median_ms(2, exchange)
            numbers[f"both_{label}_ms"] = median_ms(repeat, exchange)
    return numbers


def _crash(name: str, task: Callable[[], None]) -> Numbers:
    """From a worker's death to its task's error, and to the next good result.

    A pool that is broken by the death is replaced by a new one, as its user would have to.
    """
    numbers: Numbers = {}
    with warm(name) as peer:
        began = time.perf_counter()
        try:
            peer.submit(task).result(timeout=CRASH_LIMIT_S)
        except Exception:  # each pool has its own kind
            if ms_since(began) >= CRASH_LIMIT_S * 1e3:
                # Such a pool does not even close, so the measurement ends here.
                _print_and_leave({"seen_ms": HANG, "next_ok_ms": HANG})
        numbers["seen_ms"] = ms_since(began)
        try:
            answer = peer.submit(tasks.nothing, 1)
            answer.result(timeout=CRASH_LIMIT_S)
        except Exception:  # as above
            replacement = PEERS[name](WORKERS)
            replacement.submit(tasks.nothing, 1).result(timeout=CRASH_LIMIT_S)
            numbers["next_ok_ms"] = ms_since(began)
            replacement.close()
        else:
            numbers["next_ok_ms"] = ms_since(began)
    return numbers


def _print_and_leave(numbers: Numbers) -> None:
    from benches.measure import tell

    tell(numbers)
    os._exit(0)


def crash_exit(name: str) -> Numbers:
    """A worker that calls `_exit`."""
    return _crash(name, tasks.leave)


def crash_kill(name: str) -> Numbers:
    """A worker that is killed."""
    return _crash(name, tasks.die)


def idle(name: str) -> Numbers:
    """What the pool costs while it has nothing to do."""
    me = os.getpid()
    before = family.memory_bytes([me])
    with warm(name) as peer:
        processes = [me, *family.descendants(me)]
        memory = family.memory_bytes(processes) - before
        processor = family.processor_ns(processes)
        time.sleep(IDLE_S)  # the passing of time is what is measured
        used = family.processor_ns(processes) - processor
        peer.submit(tasks.nothing, 1).result()
    return {
        "memory_per_worker_mib": memory / WORKERS / MIB,
        "processor_ms_per_s": used / 1e6 / IDLE_S,
    }


def shutdown(name: str) -> Numbers:
    """From asking an idle pool to end to the end of all its workers."""
    peer = PEERS[name](WORKERS)
    for answer in [peer.submit(tasks.nothing, item) for item in range(20 * WORKERS)]:
        answer.result()
    began = time.perf_counter()
    peer.close()
    return {"ms": ms_since(began)}


SCENARIOS: dict[str, Callable[[str], Numbers]] = {
    scenario.__name__: scenario
    for scenario in (
        start_up,
        round_trip,
        throughput,
        arrays,
        crash_exit,
        crash_kill,
        idle,
        shutdown,
        *SCALE,
        *LIFE,
    )
}
