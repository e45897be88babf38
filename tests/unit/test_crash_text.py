"""The report of a crash and its text, word for word."""

import json
import sys

import pytest

from loky import _exceptions, _report

FACTS = {
    "cause": "signal",
    "signal": "SIGSEGV",
    "exitcode": -11,
    "pid": 4711,
    "worker": 1,
    "attempt": 1,
    "started": True,
    "runtime_s": 0.5214,
    "peak_rss_bytes": 150 * 2**20,
    "python_stack": None,
}
EVIDENCE = "Evidence: pid 4711, worker 1, task f, attempt 1, ran for 0.521 s, peak memory 150.0 MiB."


def text(**facts):
    return str(_exceptions.terminated({**FACTS, **facts}, "f"))


def test_a_segmentation_fault():
    assert text() == (
        "The worker process that ran this task was killed by SIGSEGV. "
        "The exit codes of the workers are {SIGSEGV(-11)}.\n"
        f"{EVIDENCE}\n"
        "Native code read or wrote memory that is not its own: look at what is on top of the stack."
    )


def test_the_python_stack_stands_before_the_advice():
    lines = text(python_stack="Current thread 0x1:\n  File a in f\n").splitlines()
    assert lines[2:5] == ["Python stack of the worker:", "Current thread 0x1:", "  File a in f"]
    assert lines[5].startswith("Native code")


def test_a_kill_from_outside_claims_no_cause_without_evidence():
    assert text(signal="SIGKILL", exitcode=-9) == (
        "The worker process that ran this task was killed by SIGKILL, which this pool did not send; possibly "
        "out of memory. "
        "The exit codes of the workers are {SIGKILL(-9)}.\n"
        f"{EVIDENCE}\n"
        "Look into the kernel's log (dmesg) for an out-of-memory kill; fewer workers or smaller tasks need "
        "less memory."
    )


def test_an_exit():
    assert text(cause="exit", signal=None, exitcode=1) == (
        "The worker process that ran this task left without answering, with exit code 1. "
        "The exit codes of the workers are {EXIT(1)}.\n"
        f"{EVIDENCE}\n"
        "Look for os._exit() in the task, or for exit() in native code that it calls."
    )


def test_a_task_that_another_ones_crash_costs():
    error = _exceptions.pool_broken({"why": "worker_died", "report": FACTS}, "g", True, None)
    assert str(error) == (
        "A worker process of this pool was killed by SIGSEGV. "
        "The exit codes of the workers are {SIGSEGV(-11)}.\n"
        "The pool is broken; this task had not been finished when it broke.\n"
        "Evidence: pid 4711, worker 1, task g, peak memory 150.0 MiB.\n"
        "Native code read or wrote memory that is not its own: look at what is on top of the stack."
    )
    assert (error.report.started, error.report.attempt, error.report.runtime_s) == (False, 0, None)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"cause": "protocol", "signal": None, "exitcode": None}, "sent bytes that are no message"),
        ({"cause": "zygote", "signal": None, "exitcode": None}, "the process that starts the workers died"),
        ({"cause": "killed", "signal": "SIGKILL", "exitcode": -9}, "at the request of this program"),
        ({"signal": "SIGTERM", "exitcode": -15}, "was ended by SIGTERM, which this pool did not send"),
    ],
)
def test_other_causes(facts, sentence):
    assert sentence in text(**facts)


@pytest.mark.parametrize(
    ("exitcode", "expected"),
    [
        (-9, "SIGKILL(-9)"),
        (-11, "SIGSEGV(-11)"),
        (0, "EXIT(0)"),
        (42, "EXIT(42)"),
        (255, "UNKNOWN(255)"),
        (-99, "UNKNOWN(-99)"),
        (None, "UNKNOWN"),
    ],
)
def test_the_form_of_exit_codes(exitcode, expected):
    assert _report.exit_code_text(exitcode) == expected


def test_a_report_is_frozen_and_becomes_plain_values():
    report = _exceptions.terminated(FACTS, "f").report
    with pytest.raises(AttributeError):
        report.pid = 1
    plain = json.loads(json.dumps(report.as_dict()))
    assert {**plain, **FACTS, "task": "f"} == plain
    assert set(plain) - set(FACTS) == {"task", "stderr_tail", "evidence", "advice", "history"}
    assert type(report.as_dict()["cause"]) is str
    assert report.cause == "signal"


def test_the_causes_are_a_closed_list():
    assert {str(cause) for cause in _report.CrashCause} == {
        "oom",
        "signal",
        "exit",
        "killed",
        "timeout",
        "memory_limit",
        "cancelled",
        "initializer",
        "protocol",
        "zygote",
        "raised",
    }


@pytest.mark.parametrize(
    ("facts", "sentence", "cause"),
    [
        ({"why": "setup"}, "could not be pickled", None),
        ({"why": "initializer"}, "initializer of a worker raised", None),
        ({"why": "spawn", "errno": 24}, "no worker process could be started", OSError),
        ({"why": "spawn", "errno": 11}, "ulimit -u", BlockingIOError),
        ({"why": "spawn", "errno": 2}, f"sys.executable: {sys.executable!r}", FileNotFoundError),
        ({"why": "spawn", "errno": 13}, f"sys.executable: {sys.executable!r}", PermissionError),
        ({"why": "restart_budget", "report": FACTS}, "again and again", _exceptions.TerminatedWorkerError),
        ({"why": "launcher"}, "the process that starts its workers died", None),
        ({"why": "fault", "fault": "a poisoned lock"}, "a poisoned lock", None),
    ],
)
def test_why_a_pool_is_broken(facts, sentence, cause):
    error = _exceptions.pool_broken(facts, "f", False, None)
    assert type(error) is _exceptions.BrokenProcessPool
    assert sentence in str(error)
    assert isinstance(error.__cause__, cause or type(None))
