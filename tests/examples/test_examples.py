"""The examples run as a newcomer runs them, and say what is determined of what they say."""

import csv
import hashlib
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


# The first half of the SHA-256 of each text that is kept word for word.
DIGESTS = {
    "broken_pool": "bc181d46d3b0f04c",
    "cancellation": "4b495b4bbdfc1460",
    "comprehensive_recovery": "66aa0e1d2078ed74",
    "shutdown_errors": "897c0dd91ada48cd",
    "terminated_workers": "eab3c86418506257",
    "timeouts": "83e8f597e8c868d7",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_an_example_is_kept_word_for_word(name):
    text = (EXAMPLES / f"{name}.py").read_bytes()
    assert hashlib.sha256(text).hexdigest()[:16] == DIGESTS[name]


def run(name, *arguments, limit_s=60, **options):
    """Run one example and return the lines of its standard output."""
    result = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments],
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        # With buffers a line is written whole; without, lines of several processes would mix.
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": ""},
        **options,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_broken_pool_loses_the_one_task_that_crashed():
    lines = run("broken_pool")
    head = [line for line in lines if line.startswith("Task ")]
    assert [line for line in head if "failed" not in line] == [
        "Task 0: 0",
        "Task 1: 2",
        "Task 2: 4",
        "Task 4: 8",
    ]
    (failure,) = [line for line in head if "failed" in line]
    assert failure.startswith("Task 3 failed: ")
    assert "EXIT(1)" in "\n".join(lines)
    assert not [line for line in lines if line.startswith("Process pool broken")]


def limit_memory():
    """Let no process of the example have more than this, so that what is too large is refused.

    The largest sizes would otherwise be granted on a large machine, and on a small one the kernel
    would look for a victim, perhaps this test.
    """
    size = 6 << 30
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def test_terminated_workers_says_for_each_size_what_came_of_it():
    lines = run("terminated_workers", preexec_fn=limit_memory)
    said = [line for line in lines if line.startswith("Size ")]
    assert said[:3] == ["Size 1M: Success (0)", "Size 10M: Success (0)", "Size 100M: Success (0)"]
    assert re.match(r"Size 1000M: (Success|Worker terminated|Memory error|Other error) ", said[3])
    assert re.match(r"Size 10000M: (Worker terminated|Memory error|Other error) ", said[4])
    assert len(said) == 5


def test_shutdown_errors_refuses_work_after_the_end():
    before, refused, *_, after = run("shutdown_errors")
    assert before == "Before shutdown: 10"
    assert refused.startswith("Cannot use shutdown executor: cannot schedule new futures")
    assert after == "With new executor: 20"


def test_timeouts_waits_only_as_long_as_asked():
    assert run("timeouts") == [
        "Task (1s, timeout 3s): Completed after 1 seconds",
        "Task (5s, timeout 2s): Timed out",
        "Task (2s, timeout 4s): Completed after 2 seconds",
    ]


def test_cancellation_takes_back_what_has_not_started():
    lines = run("cancellation")
    from_workers = [f"Task {task} starting (duration: 3s)" for task in (0, 1, 2)]
    from_workers += [f"Task {task} completed" for task in (0, 1, 2)]
    assert [line for line in lines if line not in from_workers] == [
        "Could not cancel task 1 (already running)",
        "Successfully cancelled task 3",
        "Task 0: Task 0 result",
        "Task 1: Task 1 result",
        "Task 2: Task 2 result",
        "Task 3: Was cancelled",
        "Cancelled 1 tasks",
    ]
    assert sorted(line for line in lines if line in from_workers) == sorted(from_workers)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_comprehensive_recovery_goes_on_to_the_last_task():
    # At worst each of the ten tasks sleeps three times for longer than is waited for it.
    lines = run("comprehensive_recovery", limit_s=200)
    assert not [line for line in lines if "Unexpected error" in line]
    for line in lines:
        if "Pool broken" in line:
            assert re.search(r"Task \d: Pool broken \(", line)
    results = lines[lines.index("Final Results:") + 1 :]
    assert [line.split(":")[0] for line in results] == [f"Task {task}" for task in range(10)]
    kinds = r"Task \1: Success|Error: Task \1: Intentional error|Failed after 2 retries"
    outcome = rf"Task (\d): ({kinds})"
    assert [line for line in results if not re.fullmatch(outcome, line)] == []


def survey(folder, *arguments):
    """Run the survey on a part of the library; return its report, its list and its chart."""
    lines = run("stdlib_survey", "--limit", "120", "--output", folder, *arguments, limit_s=100)
    with (folder / "stdlib_survey.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return lines, rows, (folder / "stdlib_survey.svg").read_text(encoding="utf-8")


def table(lines):
    """Take the part of the report that does not tell how it was made."""
    start = next(index for index, line in enumerate(lines) if line.startswith("package"))
    end = next(index for index, line in enumerate(lines) if line.startswith("lost with"))
    return lines[start:end]


def test_the_survey_in_a_pool_finds_what_it_finds_without_one(tmp_path):
    for_pool, alone = tmp_path / "pool", tmp_path / "alone"
    lines, rows, chart = survey(for_pool)
    lines_alone, rows_alone, chart_alone = survey(alone, "--sequential")
    assert table(lines) == table(lines_alone)
    assert rows == rows_alone
    assert chart == chart_alone
    assert len(rows) == 121
    ElementTree.fromstring(chart)


def test_the_survey_names_what_went_wrong_and_why(tmp_path):
    lines, rows, _ = survey(tmp_path / "survey")
    broken = next(line for line in lines if line.startswith("  broken_on_purpose.py"))
    assert broken == ("  broken_on_purpose.py: SyntaxError: invalid syntax (broken_on_purpose.py, line 1)")
    lost = lines[lines.index("lost with their worker: 1") + 1 :]
    assert lost[0].startswith("  sabotage: ")
    assert "SIGKILL(-9)" in "\n".join(lost)
    # Nothing but these was lost: each other file has its measures.
    assert [row["name"] for row in rows if not row["lines"] and not row["error"]] == []
