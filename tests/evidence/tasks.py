"""Tasks that end their worker, each in a way of its own."""

import ctypes
import ctypes.util
import mmap
import os
import signal
import struct
import sys
import tempfile
import threading


def exit_in_c(status):
    ctypes.CDLL(None).exit(status)


def exit_in_python(status):
    os._exit(status)


def write_and_exit(text, status):
    os.write(2, text)
    os._exit(status)


def null_pointer():
    ctypes.string_at(8)


def recurse_in_c():
    """Use up the stack of the thread: each step of it is a call from C to Python and back."""
    sys.setrecursionlimit(10**8)
    kind = ctypes.CFUNCTYPE(None)

    def step():
        callback()

    callback = kind(step)
    callback()


def recurse_in_a_thread():
    thread = threading.Thread(target=recurse_in_c)
    thread.start()
    thread.join()


def touch_a_lost_mapping():
    with tempfile.TemporaryFile() as file:
        file.truncate(2 * mmap.PAGESIZE)
        mapped = mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE)
        file.truncate(0)
        return mapped[mmap.PAGESIZE + 1]


def signal_oneself(number):
    os.kill(os.getpid(), number)
    signal.pause()


def be_refused_a_call(action):
    """Have a filter of system calls refuse `getpriority`, then make that call."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 140, "aarch64": 141}[os.uname().machine]
    instructions = [
        struct.pack("HBBI", 0x20, 0, 0, 0),  # load the number of the call
        struct.pack("HBBI", 0x15, 0, 1, number),  # is it this one?
        struct.pack("HBBI", 0x06, 0, 0, action),
        struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000),  # every other one is allowed
    ]
    program = ctypes.create_string_buffer(b"".join(instructions))
    header = struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(program))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, header) == 0, ctypes.get_errno()
    os.getpriority(os.PRIO_PROCESS, 0)


def fork_until_refused():
    """Make processes until the system refuses one; what it says then is the outcome."""
    while True:
        if os.fork() == 0:
            signal.pause()


def answer(value):
    return value
