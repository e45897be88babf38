"""Tasks that a worker imports by name, and initializers. They import nothing that is slow."""

import os
import sys


def identity(value):
    return value


def add(first, second=0):
    return first + second


def collect(*args, **kwargs):
    return args, kwargs


def fail(kind=ValueError, *args):
    raise kind(*args)


def fail_at(bad, value):
    if value == bad:
        raise ValueError(value)
    return value


def pid():
    return os.getpid()


def exit_hard(status=1):
    os._exit(status)


def kill_self(number):
    os.kill(os.getpid(), number)


def environment(name):
    return os.environ.get(name)


def loaded(module):
    return module in sys.modules


def remember(name, value):
    """As an initializer: keep a value in this module, for `recall`."""
    _kept[name] = value


def recall(name):
    return _kept.get(name)


_kept: dict[str, object] = {}


def touch(path, text=""):
    """Append a line in one write; whoever reads the file sees whole lines."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def stubborn(folder):
    """Wait at a gate and begin again whenever somebody interrupts."""
    from tests.support.gates import pass_gate

    while True:
        try:
            return pass_gate(folder)
        except KeyboardInterrupt:
            continue
