"""Ends of a worker that look alike are told apart, by what is found and not by guesses."""

import os
import signal

import pytest

from loky import BrokenProcessPool, TerminatedWorkerError
from tests.evidence import tasks
from tests.support.gates import pass_gate

RET_TRAP = 0x00030000
RET_KILL_PROCESS = 0x80000000


def death(pool, function, *args, **options):
    executor = pool(1, **options)
    error = executor.submit(function, *args).exception()
    assert type(error) is TerminatedWorkerError
    assert executor.submit(tasks.answer, 5).result() == 5
    assert error.report.evidence == tuple(error.report.as_dict()["evidence"])
    assert all(f"- {fact}\n" in str(error) for fact in error.report.evidence)
    return error.report


def facts(report):
    return "; ".join(report.evidence)


def test_an_exit_that_skips_all_handlers(pool):
    report = death(pool, tasks.exit_in_python, 7)
    assert (report.cause, report.signal, report.exitcode) == ("exit", None, 7)
    assert "os._exit() or _exit()" in facts(report)
    assert "os._exit()" in report.advice


def test_an_exit_of_the_c_library(pool):
    report = death(pool, tasks.exit_in_c, 7)
    assert (report.cause, report.signal, report.exitcode) == ("exit", None, 7)
    assert "exit() of the C library was called" in facts(report)
    assert "native code" in report.advice


def test_an_exit_in_a_fork_of_the_worker_is_not_the_workers(pool):
    def fork_then_exit():
        if os.fork() == 0:
            tasks.exit_in_c(3)
        os.wait()
        os._exit(4)

    report = death(pool, fork_then_exit)
    assert report.exitcode == 4
    assert "os._exit() or _exit()" in facts(report)


def test_an_abort(pool):
    report = death(pool, os.abort)
    assert (report.signal, report.exitcode) == ("SIGABRT", -6)
    assert "the process sent SIGABRT to itself" in facts(report)
    assert "Current thread" in report.python_stack


def test_an_abort_signal_from_somebody_else(pool, gate):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    os.kill(gate.wait_begun()[0], signal.SIGABRT)
    report = future.exception().report
    assert report.signal == "SIGABRT"
    assert f"SIGABRT was sent by process {os.getpid()}" in facts(report)


def test_a_null_pointer(pool):
    report = death(pool, tasks.null_pointer)
    assert report.signal == "SIGSEGV"
    assert "it touched address 0x8: a null pointer" in facts(report)
    assert "stack" not in facts(report)
    assert "null_pointer" in report.python_stack


def test_a_stack_that_is_used_up(pool):
    report = death(pool, tasks.recurse_in_c)
    assert report.signal == "SIGSEGV"
    assert "its stack was full" in facts(report)
    assert "RLIMIT_STACK" in facts(report)
    assert "recursion" in report.advice
    assert "in step" in report.python_stack


def test_a_stack_of_another_thread_that_is_used_up(pool):
    report = death(pool, tasks.recurse_in_a_thread)
    assert report.signal == "SIGSEGV"
    assert "no handler of faults could run: the stack of that thread was full" in facts(report)


def test_a_mapping_that_has_lost_its_file(pool):
    report = death(pool, tasks.touch_a_lost_mapping)
    assert (report.signal, report.exitcode) == ("SIGBUS", -7)
    assert "in a mapping that is longer than its file has become" in facts(report)
    assert "touch_a_lost_mapping" in report.python_stack


def test_a_system_call_that_a_filter_traps(pool):
    report = death(pool, tasks.be_refused_a_call, RET_TRAP)
    assert report.signal == "SIGSYS"
    assert "(seccomp) refused call number 14" in facts(report)
    assert "seccomp" in report.advice


def test_a_system_call_for_which_a_filter_kills(pool):
    report = death(pool, tasks.be_refused_a_call, RET_KILL_PROCESS)
    assert report.signal == "SIGSYS"
    assert "(seccomp) ended it without a word" in facts(report)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_by_request_of_this_program(pool, gate, number):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    process = executor._processes[gate.wait_begun()[0]]
    if number == signal.SIGTERM:
        process.terminate()
    else:
        process.kill()
    error = future.exception()
    assert (error.report.cause, error.report.exitcode) == ("killed", -number)
    assert f"was ended by {number.name} at the request of this program" in str(error)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_that_this_pool_did_not_send(pool, gate, number):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    os.kill(gate.wait_begun()[0], number)
    error = future.exception()
    assert (error.report.cause, error.report.exitcode) == ("signal", -number)
    assert f"{number.name}, which this pool did not send" in str(error).splitlines()[0]


def test_a_request_that_came_too_late_takes_no_blame(pool, gate):
    executor = pool(1)
    future = executor.submit(pass_gate, gate.folder)
    pid = gate.wait_begun()[0]
    process = executor._processes[pid]
    os.kill(pid, signal.SIGKILL)
    assert future.exception().report.cause == "signal"
    process.kill()


def test_an_interpreter_that_cannot_start_at_all(pool):
    executor = pool(1, env={"PYTHONHOME": "/nowhere"})
    error = executor.submit(tasks.answer, 1).exception()
    assert type(error) is BrokenProcessPool
    assert "The last time, it left with exit code 1. Look at what it printed" in str(error)


def test_a_worker_whose_interpreter_cannot_start(pool, monkeypatch):
    executor = pool(1, capture_stderr=True)
    assert executor.submit(tasks.answer, 1).result() == 1
    # A fork of the helper could not take this on, so the next worker is executed.
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    assert executor.submit(tasks.exit_in_python, 7).exception().report.exitcode == 7
    error = executor.submit(tasks.answer, 1).exception()
    assert type(error) is BrokenProcessPool
    report = error.__cause__.report
    assert (report.cause, report.exitcode, report.started) == ("exit", 1, False)
    assert "it ended while it was starting" in facts(report)
    assert "No module named 'encodings'" in report.stderr_tail
    assert "starting" in report.advice


def test_an_import_that_fails_in_the_worker_is_the_cause(pool):
    executor = pool(1, initializer=__import__, initargs=("no_such_module_at_all",))
    error = executor.submit(tasks.answer, 1).exception()
    assert type(error) is BrokenProcessPool
    assert "no_such_module_at_all" in str(error.__cause__)


def test_the_report_is_plain_and_frozen(pool):
    report = death(pool, tasks.exit_in_python, 7)
    plain = report.as_dict()
    assert {"cause", "evidence", "advice", "stderr_tail", "python_stack", "peak_rss_bytes"} <= set(plain)
    assert type(plain["cause"]) is str
    assert type(plain["evidence"]) is list
    with pytest.raises(AttributeError):
        report.cause = "oom"
