"""`python -m loky doctor`: what it says, in both forms, and its exit status."""

import json
import os
import subprocess
import sys

import pytest

from tests.faults.refusal import forks_refused
from tests.support import programs

TRIALS = [
    "tasks on forked workers",
    "tasks on executed workers",
    "a killed worker costs one task",
    "a task that passes its memory limit ends alone",
    "a task that runs out of time ends",
    "what a task has started ends with the pool",
    "nothing is left",
]


def doctor(*options, **env):
    return programs.run("-m", "loky", "doctor", *options, env=env)


def found(*options, **env):
    result = doctor("--json", *options, **env)
    assert (result.status, result.errors) == (0, "")
    return json.loads(result.output)


def test_a_machine_on_which_the_tests_run_is_healthy():
    told = found()
    assert told["healthy"] is True
    assert [trial["name"] for trial in told["self-test"]] == TRIALS
    assert {trial["outcome"] for trial in told["self-test"]} == {"passed"}, told["self-test"]


def test_the_table_is_for_people():
    result = doctor()
    assert (result.status, result.errors) == (0, "")
    for word in ("launcher", "pidfd", "cgroup", "core_pattern", "open_files", "cpu_count", "memory_limit"):
        assert f"  {word} " in result.output, word
    assert all(trial in result.output for trial in TRIALS)
    assert result.lines[-1] == "All is well."


def test_a_look_alone_starts_nothing():
    told = found("--no-self-test")
    assert told["self-test"] == []
    assert told["healthy"] is True


def test_the_facts_are_those_of_this_machine():
    told = found("--no-self-test")
    assert told["processors"]["machine"] == os.cpu_count()
    assert told["memory"]["total_bytes"] > told["memory"]["available_bytes"] > 0
    assert told["memory"]["memory_limit"] in ("sampling", "cgroup")
    assert told["processes"]["launcher"] in ("zygote", "exec")


def test_a_bound_on_processors_has_its_reason():
    result = doctor("--no-self-test", LOKY_MAX_CPU_COUNT="1")
    [line] = [line for line in result.lines if line.startswith("  cpu_count ")]
    assert line.split()[1] == "1"
    if (os.cpu_count() or 1) > 1:
        assert "by LOKY_MAX_CPU_COUNT" in line


def test_what_is_forced_away_is_told():
    told = found("--no-self-test", LOKY_FORCE="no_pidfd,no_seals,no_children_file")
    processes = told["processes"]
    assert (processes["pidfd"], processes["seals"], processes["children_lists"]) == (False, False, False)
    assert told["environment"] == {**told["environment"], "LOKY_FORCE": "no_pidfd,no_seals,no_children_file"}


def test_a_limit_that_leaves_no_room_for_marks_is_told():
    assert found("--no-self-test")["processes"]["marks"] is True
    limited = ["bash", "-c", 'ulimit -x 1000 && exec "$0" "$@"', sys.executable, "-m", "loky", "doctor"]
    result = subprocess.run(
        [*limited, "--no-self-test"], capture_output=True, text=True, check=True, env=programs.environment()
    )
    [line] = [line for line in result.stdout.splitlines() if line.startswith("  marks ")]
    assert line.split()[1] == "no"
    assert "ulimit -Hx" in line


def test_a_machine_on_which_no_worker_starts_is_not_healthy():
    # The helpers of the pools cannot find the package's dependencies; this process has them already.
    script = (
        "import sys; sys.executable = '/bin/false'\n"
        "from loky.__main__ import main; sys.exit(main(['doctor', '--json']))"
    )
    result = programs.run("-c", script)
    assert result.status == 1
    told = json.loads(result.output)
    assert told["healthy"] is False
    failed = {trial["name"]: trial["detail"] for trial in told["self-test"] if trial["outcome"] == "failed"}
    assert "died again and again" in failed["tasks on forked workers"]


@pytest.mark.parametrize("arguments", [(), ("surgeon",), ("doctor", "--nonsense")])
def test_a_wrong_command_line_has_a_status_of_its_own(arguments):
    result = programs.run("-m", "loky", *arguments)
    assert result.status == 2
    assert "usage: python -m loky" in result.errors


def test_a_limit_on_processes_is_told_with_how_often_it_was_met():
    if os.geteuid() != 0:
        pytest.skip("only root can make a cgroup with a limit on processes")
    command = ["sh", "-c", 'read go; exec "$@"', "sh", sys.executable, "-m", "loky", "doctor"]
    process = subprocess.Popen(
        [*command, "--json", "--no-self-test"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        with forks_refused(process.pid, room=40):
            output, _ = process.communicate("go\n", timeout=60)
    finally:
        process.kill()
        process.wait()
    found = json.loads(output)["processes"]["cgroup_processes"]
    assert found == 41
