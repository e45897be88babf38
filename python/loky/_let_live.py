"""How a task starts a process that is to live longer than the task's worker.

What a task starts ends with its worker, whatever it does to get away. This is the one way out, and it
is taken on purpose: a variable in the environment with which the process is executed.
"""

import os

from . import _state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "LOKY_LET_LIVE"


def let_live(environment: "Mapping[str, str] | None" = None) -> dict[str, str]:
    """The environment for a process that is to live on when the worker of this task has ended.

    Give it to whatever executes the process, as `env=`. The process, and what it starts, is then left
    alone at the worker's end and at that of the pool. It should have a session of its own and its own
    standard streams. A process that is only forked has the worker's environment and cannot be spared.

    Outside of a worker nothing has to be spared, and the environment comes back as it was.

    Args:
        environment: the variables it is to have; those of this process if None.

    Example:
        subprocess.Popen(["daemon"], env=loky.let_live(), start_new_session=True)
    """
    variables = dict(os.environ if environment is None else environment)
    variables.pop(VARIABLE, None)
    if _state.worker_pid == os.getpid():
        variables[VARIABLE] = str(_state.helper_pid)
    return variables
