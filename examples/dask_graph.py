"""A graph of dask computed in a process pool that survives its tasks.

dask takes any executor as its scheduler. A task that kills its worker is that task's error; the pool
goes on with the next graph.

    python dask_graph.py
"""

import os
import signal

import dask

from loky import ProcessPoolExecutor, TerminatedWorkerError


def square(number: int) -> int:
    """One node of the graph."""
    return number * number


def die(number: int) -> int:
    """A node that kills its worker."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def main() -> None:
    """Compute a sum of squares, a graph that dies, and the sum again."""
    total = dask.delayed(sum)([dask.delayed(square)(number) for number in range(10)])
    with ProcessPoolExecutor(2) as executor:
        print("sum of squares:", *dask.compute(total, scheduler=executor))
        try:
            dask.compute(dask.delayed(die)(1), scheduler=executor)
        except TerminatedWorkerError as error:
            print("failed:", str(error).splitlines()[0])
        print("the same pool again:", *dask.compute(total, scheduler=executor))


if __name__ == "__main__":
    main()
