"""The lines of `docs/failures.md`, in its order. What stands here is checked by the rows that name it."""

from tests.faults.table import Failure, Others

RAISES = Failure(
    what="the task raises, also `SystemExit` and `KeyboardInterrupt`",
    future="that exception; the worker's traceback as `__cause__`",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
TASK_UNPICKLABLE = Failure(
    what="the function or an argument cannot be pickled",
    future="`pickle.PicklingError`, with the path to the guilty object; the real error as cause",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
TASK_UNREADABLE = Failure(
    what="an argument cannot be unpickled in the worker",
    future='`BrokenProcessPool` "A task has failed to un-serialize", the real error as cause',
    recover=Others.UNTOUCHED,
    breaks=Others.BROKEN,
)
RESULT_UNPICKLABLE = Failure(
    what="the result cannot be pickled",
    future="that error, with the path to the guilty object",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
EXCEPTION_UNPICKLABLE = Failure(
    what="the exception cannot be pickled, or not rebuilt from what it pickles to",
    future="the exception, rebuilt without its constructor, or `pickle.PicklingError` that names it",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
RESULT_UNREADABLE = Failure(
    what="the result or the exception cannot be unpickled in the parent",
    future='`BrokenProcessPool` "A result has failed to un-serialize", the real error as cause',
    recover=Others.UNTOUCHED,
    breaks=Others.BROKEN,
)
DIED_RUNNING = Failure(
    what="the worker dies by a signal, by `_exit`, out of memory or from outside",
    future="`TerminatedWorkerError` with a report",
    recover=Others.REPLACED,
    breaks=Others.BROKEN,
)
DIED_IDLE = Failure(
    what="a worker dies and no task had started in it",
    future="nobody is blamed",
    recover=Others.REPLACED,
    breaks=Others.BROKEN,
)
INTERRUPTED_IDLE = Failure(
    what="an idle worker is interrupted (`SIGINT`)",
    future="nobody is blamed",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
FRUITLESS = Failure(
    what="workers die before doing any work, again and again",
    future="`BrokenProcessPool`, cause the last death",
    recover=Others.BROKEN,
    breaks=Others.BROKEN,
)
INITIALIZER = Failure(
    what="the initializer raises",
    future="`BrokenProcessPool`, cause the real error with its traceback",
    recover=Others.BROKEN,
    breaks=Others.BROKEN,
)
INITIALIZER_UNPICKLABLE = Failure(
    what="the initializer or its arguments cannot be pickled",
    future="`BrokenProcessPool`, cause the real error",
    recover=Others.BROKEN,
    breaks=Others.BROKEN,
)
PROTOCOL = Failure(
    what="a worker sends bytes that are no frame, or closes its descriptors",
    future="`TerminatedWorkerError`, cause `protocol`",
    recover=Others.REPLACED,
    breaks=Others.BROKEN,
)
ZYGOTE = Failure(
    what="the zygote dies",
    future="running tasks: `TerminatedWorkerError`, cause `zygote`",
    recover=Others.RENEWED,
    breaks=Others.BROKEN,
)
NO_PROCESS = Failure(
    what="no process can be started",
    future="tried again, later each time; with no worker at all `BrokenProcessPool`, cause the `OSError`",
    recover=Others.BROKEN,
    breaks=Others.BROKEN,
)
NO_PROCESS_FOR_A_WHILE = Failure(
    what="no process can be started for a while",
    future="its value, when there is a worker again",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
FORK_REFUSED = Failure(
    what="a task forks until the kernel refuses (`EAGAIN`)",
    future="the error of its own fork, `BlockingIOError`; its children end with the worker",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
NO_DESCRIPTOR = Failure(
    what="the table of descriptors is full, here or in the worker",
    future="`OSError` (`EMFILE`), if its data needed one",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
NO_MEMORY = Failure(
    what="the worker may have no more memory (`RLIMIT_AS`)",
    future="`MemoryError`, or `OSError` (`ENOMEM`) where its data did not fit",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
TIMEOUT_LETS_GO = Failure(
    what="the task runs for longer than its `timeout`, and an interrupt ends it",
    future="`TaskTimeoutError` with a report; the stack in which it was",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
TIMEOUT_HOLDS_ON = Failure(
    what="the task runs for longer than its `timeout`, and does not let go",
    future="`TaskTimeoutError` with a report; the stack in which it was",
    recover=Others.REPLACED,
    breaks=Others.REPLACED,
)
QUEUE_TIMEOUT = Failure(
    what="the task has not begun within its `queue_timeout`",
    future="`TaskTimeoutError`; it never runs",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
START_TIMEOUT = Failure(
    what="a worker is not ready within `start_timeout`",
    future="nobody is blamed; `BrokenProcessPool` if that happens again and again",
    recover=Others.UNTOUCHED,
    breaks=Others.BROKEN,
)
MEMORY_LIMIT = Failure(
    what="the task passes its `memory_limit`",
    future="`TerminatedWorkerError`, cause `memory_limit`",
    recover=Others.REPLACED,
    breaks=Others.REPLACED,
)
SOFT_MEMORY_LIMIT = Failure(
    what="the task passes its `soft_memory_limit`",
    future="`MemoryError`, raised in the task",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
POISON = Failure(
    what="a task with `retries` ends its worker each time",
    future="`TerminatedWorkerError`, with the reports of all attempts; with `break`, of the first",
    recover=Others.REPLACED,
    breaks=Others.BROKEN,
)
RETRIED = Failure(
    what="a task with `retries` ends its worker, and does not the next time",
    future="its value; with `break`, `TerminatedWorkerError`",
    recover=Others.REPLACED,
    breaks=Others.BROKEN,
)
RETRIED_ON = Failure(
    what="a task raises an exception that its `retry_on` names",
    future="the outcome of its last attempt",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
CANCELLED = Failure(
    what="a task that has not begun is cancelled, by force or not",
    future="`CancelledError`; it never runs",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
FORCED_LETS_GO = Failure(
    what="a running task is cancelled by force, and an interrupt ends it",
    future="`CancelledError`, at once",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
FORCED_HOLDS_ON = Failure(
    what="a running task is cancelled by force, and does not let go",
    future="`CancelledError`, at once",
    recover=Others.REPLACED,
    breaks=Others.REPLACED,
)
SLOW = Failure(
    what="the task runs for longer than its `slow_after`",
    future="its value; the logger `loky` has told where it was",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
KILLED_BY_SHUTDOWN = Failure(
    what="`shutdown(kill_workers=True)`",
    future="`ShutdownExecutorError`",
    recover=Others.SHUT,
    breaks=Others.SHUT,
)
AFTER_SHUTDOWN = Failure(
    what="`submit` after `shutdown`",
    future="`ShutdownExecutorError` from `submit`",
    recover=Others.FINISHED,
    breaks=Others.FINISHED,
)
FORKED_PARENT = Failure(
    what="use in a child made by `os.fork()`",
    future="`RuntimeError` from the call, saying so",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
FORKED_WORKER = Failure(
    what="a task forks",
    future="what the task gives in the worker itself; its children end with the worker",
    recover=Others.UNTOUCHED,
    breaks=Others.UNTOUCHED,
)
PARENT = Failure(
    what="the parent dies",
    future="-",
    recover=Others.GONE,
    breaks=Others.GONE,
)

FAILURES = (
    RAISES,
    TASK_UNPICKLABLE,
    TASK_UNREADABLE,
    RESULT_UNPICKLABLE,
    EXCEPTION_UNPICKLABLE,
    RESULT_UNREADABLE,
    DIED_RUNNING,
    DIED_IDLE,
    INTERRUPTED_IDLE,
    FRUITLESS,
    INITIALIZER,
    INITIALIZER_UNPICKLABLE,
    PROTOCOL,
    ZYGOTE,
    NO_PROCESS,
    NO_PROCESS_FOR_A_WHILE,
    FORK_REFUSED,
    NO_DESCRIPTOR,
    NO_MEMORY,
    TIMEOUT_LETS_GO,
    TIMEOUT_HOLDS_ON,
    QUEUE_TIMEOUT,
    START_TIMEOUT,
    MEMORY_LIMIT,
    SOFT_MEMORY_LIMIT,
    POISON,
    RETRIED,
    RETRIED_ON,
    CANCELLED,
    FORCED_LETS_GO,
    FORCED_HOLDS_ON,
    SLOW,
    KILLED_BY_SHUTDOWN,
    AFTER_SHUTDOWN,
    FORKED_PARENT,
    FORKED_WORKER,
    PARENT,
)
