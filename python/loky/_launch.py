"""The command lines of the helper that forks workers and of a worker that is executed afresh.

They are built in the parent and, for executed workers, in the helper. Nothing is started here.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

ZYGOTE_MARK = "loky-zygote"
"""In the helper's command line, so that a person or a census can tell it from a worker."""

FORKSERVER_MARK = "multiprocessing.forkserver"
"""Also in it: programs that count a pool's processes know helpers of this name and skip them."""

WORKER_MARK = "loky-worker"

GROUP_VARIABLE = "LOKY_CGROUP"
"""Names the folder of a memory cgroup below which the helper may make groups."""

# The package's directory is on the path only while the package itself is imported: a site
# directory at the head of the path could otherwise hide modules of the standard library.
_PROGRAM = (
    "import _signal,sys;_signal.signal(_signal.SIGINT,_signal.SIG_IGN);"
    "p=[d for d in sys.path if d];sys.path.insert(0,{root!r});import loky;sys.path[:]=p;"
    "from loky import _child;_child.{call}"
)

_FLAGS = (
    ("isolated", "-I"),
    ("ignore_environment", "-E"),
    ("no_user_site", "-s"),
    ("no_site", "-S"),
    ("dont_write_bytecode", "-B"),
)


def interpreter_arguments() -> list[str]:
    """The options of this interpreter that a helper of it needs to behave alike.

    The original loky gives its workers none of them; warnings filters, `-O` and `-X` options are
    what users miss there.
    """
    flags = sys.flags
    arguments = [option for name, option in _FLAGS if getattr(flags, name)]
    if getattr(flags, "safe_path", False) and not flags.isolated:
        arguments.append("-P")
    if flags.optimize:
        arguments.append("-" + "O" * flags.optimize)
    if flags.bytes_warning:
        arguments.append("-" + "b" * flags.bytes_warning)
    arguments.extend(f"-W{option}" for option in sys.warnoptions)
    for name, value in sys._xoptions.items():
        # Import times would be printed by every worker; the parent's run asked for its own.
        if name != "importtime":
            arguments.append(f"-X{name}" if value is True else f"-X{name}={value}")
    return arguments


_READ_AT_EXEC = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")
"""Beginnings of the names of variables that only a fresh program takes on: the interpreter, the
loader and the C library read them once, at their start."""


def environment_with(additions: "Mapping[str, Any] | None") -> dict[str, str]:
    """This process's variables now, and over them `additions`, whose values are turned into strings."""
    return {**os.environ, **{name: str(value) for name, value in (additions or {}).items()}}


def environment_for_exec(helper: "Mapping[str, str]", worker: dict[str, str]) -> dict[str, str]:
    """The environment to execute a worker with, or an empty one where forking it will do.

    Args:
        helper: the variables with which the helper was started.
        worker: those that the worker is to have.
    """
    same = _read_at_exec(helper) == _read_at_exec(worker)
    return {} if same else worker


def _read_at_exec(environment: "Mapping[str, str]") -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_EXEC)}


def package_root() -> str:
    """The directory from which this package was imported."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def zygote_arguments(
    preload: tuple[str, ...], with_cloudpickle: bool, memory_limit: int | None = None
) -> list[str]:
    """Interpreter arguments of the helper; the engine appends the number of the control socket.

    Args:
        preload: modules to import before the first fork, with the parent's present `sys.path`.
        with_cloudpickle: import `cloudpickle` once in the helper, because tasks will need it.
        memory_limit: bytes that each worker may have, where groups can be made for them.
    """
    group = os.environ.get(GROUP_VARIABLE) if memory_limit else None
    path = list(sys.path) if preload else []
    call = f"zygote_main({preload!r},{path!r},{with_cloudpickle!r},{group or None!r},{memory_limit or 0!r})"
    program = _PROGRAM.format(root=package_root(), call=call)
    return [
        *interpreter_arguments(),
        "-c",
        program,
        ZYGOTE_MARK,
        FORKSERVER_MARK,
        str(os.getpid()),
    ]


def worker_command() -> list[str]:
    """Program and arguments of an executed worker; the helper appends the descriptor numbers."""
    program = _PROGRAM.format(root=package_root(), call="executed_main()")
    return [sys.executable, *interpreter_arguments(), "-c", program, WORKER_MARK]
