"""Holding a process as a debugger does: it does nothing, and no signal but SIGKILL changes that."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

_TRACER = """
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_ATTACH = 16
if libc.ptrace(PTRACE_ATTACH, pid, None, None) != 0:
    print("refused", ctypes.get_errno(), flush=True)
    sys.exit()
os.waitpid(pid, 0)
print("held", flush=True)
# Whoever is traced is not over for its parent before its tracer has seen the end.
{see_end}
sys.stdin.read()
"""


@contextlib.contextmanager
def held(pid: int, sees_end: bool = True) -> Iterator[None]:
    """The process is held by a tracer; skips the test where the kernel does not let a stranger do that.

    Args:
        sees_end: the tracer waits for the end of the process; else its parent cannot, for as long as
            there is the tracer.
    """
    program = _TRACER.replace("{see_end}", "os.waitpid(pid, 0)" if sees_end else "")
    tracer = subprocess.Popen(
        [sys.executable, "-c", program, str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert tracer.stdout is not None
        answer = tracer.stdout.readline().split()
        if answer[:1] == ["refused"]:
            pytest.skip(f"no process may be traced here: errno {answer[1]}")
        assert answer == ["held"]
        yield
    finally:
        tracer.communicate()
