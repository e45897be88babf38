"""Makes a new worker's process look like a child of its owner: environment, paths, name, parent.

A worker is forked from a helper that was started some time ago; what it must see is the owner's
state now, which comes as the setup. Runs once per worker, in the worker; it never talks to the pool.
"""

import os
import sys

from . import _alias, _inheritance, _standard_tracker, _state
from ._import_hooks import after_import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Setup = dict[str, Any]


def enter(setup: "Setup", worker_number: int) -> None:
    """Take over the owner's surroundings.

    The environment comes first: modules that read it on import must find it in place. In a forked
    worker it is there already, and shared with the others, if the helper has entered it.

    Args:
        setup: what `_surroundings.capture` wrote.
        worker_number: the worker's number in its pool, from 1.
    """
    enter_environment(setup["environment"])
    _enter_directory(setup["directory"])
    os.umask(setup["umask"])
    _enter_scheduling(setup)
    _inheritance.enter_limits(setup["limits"])
    _inheritance.enter_ignored_signals(setup["ignored_signals"])
    sys.path[:] = setup["path"]
    sys.argv[:] = setup["argv"]
    _enter_aliases(setup["aliases"])
    _replace_main()
    _state.depth = setup["depth"]
    _state.worker_pid, _state.helper_pid = os.getpid(), os.getppid()
    _state.identity = (*setup["identity"], setup["first_number"] + worker_number)
    reload_process_values()
    _present(setup)
    _forget_parents_randomness()


def enter_environment(wanted: "dict[str, str]") -> None:
    """Have these variables and no others."""
    environment = os.environ
    for name in [name for name in environment if name not in wanted]:
        del environment[name]
    for name, value in wanted.items():
        if environment.get(name) != value:
            environment[name] = value


def _enter_aliases(aliases: "dict[str, str]") -> None:
    """Have this package found under the same names as in the owner."""
    for alias, real_name in aliases.items():
        _alias.place(alias, real_name)
        if alias in sys.modules:
            # A preloaded module has imported what lies there.
            from . import joblib

            if alias == joblib.PLACE:
                joblib.install()


def _enter_directory(path: str | None) -> None:
    if path is None:
        return
    try:
        os.chdir(path)
    except OSError:
        pass  # It was removed: the parent, too, stands in a directory that has no name.


def _enter_scheduling(setup: "Setup") -> None:
    try:
        if setup["affinity"] is not None and os.sched_getaffinity(0) != setup["affinity"]:
            os.sched_setaffinity(0, setup["affinity"])
        if setup["niceness"] is not None:
            own = os.getpriority(os.PRIO_PROCESS, 0)
            if own != setup["niceness"]:
                os.setpriority(os.PRIO_PROCESS, 0, setup["niceness"])
    except (OSError, AttributeError):
        pass  # CPUs were taken away meanwhile, or this system has no such call.


def _replace_main() -> None:
    """Give tasks a `__main__` of their own, without this program's names and not the user's script.

    It bears that name, so that what a task defines in it travels by value, too.
    """
    main = type(sys)("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main


def import_main(script: "dict[str, str]") -> None:
    """Import the owner's main script again, as multiprocessing's spawned processes do.

    Raises:
        BaseException: whatever the script raises.
    """
    if not script:
        return
    from multiprocessing import process, spawn

    current: Any = process.current_process()
    current._inheriting = True
    try:
        spawn.prepare(script)
    finally:
        del current._inheriting


def reload_process_values() -> None:
    """Set what a module of this package read too early, if a preloaded module has imported it."""
    module: Any = sys.modules.get("loky.process_executor")
    if module is not None:
        module.read_environment()
    choice: Any = sys.modules.get("loky._pickler_choice")
    if choice is not None:
        choice.ENV_LOKY_PICKLER = os.environ.get("LOKY_PICKLER") or choice.DEFAULT_ENV


def _forget_parents_randomness() -> None:
    """`random` reseeds itself after a fork by its own hook; these do not."""
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    uuid: Any = sys.modules.get("uuid")
    if uuid is not None:
        uuid._last_timestamp = None


def _present(setup: "Setup") -> None:
    after_import("multiprocessing.process", lambda module: _identify(module, setup))
    after_import(
        "multiprocessing.context",
        lambda module: module._default_context.set_start_method(setup["start_method"], force=True),
    )
    if setup["logging"] is not None:
        _follow_logging(setup["logging"])
    _state.tracker = setup["trackers"][0]
    after_import(f"{__package__}.backend.resource_tracker", _share_own_tracker)
    _standard_tracker.adopt(*setup["trackers"][1])


def _identify(module: "Any", setup: "Setup") -> None:
    """Set what `multiprocessing.current_process()` and `parent_process()` answer."""

    class LokyProcess(module.BaseProcess):  # type: ignore[misc]
        """A worker of a process pool."""

        def __init__(self) -> None:
            self._identity = _state.identity
            self._config = {
                "authkey": module.AuthenticationString(setup["authkey"]),
                "semprefix": "/mp",
            }
            self._parent_pid = setup["owner_pid"]
            self._parent_name = setup["owner_name"]
            self._popen = None
            self._closed = False
            self._target = None
            self._args = ()
            self._kwargs: dict[str, Any] = {}
            self._name = worker_name(_state.identity)

        def close(self) -> None:
            """A process does not close itself."""

    class OwnerProcess(module._ParentProcess):  # type: ignore[misc]
        """The process that owns the pool; watched by a descriptor of it, opened at need."""

        _opened = None

        @property
        def _sentinel(self) -> "Any":
            if self._opened is None:
                self._opened = os.pidfd_open(setup["owner_pid"])
            return self._opened

        @_sentinel.setter
        def _sentinel(self, value: "Any") -> None:
            self._opened = value

    module._current_process = LokyProcess()
    module._parent_process = OwnerProcess(setup["owner_name"], setup["owner_pid"], None)


def worker_name(identity: tuple[int, ...]) -> str:
    """`LokyProcess-3`; in a nested pool `LokyProcess-1:3`."""
    return "LokyProcess-" + ":".join(map(str, identity))


def _follow_logging(logging_state: "tuple[int, bool, str | None]") -> None:
    """Log as the parent does through multiprocessing's logger."""
    level, to_stderr, layout = logging_state
    from multiprocessing import util

    logger = util.get_logger()
    if to_stderr:
        util.log_to_stderr()
    logger.setLevel(level)
    if layout is not None and logger.handlers:
        import logging

        logger.handlers[0].setFormatter(logging.Formatter(layout))
    util.info("worker started")


def _share_own_tracker(module: "Any") -> None:
    """Use the resource tracker of the owner, also where the helper had imported the module."""
    module._resource_tracker._fd, module._resource_tracker._pid = _state.tracker or (None, None)
