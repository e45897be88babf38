"""The texts of the errors, word for word, in `tests/golden`.

With `LOKY_GOLDEN=write` in the environment the files are written anew; read the difference.
"""

import os
from pathlib import Path

import pytest

from loky import _exceptions, _report

FOLDER = Path(__file__).resolve().parents[1] / "golden"

STACK = (
    "Fatal Python error: Segmentation fault\n\n"
    "Current thread 0x00007f0000000000 (most recent call first):\n"
    '  File "model.py", line 12 in fit\n'
    '  File "loky/_child.py", line 349 in _perform\n'
)
DEEP = (
    "Fatal Python error: Segmentation fault\n\n"
    "Current thread 0x00007f0000000000 (most recent call first):\n"
    + '  File "tree.py", line 5 in walk\n' * 100
    + "  ...\n"
)
FACTS = {
    "cause": "signal",
    "signal": None,
    "exitcode": None,
    "pid": 4711,
    "worker": 1,
    "attempt": 1,
    "started": True,
    "runtime_s": 0.5214,
    "peak_rss_bytes": 150 * 2**20,
    "python_stack": None,
    "evidence": [],
    "stack_full": False,
    "stderr_tail": None,
}


def killed(name, number, *evidence, **more):
    return {"signal": name, "exitcode": -number, "evidence": list(evidence), **more}


def left(status, *evidence, **more):
    return {"cause": "exit", "exitcode": status, "evidence": list(evidence), **more}


CASES = {
    "sigsegv": killed("SIGSEGV", 11, "it touched address 0x8: a null pointer", python_stack=STACK),
    "stack_overflow": killed(
        "SIGSEGV",
        11,
        "it touched address 0x7fff1f7abff8, where nothing is mapped",
        "its stack was full: 8 MiB by RLIMIT_STACK",
        python_stack=DEEP,
        stack_full=True,
    ),
    "sigbus": killed(
        "SIGBUS",
        7,
        "it touched address 0x7f031b7bd388, in a mapping that is longer than its file has become, "
        "or whose pages cannot be had",
    ),
    "sigsys": killed("SIGSYS", 31, "a filter of system calls (seccomp) refused call number 59"),
    "sigsys_without_a_word": killed(
        "SIGSYS", 31, "a filter of system calls (seccomp) ended it without a word"
    ),
    "stack_overflow_in_a_thread": killed(
        "SIGSEGV",
        11,
        "no handler of faults could run: the stack of that thread was full, or the task had replaced them",
    ),
    "abort_from_elsewhere": killed("SIGABRT", 6, "SIGABRT was sent by process 815"),
    "abort": killed(
        "SIGABRT",
        6,
        "the process sent SIGABRT to itself, as abort() and raise() do",
        stderr_tail="free(): invalid pointer\n",
    ),
    "sigkill": killed(
        "SIGKILL", 9, "the kernel has counted no out-of-memory kill in its memory cgroup /jobs/7"
    ),
    "sigterm": killed("SIGTERM", 15),
    "realtime_signal": killed(None, 40),
    "oom": killed(
        "SIGKILL",
        9,
        "the kernel has counted an out-of-memory kill in its memory cgroup /jobs/7 (memory.events)",
        "that cgroup may have 512 MiB, a limit that was hit 3 times",
        cause="oom",
    ),
    "os_exit": left(7, "no exit handler of the C library ran: it was os._exit() or _exit()"),
    "c_exit": left(42, "exit() of the C library was called, by native code"),
    "exit_while_starting": left(
        1,
        "it had not begun to take tasks: it ended while it was starting",
        "no exit handler of the C library ran: it was os._exit() or _exit()",
        started=False,
        attempt=0,
        stderr_tail="ModuleNotFoundError: No module named 'numpy'\n",
    ),
    "killed_by_request": killed("SIGTERM", 15, cause="killed"),
    "killed_by_request_at_once": killed("SIGKILL", 9, cause="killed"),
    "late_start": killed("SIGKILL", 9, cause="start_timeout", started=False, attempt=0),
    "poison": killed(
        "SIGSEGV", 11, cause="signal", attempt=3, history=[{**FACTS, **killed("SIGSEGV", 11)}] * 2
    ),
    "timeout": killed("SIGKILL", 9, cause="timeout", python_stack=STACK),
    "memory_limit": killed(
        "SIGKILL", 9, "it had 600 MiB resident, and its limit was 512 MiB", cause="memory_limit"
    ),
    "cancelled": killed("SIGKILL", 9, cause="cancelled"),
    "protocol": killed("SIGKILL", 9, cause="protocol"),
    "zygote": {"cause": "zygote", "evidence": ["the process that starts the workers was ended by SIGSEGV"]},
}
BROKEN = {
    "broken_by_another_task": {"why": "worker_died", "report": {**FACTS, **killed("SIGSEGV", 11)}},
    "broken_launcher": {
        "why": "launcher",
        "launcher_fact": "the process that starts the workers left with exit code 1",
    },
    "broken_launcher_killed": {
        "why": "launcher",
        "launcher_fact": "the process that starts the workers was ended by SIGKILL",
    },
    "broken_restart_budget": {"why": "restart_budget", "report": {**FACTS, **CASES["exit_while_starting"]}},
    "broken_spawn": {"why": "spawn", "errno": 11},
    "broken_initializer": {"why": "initializer"},
}
TIMED_OUT = {
    "timed_out_and_let_go": {"python_stack": STACK},
    "timed_out_and_killed": killed("SIGKILL", 9, python_stack=STACK),
}


def compare(name, text):
    file = FOLDER / f"{name}.txt"
    if os.environ.get("LOKY_GOLDEN") == "write":
        file.write_text(text + "\n", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text + "\n"


@pytest.mark.parametrize("name", CASES)
def test_the_text_of_a_death(name):
    compare(name, str(_exceptions.terminated({**FACTS, **CASES[name]}, "fit")))


@pytest.mark.parametrize("name", BROKEN)
def test_the_text_of_a_broken_pool(name):
    error = _exceptions.pool_broken(BROKEN[name], "fit", name == "broken_by_another_task", None)
    cause = f"\n\nThe cause:\n{error.__cause__}" if error.__cause__ else ""
    compare(name, f"{error}{cause}")


@pytest.mark.parametrize("name", TIMED_OUT)
def test_the_text_of_a_task_that_ran_for_too_long(name):
    facts = {**FACTS, "cause": "timeout", **TIMED_OUT[name]}
    compare(name, str(_exceptions.timed_out(facts, "fit", 0.5)))


def test_the_text_of_a_task_that_waited_for_too_long():
    compare("expired", str(_exceptions.expired(2.004, "fit", 2.0)))


def test_every_file_has_its_case():
    assert {file.stem for file in FOLDER.glob("*.txt")} == {*CASES, *BROKEN, *TIMED_OUT, "expired"}


def test_no_two_ends_look_alike():
    firsts = [compare_key(name) for name in CASES]
    assert len(set(firsts)) == len(firsts)


def compare_key(name):
    """A text without what only says which process and task it is about."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("Evidence: "))


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].get("exitcode") is not None])
def test_the_first_line_holds_the_exit_code_as_loky_writes_it(name):
    report = _exceptions.terminated({**FACTS, **CASES[name]}, "fit").report
    first = _report.crash_text(report).splitlines()[0]
    assert f"{{{_report.exit_code_text(report.exitcode)}}}" in first


def test_the_note_of_the_error_names_the_task():
    assert _exceptions.terminated({**FACTS, **CASES["sigsegv"]}, "fit").__notes__ == ["task: fit"]


def test_every_cause_has_a_sentence_of_its_own():
    sentences = {
        _report.crash_text(_report.report_from({**FACTS, "cause": str(cause)}, "fit", owns_task=True))
        for cause in _report.CrashCause
    }
    assert len(sentences) >= len(_report.CrashCause) - 1  # without a status, two of them look alike
