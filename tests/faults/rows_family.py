"""Rows in which the zygote or the parent dies, or no process can be started."""

import errno
import os
import signal
import sys
from typing import Any

from loky import BrokenProcessPool, ProcessPoolExecutor, TerminatedWorkerError
from tests.faults import failures, parents, tasks, values
from tests.faults.listening import listening
from tests.faults.refusal import forks_refused
from tests.faults.rows_deaths import terminated
from tests.faults.stage import Stage, state_of
from tests.faults.table import Gives, Others, Raises, Row

IDLE_S = 0.2
_BOMB_LEN = 5
_PROMISED_S = 2.0

_WITH_ZYGOTE = terminated(
    "zygote",
    "the process that starts the workers died",
    "the process that starts the workers was ended by SIGKILL",
    signal=None,
    exitcode=None,
)
_BROKEN_BY_ZYGOTE = Raises(kind=TerminatedWorkerError, report={"cause": "zygote", "started": False})


def _kill_idle_zygote(stage: Stage) -> None:
    stage.kill(stage.zygote)
    assert stage.zygote.gone(10)
    if stage.mode == "break":
        stage.until(lambda: stage.executor._flags.broken is not None, limit_s=1)


def _kill_busy_zygote(stage: Stage) -> Any:
    future = stage.perform(tasks.wait_for_ever)
    stage.kill(stage.zygote)
    return future


def _zygote_took_its_workers_along(stage: Stage) -> None:
    stage.died(stage.zygote, signal.SIGKILL)
    for worker in stage.workers:
        stage.died(worker, signal.SIGKILL)


def _kill_zygote_that_has_not_looked(stage: Stage) -> Any:
    """Kill a worker while the zygote is stopped, so that its children are the zygote's; then kill that."""
    future = stage.perform(tasks.have_strays, str(stage.folder))
    strays = [stage.watch(stage.news("stray")) for _ in range(3)]
    stage.kill(stage.zygote, signal.SIGSTOP)
    stage.until(lambda: state_of(stage.zygote.pid) == "T")
    stage.kill(stage.victim)
    assert stage.victim.gone(10)
    assert {stage.parent_of(stray.pid) for stray in strays} == {stage.zygote.pid}
    stage.kill(stage.zygote)
    stage.notes["left"] = [stray.pid for stray in strays if not stray.gone(_PROMISED_S)]
    return future


def _strays_are_gone(stage: Stage) -> None:
    _zygote_took_its_workers_along(stage)
    assert stage.notes["left"] == []


def _let_workers_retire(stage: Stage) -> None:
    """Have a pool whose zygote waits for orders, with no worker."""
    stage.warm_up()
    for worker in stage.workers:
        assert worker.gone(10), "an idle worker did not leave"
    stage.until(lambda: not stage.executor._processes)
    stage.workers = []


def _kill_spawning_zygote(stage: Stage) -> Any:
    """The zygote is stopped, so that the orders stay on their way to it, and then killed."""
    _let_workers_retire(stage)
    stage.kill(stage.zygote, signal.SIGSTOP)
    ordered = stage.statistic("spawns_ordered")
    submitted = stage.in_background(stage.submit, tasks.give, "value")
    stage.until(lambda: stage.statistic("spawns_ordered") == ordered + 2)
    assert stage.statistic("spawned") == ordered
    stage.kill(stage.zygote)
    return submitted


def _kill_starting_zygote(stage: Stage) -> Any:
    future = stage.submit(tasks.give, "value")
    workers = [stage.watch(stage.news("starting")) for _ in range(2)]
    stage.zygote = stage.watch(stage.parent_of(workers[0].pid))
    stage.kill(stage.zygote)
    assert all(worker.gone(10) for worker in workers)
    stage.open("start")
    return future


def _start_slowly(stage: Stage) -> dict[str, Any]:
    stage.gate("start")
    return {"initializer": values.start_at_gate, "initargs": (str(stage.folder), "start")}


def _zygotes_died(stage: Stage) -> None:
    least = 9 if stage.mode == "recover" else 1
    assert stage.statistic("launchers_died") >= least


def _with_executable(path: str, first: bool = False) -> Any:
    """Start a pool while the interpreter's own path is wrong.

    Args:
        first: it is the first pool of the program, so that the helpers which all pools share are
            not there either.
    """

    def provoke(stage: Stage) -> Any:
        if not first:
            with ProcessPoolExecutor(1) as executor:
                executor.submit(tasks.give, 1).result(10)
        own = sys.executable
        sys.executable = path
        try:
            # In the mode `break` the zygote may be over before the first task is there.
            return stage.attempt(stage.submit, tasks.give, 1)
        finally:
            sys.executable = own

    return provoke


def _no_zygote_lives(stage: Stage) -> None:
    assert not stage.executor._processes
    assert stage.statistic("spawned") == 0


def _refuse_forks(lifted: bool) -> Any:
    def provoke(stage: Stage) -> Any:
        _let_workers_retire(stage)
        with forks_refused(stage.zygote.pid) as refusal:
            submitted = stage.in_background(stage.submit, tasks.give, "value")
            stage.until(lambda: stage.statistic("spawns_failed") > 0)
            if not lifted:
                stage.outcome(submitted)
            stage.notes["refused"] = refusal.count()
        return submitted

    return provoke


def _bomb(function: Any) -> Any:
    """A task forks until it is refused, while others run and wait."""

    def provoke(stage: Stage) -> Any:
        cue, refused = stage.gate("cue"), stage.gate("refused")
        future = stage.submit(tasks.do, str(stage.folder), cue, function, str(stage.folder), refused)
        stage.victim = stage.watch(stage.news("began"))
        stage.fill_queue()
        room = _BOMB_LEN if os.geteuid() == 0 else 0
        with forks_refused(stage.victim.pid, room) as refusal:
            stage.open(cue)
            stage.notes["children"] = [stage.watch(stage.news("child")) for _ in range(room)]
            stage.open(refused)
            stage.outcome(future)
            stage.notes["refused"] = refusal.count()
        return future

    return provoke


def _fork_was_refused(stage: Stage) -> None:
    assert stage.notes["refused"] > 0
    assert not stage.victim.gone(0)


def _bomb_is_gone(stage: Stage) -> None:
    assert stage.notes["refused"] > 0
    stage.died(stage.victim, signal.SIGKILL)
    for child in stage.notes["children"]:
        stage.died(child, signal.SIGKILL)


def _kill_without_replacement(stage: Stage) -> Any:
    """A worker dies when no other can be made; after a while one can."""
    stage.victim = stage.idle
    stage.notes["told"] = stage.until_the_end(listening()).told
    with forks_refused(stage.zygote.pid) as refusal:
        stage.kill(stage.victim)
        if stage.mode == "recover":
            stage.until(lambda: stage.statistic("spawns_failed") >= 3)
            stage.notes["refused"] = refusal.count()
            stage.fill_queue()
            assert not any(future.done() for future in stage.waiting), "there is no worker for them"
    return None


def _was_replaced_later(stage: Stage) -> None:
    stage.died(stage.victim, signal.SIGKILL)
    if stage.mode == "break":
        stage.until(lambda: stage.executor._flags.broken is not None)
        return
    assert stage.notes["refused"] >= 3
    assert stage.executor.statistics().starts_failed >= 3
    (told,) = stage.notes["told"]
    assert told.startswith(f"a worker process cannot be started ({os.strerror(errno.EAGAIN)})")


def _forks_were_refused(stage: Stage) -> None:
    assert stage.notes["refused"] > 0
    assert stage.statistic("spawns_failed") > 0


def _retire(_stage: Stage) -> dict[str, Any]:
    return {"timeout": IDLE_S}


def _end_parent(how: str) -> Any:
    """A program with a pool ends; its family is watched from here."""

    def provoke(stage: Stage) -> None:
        with parents.Program(stage, how) as program:
            program.end()
            stage.notes["left"] = program.left_after(_PROMISED_S)

    return provoke


def _family_is_gone(stage: Stage) -> None:
    assert stage.notes["left"] == []


_MISSING = Raises(
    kind=BrokenProcessPool,
    text=("no worker process could be started", "No such file or directory", "sys.executable"),
    fields={"__cause__": lambda error: type(error) is FileNotFoundError},
)

ZYGOTES = [
    Row(
        name="the-zygote-is-killed-while-all-is-idle",
        failure=failures.ZYGOTE,
        provoke=_kill_idle_zygote,
        gets=None,
        proof=_zygote_took_its_workers_along,
        crowd=False,
    ),
    Row(
        name="the-zygote-is-killed-with-running-and-queued-tasks",
        failure=failures.ZYGOTE,
        provoke=_kill_busy_zygote,
        gets=_WITH_ZYGOTE,
        proof=_zygote_took_its_workers_along,
    ),
    Row(
        name="the-zygote-is-killed-before-it-looks-whom-a-worker-left",
        failure=failures.ZYGOTE,
        provoke=_kill_zygote_that_has_not_looked,
        gets=_WITH_ZYGOTE,
        proof=_strays_are_gone,
    ),
    Row(
        name="a-task-kills-its-parent-process",
        failure=failures.ZYGOTE,
        provoke=lambda stage: stage.perform(tasks.kill_parent),
        gets=_WITH_ZYGOTE,
        proof=_zygote_took_its_workers_along,
    ),
    Row(
        name="the-zygote-is-killed-with-orders-of-workers-on-their-way",
        failure=failures.ZYGOTE,
        provoke=_kill_spawning_zygote,
        gets=Gives(value="value"),
        gets_if_broken=_BROKEN_BY_ZYGOTE,
        proof=lambda stage: stage.died(stage.zygote, signal.SIGKILL),
        options=_retire,
        cold=True,
    ),
    Row(
        name="the-zygote-is-killed-before-its-workers-are-ready",
        failure=failures.ZYGOTE,
        provoke=_kill_starting_zygote,
        gets=Gives(value="value"),
        gets_if_broken=_BROKEN_BY_ZYGOTE,
        proof=lambda stage: stage.died(stage.zygote, signal.SIGKILL),
        options=_start_slowly,
        cold=True,
    ),
    Row(
        name="every-zygote-dies-before-there-is-a-worker",
        failure=failures.ZYGOTE,
        provoke=lambda stage: stage.submit(tasks.give, 1),
        gets=Raises(
            kind=BrokenProcessPool,
            text=("the process that starts its workers died again", "it was ended by SIGKILL"),
        ),
        gets_if_broken=_BROKEN_BY_ZYGOTE,
        proof=_zygotes_died,
        options=lambda _stage: {"initializer": tasks.kill_parent},
        cold=True,
        others={"recover": Others.BROKEN},
    ),
]

STARTS = [
    Row(
        name="the-interpreter-is-missing",
        failure=failures.NO_PROCESS,
        provoke=_with_executable("/nonexistent/python"),
        gets=_MISSING,
        proof=_no_zygote_lives,
        cold=True,
    ),
    Row(
        name="the-interpreter-is-missing-at-the-first-pool",
        failure=failures.NO_PROCESS,
        provoke=_with_executable("/nonexistent/python", first=True),
        gets=_MISSING,
        proof=_no_zygote_lives,
        cold=True,
        alone=True,
    ),
    Row(
        name="the-interpreter-is-another-program",
        failure=failures.ZYGOTE,
        provoke=_with_executable("/bin/false"),
        gets=Raises(
            kind=BrokenProcessPool,
            text=("the process that starts its workers died again", "it left with exit code 1"),
        ),
        gets_if_broken=_BROKEN_BY_ZYGOTE,
        proof=_no_zygote_lives,
        cold=True,
        others={"recover": Others.BROKEN},
    ),
    Row(
        name="forks-are-refused",
        failure=failures.NO_PROCESS,
        provoke=_refuse_forks(lifted=False),
        gets=Raises(
            kind=BrokenProcessPool,
            text=("no worker process could be started", os.strerror(errno.EAGAIN), "ulimit -u"),
            fields={"__cause__": lambda error: error.errno == errno.EAGAIN},
        ),
        proof=_forks_were_refused,
        options=_retire,
        cold=True,
    ),
    Row(
        name="forks-are-refused-for-a-while",
        failure=failures.NO_PROCESS_FOR_A_WHILE,
        provoke=_refuse_forks(lifted=True),
        gets=Gives(value="value"),
        proof=_forks_were_refused,
        options=_retire,
        cold=True,
    ),
]

SHORTAGES = [
    Row(
        name="a-task-forks-until-it-is-refused",
        failure=failures.FORK_REFUSED,
        provoke=_bomb(tasks.fork_until_refused),
        gets=Raises(
            kind=BlockingIOError,
            text=(os.strerror(errno.EAGAIN),),
            cause=("in fork_until_refused",),
            fields={"errno": errno.EAGAIN},
        ),
        proof=_fork_was_refused,
    ),
    Row(
        name="a-task-forks-until-it-is-refused-and-dies-of-that",
        failure=failures.DIED_RUNNING,
        provoke=_bomb(tasks.fork_until_refused_and_die),
        gets=terminated("signal", "{SIGKILL(-9)}", signal="SIGKILL", exitcode=-9),
        proof=_bomb_is_gone,
    ),
    Row(
        name="a-worker-dies-when-no-other-can-be-made",
        failure=failures.DIED_IDLE,
        provoke=_kill_without_replacement,
        gets=None,
        proof=_was_replaced_later,
    ),
]

PARENTS = [
    Row(
        name=f"the-parent-{how}",
        failure=failures.PARENT,
        provoke=_end_parent(how),
        gets=None,
        proof=_family_is_gone,
        cold=True,
    )
    for how in parents.WAYS
]

ROWS = [*ZYGOTES, *STARTS, *SHORTAGES, *PARENTS]
