"""The trackers of resources start when somebody writes to them, and not before."""

import os
import subprocess
import sys

import pytest

from tests.support import programs

HEAD = """
import os, signal, subprocess, sys, time
from pathlib import Path
import loky
from tests.support.waiting import eventually

TRACKERS = {"own": "loky.backend.resource_tracker", "standard": "multiprocessing.resource_tracker"}

def running():
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            words = (entry / "cmdline").read_bytes().decode().split(chr(0))
        except OSError:
            continue
        if parent == str(os.getpid()) and "-c" in words and "loky-zygote" not in words:
            found |= {name for name, module in TRACKERS.items() if module in words[words.index("-c") + 1]}
    return found

def register_own(path):
    from loky.backend import resource_tracker
    resource_tracker.register(path, "file")

def register_standard(path):
    from multiprocessing import shared_memory
    return shared_memory.SharedMemory(create=True, size=10).name
"""


def run(tmp_path, source, *arguments):
    path = programs.write(tmp_path / "program.py", HEAD + source)
    command = [sys.executable, path, *arguments]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, env=programs.environment()
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("launcher", ["zygote", "exec"])
def test_a_pool_that_nobody_registers_anything_in_has_none(tmp_path, launcher):
    run(
        tmp_path,
        """
with loky.ProcessPoolExecutor(2, launcher=sys.argv[1]) as executor:
    assert executor.submit(abs, -1).result() == 1
    assert running() == set()
assert running() == set()
""",
        launcher,
    )


@pytest.mark.parametrize("launcher", ["zygote", "exec"])
@pytest.mark.parametrize("which", ["own", "standard"])
def test_the_first_registration_of_a_worker_starts_the_one_it_is_meant_for(tmp_path, launcher, which):
    left = tmp_path / "left"
    left.touch()
    done = run(
        tmp_path,
        """
launcher, which, path = sys.argv[1:]
with loky.ProcessPoolExecutor(1, launcher=launcher) as executor:
    register = {"own": register_own, "standard": register_standard}[which]
    name = executor.submit(register, path).result()
    assert eventually(lambda: running() == {which}), running()
    print(name, flush=True)
""",
        launcher,
        which,
        str(left),
    )
    assert "leaked" in done.stderr
    assert left.exists() == (which == "standard")
    if which == "standard":
        assert not os.path.exists(f"/dev/shm/{done.stdout.strip()}")


def test_the_last_words_of_a_pool_are_heard(tmp_path):
    left = tmp_path / "left"
    left.touch()
    done = run(
        tmp_path,
        """
executor = loky.ProcessPoolExecutor(1)
executor.submit(register_own, sys.argv[1])
executor.shutdown()
""",
        str(left),
    )
    assert "leaked" in done.stderr
    assert not left.exists()


def test_a_fork_finds_them_running(tmp_path):
    left = tmp_path / "left"
    left.touch()
    done = run(
        tmp_path,
        """
with loky.ProcessPoolExecutor(1) as executor:
    executor.submit(abs, 1).result()
child = os.fork()
if child == 0:
    register_own(sys.argv[1])
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert eventually(lambda: running() == {"own", "standard"}), running()
""",
        str(left),
    )
    assert "leaked" in done.stderr
    assert not left.exists()


def test_whoever_asks_for_its_number_gets_that_of_a_running_one(tmp_path):
    run(
        tmp_path,
        """
from loky.backend.resource_tracker import _resource_tracker
with loky.ProcessPoolExecutor(1) as executor:
    executor.submit(abs, 1).result()
    assert running() == set()
    os.kill(_resource_tracker._pid, 0)
    assert eventually(lambda: running() == {"own"}), running()
    import multiprocessing.resource_tracker as standard
    os.kill(standard._resource_tracker._pid, 0)
    assert eventually(lambda: running() == {"own", "standard"}), running()
""",
    )
