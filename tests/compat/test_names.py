"""The names of loky, their signatures, and that importing them costs and starts nothing."""

import concurrent.futures
import importlib
import inspect
import sys

import pytest

import loky
from tests.support import programs

PUBLIC = [
    "get_reusable_executor",
    "cpu_count",
    "wait",
    "as_completed",
    "Future",
    "Executor",
    "ProcessPoolExecutor",
    "BrokenProcessPool",
    "CancelledError",
    "TimeoutError",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "ALL_COMPLETED",
    "wrap_non_picklable_objects",
    "set_loky_pickler",
]
MODULES = {
    "_base": ["Future", "LOGGER", "_BaseFuture"],
    "backend": ["get_context"],
    "backend.context": [
        "START_METHODS",
        "LokyContext",
        "LokyInitMainContext",
        "get_context",
        "set_start_method",
        "get_start_method",
        "cpu_count",
    ],
    "backend.process": ["AuthenticationKey", "LokyProcess", "LokyInitMainProcess"],
    "backend.queues": ["Queue", "SimpleQueue", "Full"],
    "backend.reduction": [
        "DEFAULT_ENV",
        "ENV_LOKY_PICKLER",
        "HIGHEST_PROTOCOL",
        "dump",
        "dumps",
        "get_loky_pickler",
        "get_loky_pickler_name",
        "loads",
        "register",
        "set_loky_pickler",
    ],
    "backend.resource_tracker": [
        "VERBOSE",
        "ResourceTracker",
        "_CLEANUP_FUNCS",
        "_decode_message",
        "_resource_tracker",
        "ensure_running",
        "getfd",
        "main",
        "maybe_unlink",
        "register",
        "spawnv_passfds",
        "unregister",
    ],
    "backend.spawn": ["get_executable", "get_preparation_data", "prepare"],
    "backend.synchronize": [
        "BoundedSemaphore",
        "Condition",
        "Event",
        "Lock",
        "RLock",
        "SemLock",
        "Semaphore",
        "sem_unlink",
    ],
    "backend.utils": [
        "get_exitcodes_terminated_worker",
        "kill_process_tree",
        "psutil",
        "recursive_terminate",
    ],
    "cloudpickle_wrapper": [
        "WRAP_CACHE",
        "CallableObjectWrapper",
        "CloudpickledObjectWrapper",
        "_reconstruct_wrapper",
        "_wrap_non_picklable_objects",
        "_wrap_objects_when_needed",
        "wrap_non_picklable_objects",
    ],
    "initializers": ["_prepare_initializer"],
    "process_executor": [
        "EXTRA_QUEUED_CALLS",
        "MAX_DEPTH",
        "BrokenExecutor",
        "BrokenProcessPool",
        "Executor",
        "Future",
        "InvalidStateError",
        "LOGGER",
        "LokyRecursionError",
        "PicklingError",
        "ProcessPoolExecutor",
        "ShutdownExecutorError",
        "TerminatedWorkerError",
        "_CURRENT_DEPTH",
        "_MAX_MEMORY_LEAK_SIZE",
        "_MEMORY_LEAK_CHECK_DELAY",
        "_USE_PSUTIL",
        "_ExceptionWithTraceback",
        "_ExecutorFlags",
        "_ExecutorManagerThread",
        "_MAX_WINDOWS_WORKERS",
        "_RemoteTraceback",
        "cpu_count",
        "get_context",
        "get_exitcodes_terminated_worker",
        "get_loky_pickler_name",
        "kill_process_tree",
        "set_loky_pickler",
    ],
    "reusable_executor": [
        "EXTRA_QUEUED_CALLS",
        "_ReusablePoolExecutor",
        "_executor",
        "_executor_kwargs",
        "_executor_storage",
        "cpu_count",
        "get_context",
        "get_reusable_executor",
    ],
}


def test_what_a_star_import_gives():
    assert sorted(loky.__all__) == sorted(PUBLIC)
    assert all(hasattr(loky, name) for name in PUBLIC)
    assert isinstance(loky.__version__, str)


@pytest.mark.parametrize("name", [name for name in PUBLIC if hasattr(concurrent.futures, name)])
def test_the_names_of_the_standard_library_are_its_objects(name):
    ours, standard = getattr(loky, name), getattr(concurrent.futures, name)
    if name in ("Future", "ProcessPoolExecutor", "BrokenProcessPool"):
        assert ours is not standard
    else:
        assert ours is standard


def test_a_broken_pool_is_one_of_the_standard_library():
    assert issubclass(loky.BrokenProcessPool, concurrent.futures.process.BrokenProcessPool)
    assert issubclass(loky.Future, concurrent.futures.Future)


@pytest.mark.parametrize(("module", "name"), [(m, name) for m, names in MODULES.items() for name in names])
def test_every_module_has_its_names(module, name):
    assert hasattr(importlib.import_module(f"loky.{module}"), name)


def test_a_name_that_no_module_has_is_an_error():
    for module in MODULES:
        with pytest.raises(AttributeError):
            _ = importlib.import_module(f"loky.{module}").no_such_name


def test_names_in_two_places_are_one_object():
    executors, reusable = loky.process_executor, loky.reusable_executor
    assert executors.Future is loky.Future is loky._base.Future
    assert executors.get_context is reusable.get_context is loky.backend.get_context
    assert executors.TerminatedWorkerError is loky.TerminatedWorkerError
    assert executors.kill_process_tree is loky.backend.utils.kill_process_tree
    assert loky._base.LOGGER.name == "concurrent.futures"


def test_the_executor_of_a_thread_can_be_taken_out_of_its_place():
    storage = loky.reusable_executor._executor_storage
    first = loky.get_reusable_executor(1)
    assert storage.executor is loky.reusable_executor._executor is first
    assert storage.executor_kwargs is loky.reusable_executor._executor_kwargs
    storage.executor = None
    assert loky.get_reusable_executor(1) is not first


def test_without_psutil_the_name_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert loky.backend.utils.psutil is None


REUSE = {
    "max_workers": None,
    "context": None,
    "timeout": 10,
    "kill_workers": False,
    "reuse": "auto",
    "job_reducers": None,
    "result_reducers": None,
    "initializer": None,
    "initargs": (),
    "env": None,
}


def defaults(function):
    """The parameters that loky has; what this package adds comes by keyword only."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}


@pytest.mark.parametrize("owner", [loky, loky.reusable_executor._ReusablePoolExecutor])
def test_the_signature_of_get_reusable_executor(owner):
    assert list(defaults(owner.get_reusable_executor).items()) == list(REUSE.items())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            loky.ProcessPoolExecutor,
            "max_workers job_reducers result_reducers timeout context initializer initargs env",
        ),
        (
            loky.reusable_executor._ReusablePoolExecutor,
            "max_workers context timeout executor_id job_reducers result_reducers initializer initargs env",
        ),
    ],
)
def test_the_positional_parameters_of_the_executors(kind, expected):
    parameters = inspect.signature(kind).parameters.values()
    positional = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == expected.split()


QUIET = """
    import sys
    before = set(sys.modules)
    import loky
    loaded = set(sys.modules) - before
    import os, threading, warnings
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        children = file.read()
    print(sorted(m for m in loaded if not m.startswith("loky")), threading.active_count(), repr(children))
    """


def test_importing_it_loads_and_starts_nothing(tmp_path):
    finished = programs.run("-W", "error", programs.write(tmp_path / "quiet.py", QUIET))
    assert finished.errors == ""
    assert finished.output == "[] 1 ''\n"


def test_importing_everything_starts_no_process(tmp_path):
    imports = "\n".join(f"import loky.{module}" for module in MODULES)
    read = "os.read(os.open(f'/proc/self/task/{os.getpid()}/children', os.O_RDONLY), 99)"
    text = f"import os\n{imports}\nprint({read})"
    finished = programs.run("-W", "error", programs.write(tmp_path / "all.py", text))
    assert (finished.output, finished.errors) == ("b''\n", "")


def test_the_start_method_of_multiprocessing_is_not_set(tmp_path):
    text = """
        import multiprocessing
        import loky.backend.context
        loky.backend.context.get_context()
        print(multiprocessing.get_start_method(allow_none=True))
        """
    assert programs.run(programs.write(tmp_path / "p.py", text)).output == "None\n"
