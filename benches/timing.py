"""How scenarios take the time, and a pool that is warm."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

from benches import tasks
from benches.peers import PEERS, Peer

WORKERS = 2
MIB = 1 << 20

Numbers = dict[str, float | str]


def ms_since(began: float) -> float:
    """Milliseconds since a reading of the performance counter."""
    return (time.perf_counter() - began) * 1e3


@contextlib.contextmanager
def warm(name: str) -> Iterator[Peer]:
    """Hold a pool whose workers have all done something."""
    peer = PEERS[name](WORKERS)
    for answer in [peer.submit(tasks.nothing, item) for item in range(20 * WORKERS)]:
        answer.result()
    yield peer
    peer.close()


def median_ms(repeat: int, work: Callable[[], object]) -> float:
    """Do something several times and take the median."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append(ms_since(began))
    return statistics.median(times)
