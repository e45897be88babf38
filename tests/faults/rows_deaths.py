"""Rows in which a worker dies: by itself, by a signal, from outside, at every point of a task's way."""

import os
import signal
import struct
from functools import partial
from typing import Any

from loky import BrokenProcessPool, TerminatedWorkerError
from tests.faults import tasks, values
from tests.faults.failures import DIED_IDLE, DIED_RUNNING, FRUITLESS, INTERRUPTED_IDLE, PROTOCOL
from tests.faults.stage import Stage, pending_signals, state_of
from tests.faults.table import Gives, Raises, Row

LARGE_BYTES = 32 * 1024 * 1024
STREAM_BYTES = 60 * 1024  # just below the size at which a stream travels beside the socket
BY_SOCKET = os.environ.get("LOKY_TRANSPORT") == "socket"


def terminated(cause: str, *text: str, **report: object) -> Raises:
    """The error of a task that was running when its worker died."""
    told = {"cause": cause, "started": True, "attempt": 1, "task": "do", "python_stack": None}
    told["runtime_s"] = lambda seconds: 0 <= seconds < 60
    return Raises(kind=TerminatedWorkerError, text=text, report={**told, **report})


def by_signal(number: int, **report: object) -> Raises:
    """Killed by a signal: its name stands in the text and in the report."""
    name = signal.Signals(number).name
    return terminated(
        "signal", f"{{{name}({-number})}}", "The worker process that ran this task",
        signal=name, exitcode=-number, peak_rss_bytes=lambda size: size > 2**20, **report,
    )  # fmt: skip


def by_exit(status: int) -> Raises:
    """Left by itself."""
    shown = f"{{EXIT({status})}}" if status != 255 else "{UNKNOWN(255)}"
    return terminated("exit", shown, f"exit code {status}", signal=None, exitcode=status)


def performs(function: Any, *args: Any) -> Any:
    """A task that does this."""
    return lambda stage: stage.perform(function, *args)


def victim_died(signal_: int | None = None, status: int | None = None) -> Any:
    return lambda stage: stage.died(stage.victim, signal_, status)


def _has_stack(text: Any) -> bool:
    return "Current thread" in text and "segfault" in text and "ctypes" in text


def _stack_was_shown(stage: Stage) -> None:
    stage.died(stage.victim, signal.SIGSEGV)
    assert "Current thread" in stage.errors(), "the fault handler's text is on standard error"


def _kill_running(stage: Stage) -> Any:
    future = stage.perform(tasks.wait_for_ever)
    assert future.running()
    stage.kill(stage.victim)
    return future


def _kill_idle(stage: Stage) -> None:
    stage.victim = stage.idle
    stage.notes["process"] = stage.executor._processes[stage.victim.pid]
    stage.kill(stage.victim)


def _interrupt_idle(stage: Stage) -> None:
    stage.victim = stage.idle
    stage.kill(stage.victim, signal.SIGINT)


def _interrupt_was_taken(stage: Stage) -> None:
    """The signal does not wait any more, and the worker goes on."""
    stage.until(lambda: not pending_signals(stage.victim.pid) & 1 << signal.SIGINT - 1)
    assert not stage.victim.gone(0)


def _worker_is_known_to_be_dead(stage: Stage) -> None:
    stage.died(stage.victim, signal.SIGKILL)
    process = stage.notes["process"]
    stage.until(lambda: process.exitcode is not None, limit_s=1)
    assert process.exitcode == -signal.SIGKILL
    assert stage.victim.pid not in stage.executor._processes
    if stage.mode == "break":
        stage.until(lambda: stage.executor._flags.broken is not None, limit_s=1)


def _kill_while(word: str, call: Any) -> Any:
    """Kill the worker when it tells this word."""

    def provoke(stage: Stage) -> Any:
        future = stage.submit(*call(str(stage.folder)))
        stage.victim = stage.watch(stage.news(word))
        stage.kill(stage.victim)
        return future

    return provoke


def _kill_while_receiving(data: Any) -> Any:
    """The idle worker is stopped, so that what is sent to it stays on the way, and then killed."""

    def provoke(stage: Stage) -> Any:
        stage.victim = stage.idle
        stage.kill(stage.victim, signal.SIGSTOP)
        stage.until(lambda: state_of(stage.victim.pid) == "T")
        futures = [stage.submit(len, data(number)) for number in range(6)]
        stage.notes["futures"] = futures
        stage.fill_queue()
        stage.kill(stage.victim)
        return futures[0]

    return provoke


def _all_arrived(length: int) -> Any:
    def proof(stage: Stage) -> None:
        stage.died(stage.victim, signal.SIGKILL)
        if stage.mode == "recover":
            assert [future.result(10) for future in stage.notes["futures"]] == [length] * 6

    return proof


def _kill_before_ready(stage: Stage) -> Any:
    future = stage.submit(tasks.give, "done")
    stage.victim = stage.watch(stage.news("starting"))
    stage.kill(stage.victim)
    if stage.mode == "recover":
        stage.open("start")
    return future


def _start_slowly(stage: Stage) -> dict[str, Any]:
    stage.gate("start")
    return {"initializer": values.start_at_gate, "initargs": (str(stage.folder), "start")}


def _die_in_initializer(stage: Stage) -> dict[str, Any]:
    return {"initializer": values.tell_and_die, "initargs": (str(stage.folder), signal.SIGKILL)}


def _first_victim(stage: Stage) -> Any:
    future = stage.submit(tasks.give, 1)
    stage.news("dying")
    return future


def _deaths(stage: Stage) -> None:
    """Each worker told that it was about to die: as many as the budget allows, and not many more."""
    count = 1
    while stage.heard("dying"):
        stage.news("dying")
        count += 1
    least = 9 if stage.mode == "recover" else 1
    assert least <= count <= least + 4, count


def _was_answered_first(stage: Stage) -> None:
    stage.died(stage.watch(stage.news("answered")), signal.SIGKILL)


_PROTOCOL = terminated(
    "protocol", "bytes that are no message", "{SIGKILL(-9)}", signal="SIGKILL", exitcode=-9
)
_INTERRUPTED_FRAME = struct.pack("<IBBHQII", 100, 17, 0, 0, 1, 1, 0) + bytes(30)
"""A frame of an answer whose body should have 100 bytes, and has fewer."""

ROWS = [
    Row(
        name="the-task-ends-in-a-segmentation-fault",
        failure=DIED_RUNNING,
        provoke=performs(tasks.segfault),
        gets=by_signal(signal.SIGSEGV, python_stack=_has_stack),
        proof=_stack_was_shown,
    ),
    Row(
        name="the-task-aborts",
        failure=DIED_RUNNING,
        provoke=performs(os.abort),
        gets=by_signal(signal.SIGABRT, python_stack=lambda text: "Current thread" in text),
        proof=victim_died(signal.SIGABRT),
    ),
    *(
        Row(
            name=f"the-task-is-ended-by-{signal.Signals(number).name.lower()}",
            failure=DIED_RUNNING,
            provoke=performs(tasks.die_by, number),
            gets=by_signal(number),
            proof=victim_died(number),
        )
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP)
    ),
    *(
        Row(
            name=f"the-task-calls-os-exit-{status}",
            failure=DIED_RUNNING,
            provoke=performs(os._exit, status),
            gets=by_exit(status),
            proof=victim_died(status=status),
        )
        for status in (0, 1, 255)
    ),
    Row(
        name="the-task-calls-exit-in-c",
        failure=DIED_RUNNING,
        provoke=performs(tasks.c_exit, 42),
        gets=by_exit(42),
        proof=victim_died(status=42),
    ),
    Row(
        name="the-worker-is-killed-while-it-runs-a-task",
        failure=DIED_RUNNING,
        provoke=_kill_running,
        gets=by_signal(signal.SIGKILL),
        proof=victim_died(signal.SIGKILL),
    ),
    Row(
        name="the-worker-is-killed-while-it-unpickles-an-argument",
        failure=DIED_RUNNING,
        provoke=_kill_while("rebuilding", lambda folder: (tasks.give, values.BlocksOnLoad(folder))),
        gets=by_signal(signal.SIGKILL, task="give"),
        proof=victim_died(signal.SIGKILL),
    ),
    Row(
        name="the-worker-is-killed-while-it-pickles-its-result",
        failure=DIED_RUNNING,
        provoke=_kill_while("reducing", lambda folder: (tasks.make, values.BlocksOnDump, folder)),
        gets=by_signal(signal.SIGKILL, task="make"),
        proof=victim_died(signal.SIGKILL),
    ),
    Row(
        name="the-worker-is-killed-in-the-middle-of-its-answer",
        failure=DIED_RUNNING,
        provoke=performs(values.write_and_die, _INTERRUPTED_FRAME),
        gets=by_signal(signal.SIGKILL),
        proof=victim_died(signal.SIGKILL),
    ),
    Row(
        name="the-worker-is-killed-right-after-its-answer",
        failure=DIED_IDLE,
        provoke=lambda stage: stage.perform(values.die_after_answer, str(stage.folder)),
        gets=Gives(value="answered"),
        proof=_was_answered_first,
    ),
    Row(
        name="an-idle-worker-is-killed",
        failure=DIED_IDLE,
        provoke=_kill_idle,
        gets=None,
        proof=_worker_is_known_to_be_dead,
    ),
    Row(
        name="an-idle-worker-is-interrupted",
        failure=INTERRUPTED_IDLE,
        provoke=_interrupt_idle,
        gets=None,
        proof=_interrupt_was_taken,
    ),
    Row(
        name="the-worker-is-killed-while-small-tasks-are-on-their-way",
        failure=DIED_IDLE,
        provoke=_kill_while_receiving(lambda number: bytes([number]) * STREAM_BYTES),
        gets=Gives(value=STREAM_BYTES),
        gets_if_broken=Raises(kind=TerminatedWorkerError, report={"started": False, "signal": "SIGKILL"}),
        proof=_all_arrived(STREAM_BYTES),
    ),
    Row(
        name="the-worker-is-killed-while-large-tasks-are-on-their-way",
        failure=DIED_IDLE,
        provoke=_kill_while_receiving(lambda number: bytearray([number]) * LARGE_BYTES),
        gets=Gives(value=LARGE_BYTES),
        gets_if_broken=Raises(kind=TerminatedWorkerError, report={"started": False, "signal": "SIGKILL"}),
        proof=_all_arrived(LARGE_BYTES),
    ),
    Row(
        name="a-worker-is-killed-before-it-is-ready",
        failure=DIED_IDLE,
        provoke=_kill_before_ready,
        gets=Gives(value="done"),
        gets_if_broken=Raises(kind=TerminatedWorkerError, report={"started": False, "signal": "SIGKILL"}),
        proof=victim_died(signal.SIGKILL),
        options=_start_slowly,
        cold=True,
    ),
    Row(
        name="every-worker-dies-before-it-is-ready",
        failure=FRUITLESS,
        provoke=_first_victim,
        gets=Raises(
            kind=BrokenProcessPool,
            text=("again and again",),
            fields={"__cause__": lambda cause: cause.report.signal == "SIGKILL" and not cause.report.started},
        ),
        gets_if_broken=Raises(kind=TerminatedWorkerError, report={"started": False, "signal": "SIGKILL"}),
        proof=_deaths,
        options=_die_in_initializer,
        cold=True,
    ),
    Row(
        name="the-task-writes-what-is-no-frame-to-the-pool",
        failure=PROTOCOL,
        provoke=performs(values.write_and_wait, b"garbage " * 64),
        gets=_PROTOCOL,
        proof=victim_died(signal.SIGKILL),
    ),
    Row(
        name="the-task-writes-a-frame-that-only-the-parent-may-send",
        failure=PROTOCOL,
        provoke=performs(values.write_and_wait, bytes((0, 0, 0, 0, 3)) + bytes(19)),
        gets=_PROTOCOL,
        proof=victim_died(signal.SIGKILL),
    ),
    Row(
        name="the-task-closes-all-descriptors-and-stays",
        failure=PROTOCOL,
        provoke=performs(values.close_everything_and_wait),
        gets=_PROTOCOL,
        proof=victim_died(signal.SIGKILL),
    ),
    # Its answer is lost with the socket, or lies in the ring; the worker ends in any case.
    Row(
        name="the-task-closes-all-descriptors-and-returns",
        failure=DIED_RUNNING,
        provoke=performs(partial(os.closerange, 3, 4096)),
        gets=by_exit(1) if BY_SOCKET else Gives(value=None),
        proof=victim_died(status=1),
    ),
]
