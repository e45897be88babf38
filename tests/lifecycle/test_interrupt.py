"""Ctrl-C: the program has the control back within a second, and the pool goes on."""

import contextlib
import os
import signal
import time

import pytest

from tests.support import programs, tasks
from tests.support.gates import Gate, pass_gate

BACK_S = 1.0
"""How long the program may take to notice."""

PROLOGUE = """
import os, sys, time, loky
from tests.support import tasks
from tests.support.gates import pass_gate, announce
folder = sys.argv[1]
executor = loky.ProcessPoolExecutor(2)
"""

EPILOGUE = """
print("workers", before == sorted(executor._processes))
print("usable", executor.submit(pow, 2, 3).result(), flush=True)
"""

# What the program waits in when Ctrl-C comes. The gate is never opened.
WAITS = {
    "result": "executor.submit(pass_gate, folder).result()",
    "exception": "executor.submit(pass_gate, folder).exception()",
    "wait": "loky.wait([executor.submit(pass_gate, folder)])",
    "as_completed": "list(loky.as_completed([executor.submit(pass_gate, folder)]))",
    "map": "list(executor.map(pass_gate, [folder]))",
    "join": "future = executor.submit(pass_gate, folder); next(iter(executor._processes.values())).join()",
}

WAITING = (
    PROLOGUE
    + """
executor.submit(pow, 2, 3).result()
before = sorted(executor._processes)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    {after}
"""
    + EPILOGUE
)


@pytest.fixture
def interrupted(gate: Gate):
    """Run a program until its task has begun, send Ctrl-C, and tell what it did then.

    To the program alone, or to its whole process group, as a terminal does.
    """

    def interrupt(program, *, group=True, count=1):
        process = programs.start("-c", program, gate.folder)
        with programs.ended_after(process):
            gate.wait_begun(count)
            begin_s = time.monotonic()
            if group:
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(signal.SIGINT)
            first = process.stdout.readline()
            back_s = time.monotonic() - begin_s
            gate.open()
            # Not by `communicate`, which knows nothing of what has been read ahead.
            output, errors = first + process.stdout.read(), process.stderr.read()
            return output, errors, back_s, process.wait(20)

    return interrupt


@pytest.mark.parametrize("group", [False, True], ids=["program", "group"])
@pytest.mark.parametrize("wait", WAITS)
def test_a_waiting_program_has_the_control_back_and_its_pool(interrupted, wait, group):
    output, errors, back_s, status = interrupted(WAITING.format(wait=WAITS[wait], after=""), group=group)
    assert output.splitlines() == ["interrupted", "workers True", "usable 8"]
    assert (errors, status) == ("", 0)
    assert back_s < BACK_S


@pytest.mark.parametrize("call", ["executor.shutdown(wait=True)", "executor.__exit__(None, None, None)"])
def test_a_shutdown_that_waits_is_interrupted_and_may_be_finished_later(interrupted, call):
    program = (
        PROLOGUE
        + """
try:
    future = executor.submit(pass_gate, folder, "done")
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
executor.shutdown()
print(future.done() and future.result(), flush=True)
"""
    )
    output, errors, back_s, status = interrupted(program.format(call=call), group=False)
    assert output.splitlines() == ["interrupted", "done"]
    assert (errors, status) == ("", 0)
    assert back_s < BACK_S


def test_a_shutdown_that_waits_can_be_followed_by_a_kill(interrupted):
    program = (
        PROLOGUE
        + """
try:
    future = executor.submit(pass_gate, folder)
    executor.shutdown()
except KeyboardInterrupt:
    print("interrupted", flush=True)
executor.shutdown(kill_workers=True)
print(type(future.exception()).__name__, flush=True)
"""
    )
    output, errors, back_s, _ = interrupted(program, group=False)
    assert output.splitlines() == ["interrupted", "ShutdownExecutorError"]
    assert errors == ""
    assert back_s < BACK_S


def test_the_task_of_an_interrupted_group_raises_keyboard_interrupt(interrupted):
    program = (
        PROLOGUE
        + """
try:
    future = executor.submit(pass_gate, folder)
    future.result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(type(future.exception()).__name__, type(future.exception().__cause__).__name__)
"""
    )
    output, errors, _, _ = interrupted(program)
    assert output.splitlines() == ["interrupted", "KeyboardInterrupt _RemoteTraceback"]
    assert errors == ""


@pytest.mark.parametrize("mode", ["recover", "break"])
def test_idle_workers_are_not_disturbed(interrupted, mode):
    """In the original loky an idle worker takes the pool with it."""
    program = (
        PROLOGUE.replace("Executor(2)", f"Executor(2, on_crash={mode!r})")
        + """
executor.submit(pow, 2, 3).result()
before = sorted(executor._processes)
try:
    announce(folder)
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
        + EPILOGUE
    )
    for _ in range(2):
        output, errors, back_s, _ = interrupted(program)
        assert output.splitlines() == ["interrupted", "workers True", "usable 8"]
        assert errors == ""
        assert back_s < BACK_S


def test_workers_that_are_just_starting_are_interrupted_without_harm(interrupted):
    program = (
        PROLOGUE
        + """
executor = loky.ProcessPoolExecutor(2, initializer=pass_gate, initargs=(folder,))
try:
    executor.submit(pow, 2, 3).result()
except BaseException as error:
    print(type(error).__name__, flush=True)
executor.shutdown(kill_workers=True)
executor = loky.ProcessPoolExecutor(1)
print("usable", executor.submit(pow, 2, 3).result(), flush=True)
"""
    )
    output, errors, back_s, status = interrupted(program, group=False, count=2)
    assert output.splitlines() == ["KeyboardInterrupt", "usable 8"]
    assert (errors, status) == ("", 0)
    assert back_s < BACK_S


# Ctrl-C hits the first submit at any point of the start-up of its workers.
STARTING = (
    PROLOGUE
    + """
import signal
signal.signal(signal.SIGALRM, {handler})
count = 0
for delay in range(25):
    executor = loky.ProcessPoolExecutor(2, on_crash="{mode}")
    signal.setitimer(signal.ITIMER_REAL, 0.0005 + delay * 0.003)
    try:
        executor.submit(tasks.identity, 1).result()
        time.sleep(20)
    except KeyboardInterrupt:
        count += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert executor.submit(pow, 2, 3).result(20) == 8
    assert len(executor._processes) == 2
    executor.shutdown()
print(count)
"""
)
HANDLERS = {
    "program": "signal.default_int_handler",
    "group": "lambda *_: os.killpg(0, signal.SIGINT)",
}


@pytest.mark.parametrize("mode", ["recover", "break"])
@pytest.mark.parametrize("whom", HANDLERS)
def test_an_interrupt_at_any_point_of_the_start_leaves_a_usable_pool(gate, whom, mode):
    """Neither the program nor a worker that is not ready yet takes harm."""
    process = programs.start("-c", STARTING.format(handler=HANDLERS[whom], mode=mode), gate.folder)
    with programs.ended_after(process):
        output, errors = process.communicate(timeout=60)
    assert (output, errors, process.returncode) == ("25\n", "", 0)


def test_a_program_that_does_not_catch_it_ends_with_one_traceback(interrupted):
    program = PROLOGUE + "executor.submit(pass_gate, folder).result()\n"
    output, errors, back_s, status = interrupted(program)
    assert output == ""
    assert errors.count("Traceback (most recent call last)") == 1
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert status in {-signal.SIGINT, 130}
    assert back_s < 5


def test_a_second_interrupt_at_exit_ends_a_program_whose_tasks_go_on(gate):
    process = programs.start("-c", PROLOGUE + "executor.submit(stubborn, folder).result()\n".replace(
        "stubborn", "tasks.stubborn"), gate.folder)  # fmt: skip
    with programs.ended_after(process):
        gate.wait_begun()
        os.kill(process.pid, signal.SIGINT)
        assert "Traceback" in process.stderr.readline()
        deadline_s = time.monotonic() + 10
        while process.poll() is None and time.monotonic() < deadline_s:
            os.kill(process.pid, signal.SIGINT)
            with contextlib.suppress(Exception):
                process.wait(0.2)
        assert process.poll() is not None


@contextlib.contextmanager
def on_terminal(program, gate):
    with contextlib.closing(programs.Terminal("-c", program, gate.folder)) as terminal:
        yield terminal


def test_ctrl_c_on_a_terminal(gate):
    program = WAITING.format(wait=WAITS["result"], after="")
    with on_terminal(program, gate) as terminal:
        gate.wait_begun()
        begin_s = time.monotonic()
        terminal.interrupt()
        terminal.expect("interrupted")
        assert time.monotonic() - begin_s < BACK_S
        text = terminal.expect("usable 8")
        assert "workers True" in text
        assert "Traceback" not in text
        assert terminal.process.wait(10) == 0


def test_ctrl_c_in_a_session_on_a_terminal_keeps_the_pool():
    with contextlib.closing(programs.Terminal("-q", "-i")) as terminal:
        terminal.expect(">>> ")
        for line in ("import loky, time", "executor = loky.get_reusable_executor(2)"):
            terminal.type(line)
            terminal.expect(">>> ")
        terminal.type("executor.submit(pow, 2, 5).result()")
        terminal.expect("32")
        terminal.expect(">>> ")
        for _ in range(3):
            terminal.type("print('be' + 'gun'); executor.submit(time.sleep, 60).result()")
            terminal.expect("begun")
            terminal.interrupt()
            text = terminal.expect(">>> ")
            assert text.count("Traceback") == 1
            assert "KeyboardInterrupt" in text
            terminal.type("executor.submit(pow, 2, 6).result()")
            terminal.expect("64")
            terminal.expect(">>> ")


def test_interrupts_of_a_group_whose_workers_are_leaving_are_not_heard_of(gate):
    program = (
        PROLOGUE
        + """
import signal
for delay in range(30):
    executor = loky.ProcessPoolExecutor(2)
    executor.submit(pow, 2, 3).result()
    executor.shutdown(wait=False)
    time.sleep(delay * 0.0005)
    try:
        os.killpg(0, signal.SIGINT)
        time.sleep(20)
    except KeyboardInterrupt:
        pass
    executor.shutdown()
print("done")
"""
    )
    process = programs.start("-c", program, gate.folder)
    with programs.ended_after(process):
        output, errors = process.communicate(timeout=60)
    assert (output, errors, process.returncode) == ("done\n", "", 0)


def test_a_program_that_ignores_interrupts_has_workers_that_do(interrupted):
    program = (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        + PROLOGUE
        + """
future = executor.submit(pass_gate, folder, "undisturbed")
print("first line", flush=True)
print(future.result())
"""
    )
    output, errors, _, _ = interrupted(program)
    assert output.splitlines() == ["first line", "undisturbed"]
    assert errors == ""


def test_an_interrupt_of_a_worker_alone_is_the_error_of_its_task(gate, pool):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    (worker,) = gate.wait_begun()
    os.kill(worker, signal.SIGINT)
    assert isinstance(future.exception(20), KeyboardInterrupt)
    assert executor.submit(tasks.pid).result() == worker


@pytest.mark.parametrize("mode", ["recover", "break"])
def test_an_interrupt_of_an_idle_worker_changes_nothing(pool, mode):
    executor = pool(1, on_crash=mode)
    worker = executor.submit(tasks.pid).result()
    for _ in range(20):
        os.kill(worker, signal.SIGINT)
    assert executor.submit(tasks.pid).result() == worker


@pytest.mark.parametrize("mode", ["recover", "break"])
def test_interrupts_between_short_tasks_lose_no_answer(pool, mode):
    executor = pool(1, on_crash=mode)
    worker = executor.submit(tasks.pid).result()
    for number in range(300):
        future = executor.submit(tasks.identity, number)
        os.kill(worker, signal.SIGINT)
        error = future.exception(20)
        assert error is None or isinstance(error, KeyboardInterrupt)
        assert error is not None or future.result() == number
    assert executor.submit(tasks.pid).result() == worker
