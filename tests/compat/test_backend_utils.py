"""Killing a process with its descendants, and how exit codes are written."""

import subprocess
import sys

import pytest

from loky.backend import get_context
from loky.backend.utils import get_exitcodes_terminated_worker, kill_process_tree, recursive_terminate
from tests.support.waiting import has_ended

FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


class Process:
    """A program as this function sees processes."""

    def __init__(self):
        self.program = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
        self.pid = self.program.pid
        self.child = int(self.program.stdout.readline())
        self.exitcode = None

    def join(self):
        self.exitcode = self.program.wait()
        self.program.stdout.close()


@pytest.mark.parametrize("use_psutil", [True, False])
def test_a_process_is_killed_with_its_descendants(use_psutil):
    process = Process()
    kill_process_tree(process, use_psutil=use_psutil)
    assert process.exitcode == -9
    assert has_ended(process.child)
    kill_process_tree(process, use_psutil=use_psutil)


def test_the_old_name_is_deprecated():
    process = Process()
    with pytest.warns(DeprecationWarning, match="kill_process_tree"):
        recursive_terminate(process)
    assert process.exitcode == -9


def test_a_process_of_the_context_is_joined():
    context = get_context("loky")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=reader.recv)
    process.start()
    kill_process_tree(process)
    assert process.exitcode == -9
    assert get_exitcodes_terminated_worker({process.pid: process}) == "{SIGKILL(-9)}"
    reader.close()
    writer.close()


class Ended:
    def __init__(self, exitcode):
        self.exitcode = exitcode


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        ([-9], "{SIGKILL(-9)}"),
        ([-11, 3], "{SIGSEGV(-11), EXIT(3)}"),
        ([0, None], "{EXIT(0)}"),
        ([255], "{UNKNOWN(255)}"),
        ([-250], "{UNKNOWN(-250)}"),
        ([None], "{}"),
    ],
)
def test_exit_codes_are_written_with_their_names(codes, text):
    assert get_exitcodes_terminated_worker({n: Ended(code) for n, code in enumerate(codes)}) == text
