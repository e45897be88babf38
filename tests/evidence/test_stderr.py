"""The end of a worker's standard error: kept on request, passed on, and otherwise left alone."""

import os
import subprocess
import sys

from loky import TerminatedWorkerError
from tests.evidence import tasks
from tests.support import programs
from tests.support.waiting import LIMIT_S

PROGRAM = """
import os, subprocess, sys
from loky import ProcessPoolExecutor

def talk(number):
    os.write(2, b"%04d " % number + b"x" * 250 + b"\\n")

def shout(size):
    os.write(2, b"y" * size)
    os._exit(1)

def is_terminal():
    return os.isatty(2)

def child_talks():
    return subprocess.run(["sh", "-c", "echo from a child >&2"]).returncode
"""


def run(tmp_path, body):
    return programs.run(programs.write(tmp_path / "program.py", PROGRAM + body))


def test_nothing_is_kept_unless_asked(pool):
    executor = pool(1)
    report = executor.submit(tasks.write_and_exit, b"", 3).exception().report
    assert report.stderr_tail is None


def test_the_last_words_are_in_the_report(pool):
    executor = pool(1, capture_stderr=True)
    error = executor.submit(tasks.write_and_exit, b"what C says before it goes\n", 3).exception()
    assert type(error) is TerminatedWorkerError
    assert error.report.stderr_tail == "what C says before it goes\n"
    assert "The end of its standard error:\nwhat C says before it goes\n" in str(error)


def test_each_worker_has_a_tail_of_its_own(pool):
    executor = pool(1, capture_stderr=True)
    for word in (b"first", b"second"):
        error = executor.submit(tasks.write_and_exit, word, 3).exception()
        assert error.report.stderr_tail == word.decode()


def test_the_tail_is_bounded(pool):
    executor = pool(1, capture_stderr=True)
    error = executor.submit(tasks.write_and_exit, b"a" * 10000 + b"end", 3).exception()
    assert len(error.report.stderr_tail) == 4096
    assert error.report.stderr_tail.endswith("aaaend")


def test_all_output_is_passed_on(tmp_path):
    result = run(
        tmp_path,
        """
with ProcessPoolExecutor(2, capture_stderr=True) as executor:
    list(executor.map(talk, range(2000)))
print("done")
""",
    )
    assert (result.status, result.lines) == (0, ["done"])
    lines = result.errors.splitlines()
    assert sorted(int(line[:4]) for line in lines) == list(range(2000))
    assert all(line[5:] == "x" * 250 for line in lines)


def test_the_output_of_a_dying_worker_is_passed_on(tmp_path):
    result = run(
        tmp_path,
        """
with ProcessPoolExecutor(2, capture_stderr=True) as executor:
    futures = [executor.submit(shout, 50000) for _ in range(8)]
    assert all(future.exception() for future in futures)
""",
    )
    assert result.status == 0
    assert result.errors.count("y") == 8 * 50000


def test_what_a_task_starts_writes_there_too(tmp_path):
    result = run(
        tmp_path,
        """
for launcher in ("zygote", "exec"):
    with ProcessPoolExecutor(1, capture_stderr=True, launcher=launcher) as executor:
        assert executor.submit(child_talks).result() == 0
""",
    )
    assert (result.status, result.errors) == (0, "from a child\n" * 2)


def test_without_the_wish_a_terminal_stays_a_terminal(tmp_path):
    body = """
with ProcessPoolExecutor(1) as executor:
    print("plain", executor.submit(is_terminal).result())
with ProcessPoolExecutor(1, capture_stderr=True) as executor:
    print("captured", executor.submit(is_terminal).result())
"""
    terminal = programs.Terminal(programs.write(tmp_path / "program.py", PROGRAM + body))
    try:
        terminal.expect("plain True")
        terminal.expect("captured False")
    finally:
        terminal.close()


def test_a_reader_that_does_not_read_stops_neither_results_nor_the_end(tmp_path):
    body = """
with ProcessPoolExecutor(1, capture_stderr=True) as executor:
    for number in range(600):
        executor.submit(talk, number).result()
print("done", flush=True)
"""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, programs.write(tmp_path / "program.py", PROGRAM + body)],
        stdout=subprocess.PIPE,
        stderr=write,
        env=programs.environment(),
    )
    os.close(write)
    with programs.ended_after(process):
        # 150 kB are more than the pipe holds, and nobody takes them.
        assert process.stdout.readline() == b"done\n"
        assert process.wait(LIMIT_S) == 0
    os.close(read)


def test_no_standard_error_at_all_is_no_harm(tmp_path):
    body = """
os.close(2)
with ProcessPoolExecutor(1, capture_stderr=True) as executor:
    error = executor.submit(shout, 5).exception()
print(error.report.stderr_tail)
"""
    assert run(tmp_path, body).lines == ["yyyyy"]
