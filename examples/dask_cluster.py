"""A cluster of dask.distributed whose worker runs some of its tasks in a process pool.

A worker of distributed may have several executors; a task names the one that it wants. Here the one
called "guarded" is a pool of processes, so that a task that crashes is an error of that task: the
worker itself, and all that it holds in memory, stays.

    python dask_cluster.py
"""

import os
import signal

import dask
from distributed import Client, LocalCluster

from loky import ProcessPoolExecutor, TerminatedWorkerError


def where(number: int) -> tuple[int, int]:
    """A task that tells in which process it ran."""
    return number, os.getpid()


def die(number: int) -> int:
    """A task that kills its process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def main() -> None:
    """Run tasks in the pool of a worker, one of them deadly."""
    with (
        ProcessPoolExecutor(2) as executor,
        LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            dashboard_address=None,
            executor={"guarded": executor},
        ) as cluster,
        Client(cluster) as client,
        dask.annotate(executor="guarded"),
    ):
        places = client.gather(client.map(where, range(4), pure=False))
        print("results:", [number for number, _ in places])
        print("in other processes:", os.getpid() not in {pid for _, pid in places})
        try:
            client.submit(die, 1, retries=0).result()
        except TerminatedWorkerError as error:
            print("failed:", str(error).splitlines()[0])
        print("afterwards:", client.submit(where, 5, pure=False).result()[0])


if __name__ == "__main__":
    main()
