"""What a fresh interpreter of a `LokyProcess` is told and does before its target runs."""

import os
import sys
from multiprocessing import spawn

from loky import _alias, _state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

get_executable = spawn.get_executable
set_executable = spawn.set_executable


def get_preparation_data(process_obj: "Any") -> "dict[str, Any]":
    """Describe this process to a child.

    Raises:
        RuntimeError: this process is itself just importing the main script.
    """
    data = spawn.get_preparation_data(process_obj.name)
    if not getattr(process_obj, "init_main_module", False):
        data.pop("init_main_from_name", None)
        data.pop("init_main_from_path", None)
    data["start_method"] = getattr(process_obj, "_start_method", None) or "loky"
    data["loky"] = {"aliases": _alias.in_use(), "depth": _state.depth, "registered": _registered()}
    return data


def _registered() -> "dict[type, Any]":
    return dict(_state.registered_reducers)


def prepare(data: "dict[str, Any]") -> None:
    """Make this process what `get_preparation_data` described."""
    own = data.pop("loky", {})
    for alias, real_name in own.get("aliases", {}).items():
        _alias.place(alias, real_name)
    _state.depth = own.get("depth", 0)
    _state.registered_reducers.update(own.get("registered", {}))
    if "init_main_from_name" not in data and "init_main_from_path" not in data:
        from loky import _world

        _world._replace_main()
    spawn.prepare(data)


def main(life: int, own_tracker: int, standard_tracker: int) -> "NoReturn":
    """Run a process: read what it is, run its target, exit with its status.

    Args:
        life: the pipe on which that arrives, and which is closed when the parent is gone.
        own_tracker: the pipe to this package's resource tracker.
        standard_tracker: the pipe to multiprocessing's.
    """
    from multiprocessing import resource_tracker as standard

    _state.tracker = own_tracker, None
    shared: Any = standard._resource_tracker
    shared._fd = standard_tracker
    for number in (life, own_tracker, standard_tracker):
        os.set_inheritable(number, False)
    sys.exit(_run(life))


def _run(life: int) -> int:
    """The exit status of the target; of a failure before it, the traceback goes to the output."""
    import pickle
    from multiprocessing import process, util

    # Standard input is the null device already; another descriptor of it is not needed.
    util._close_stdin = lambda: None  # type: ignore[attr-defined]
    current: Any = process.current_process()
    current._inheriting = True
    try:
        with open(life, "rb", closefd=False) as stream:
            prepare(pickle.load(stream))
            target: Any = pickle.load(stream)
    except Exception:
        import traceback

        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        return 1
    finally:
        del current._inheriting
    status: int = target._bootstrap(parent_sentinel=life)
    return status
