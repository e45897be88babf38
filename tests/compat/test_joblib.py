"""joblib on this package: put in place before or after its import, in workers, and what it relies on."""

import importlib.util
import os
import textwrap

import pytest

from tests.support import programs

# It is looked for and not imported: these tests are about programs that import it.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("joblib") is None,
    reason="joblib is not installed here; `ci/joblib` runs this",
)

HEAD = """
    import sys
    import loky.joblib
    loky.joblib.install()
    from joblib import Parallel, delayed
    """


def run(tmp_path, text, **options):
    """What a program printed; it must have said nothing on standard error."""
    path = programs.write(tmp_path / "program.py", textwrap.dedent(HEAD) + textwrap.dedent(text))
    finished = programs.run(path, limit_s=60, **options)
    assert finished.errors == ""
    assert finished.status == 0
    return finished.lines


LOOK = """
    def look():
        import joblib, loky
        import joblib.externals.loky.backend.resource_tracker as tracker
        from joblib.externals.loky import process_executor
        return (
            sys.modules["joblib.externals.loky"] is loky,
            joblib.executor._ReusablePoolExecutor is loky.reusable_executor._ReusablePoolExecutor,
            tracker is loky.backend.resource_tracker,
            process_executor is loky.process_executor,
            process_executor._CURRENT_DEPTH,
        )
    """


def test_parent_workers_and_nested_workers_have_one_package(tmp_path):
    text = (
        LOOK
        + """
    def outer():
        return look(), Parallel(2, backend="loky")(delayed(look)() for _ in range(2))
    print(look())
    for own, nested in Parallel(2)(delayed(outer)() for _ in range(2)):
        print(own, *nested)
    """
    )
    first, *others = run(tmp_path, text)
    assert first == "(True, True, True, True, 0)"
    worker, nested = "(True, True, True, True, 1)", "(True, True, True, True, 2)"
    assert others == [f"{worker} {nested} {nested}"] * 2


AFTER = """
    import sys
    import joblib
    from joblib import Parallel, delayed
    import numpy as np
    {before}
    import loky.joblib
    loky.joblib.install()
    loky.joblib.install()
    {look}
    print(look(), *Parallel(2)(delayed(look)() for _ in range(2)))
    print(*Parallel(2)(delayed(np.sum)(np.ones(300_000)) for _ in range(2)))
    import loky
    print(joblib.cpu_count() == loky.cpu_count())
    """


@pytest.mark.parametrize(
    "before",
    ["", "Parallel(2)(delayed(np.sum)(np.ones(300_000)) for _ in range(2))"],
    ids=["unused", "in use"],
)
def test_it_may_be_put_in_place_after_joblib_was_imported(tmp_path, before):
    text = textwrap.dedent(AFTER).format(before=before, look=textwrap.dedent(LOOK))
    finished = programs.run(programs.write(tmp_path / "program.py", text), limit_s=60)
    assert finished.errors == ""
    parent, worker = "(True, True, True, True, 0)", "(True, True, True, True, 1)"
    assert finished.lines == [f"{parent} {worker} {worker}", "300000.0 300000.0", "True"]


def test_the_pool_is_kept_from_call_to_call(tmp_path):
    text = """
    import os
    def pids():
        return set(Parallel(2)(delayed(os.getpid)() for _ in range(20)))
    from loky import get_reusable_executor
    first = pids()
    executor = get_reusable_executor(reuse=True)
    known = set(executor._processes)
    pids()
    print(type(executor).__name__, first <= known, set(executor._processes) == known)
    print(get_reusable_executor(reuse=True) is executor)
    """
    assert run(tmp_path, text) == ["MemmappingExecutor True True", "True"]


def test_a_plain_executor_in_the_slot_does_not_disturb(tmp_path):
    text = """
    from loky import get_reusable_executor
    plain = get_reusable_executor(2)
    print(plain.submit(abs, -1).result(), Parallel(2)(delayed(abs)(-i) for i in range(3)))
    """
    assert run(tmp_path, text) == ["1 [0, 1, 2]"]


def test_large_arrays_go_through_files_that_are_removed(tmp_path):
    text = """
    import os, numpy as np
    array = np.ones(1_000_000)
    def look(a):
        return type(a).__name__, a.filename, float(a.sum())
    results = Parallel(2, max_nbytes="1K")(delayed(look)(array) for _ in range(4))
    print({(kind, total) for kind, _, total in results})
    names = {name for _, name, _ in results}
    loky.get_reusable_executor(reuse=True).shutdown()
    print(len(names))
    open("names", "w").write("\\n".join(names))
    """
    assert run(tmp_path, text, cwd=tmp_path) == ["{('memmap', 1000000.0)}", "1"]
    assert not [name for name in (tmp_path / "names").read_text().splitlines() if os.path.exists(name)]


@pytest.mark.parametrize("kind", ["generator", "generator_unordered"])
def test_results_can_be_taken_one_by_one(tmp_path, kind):
    text = f"""
    results = Parallel(2, return_as="{kind}")(delayed(abs)(-i) for i in range(6))
    print(sorted(results))
    """
    assert run(tmp_path, text) == ["[0, 1, 2, 3, 4, 5]"]


def test_a_generator_that_is_given_up_ends_its_workers(tmp_path):
    text = """
    import gc, time, warnings
    from loky import get_reusable_executor
    warnings.simplefilter("ignore")  # joblib tells how many tasks were cancelled.
    results = Parallel(2, return_as="generator")(delayed(time.sleep)(60 * (i > 0)) for i in range(4))
    next(results)
    executor = get_reusable_executor(reuse=True)
    del results
    gc.collect()
    print(executor._flags.shutdown, dict(executor._processes))
    """
    assert run(tmp_path, text) == ["True {}"]


def test_a_timeout_ends_the_call_and_not_the_program(tmp_path):
    text = """
    import time
    from multiprocessing import TimeoutError
    try:
        Parallel(2, timeout=0.3)(delayed(time.sleep)(60) for _ in range(4))
    except TimeoutError:
        print("timeout")
    print(Parallel(2)(delayed(abs)(-i) for i in range(3)))
    """
    assert run(tmp_path, text) == ["timeout", "[0, 1, 2]"]


def test_errors_come_with_the_workers_traceback(tmp_path):
    (tmp_path / "fails.py").write_text("def fail():\n    raise KeyError('reason')  # this very line\n")
    text = """
    from fails import fail
    try:
        Parallel(2)(delayed(fail)() for _ in range(2))
    except KeyError as error:
        print(error, "this very line" in str(error.__cause__), type(error.__cause__).__name__)
    """
    assert run(tmp_path, text) == ["'reason' True _RemoteTraceback"]


def test_a_dead_worker_is_the_error_that_programs_catch(tmp_path):
    text = """
    import os, signal
    from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError
    def die(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    try:
        Parallel(2)(delayed(die)(i) for i in range(4))
    except TerminatedWorkerError as error:
        print(isinstance(error, BrokenProcessPool), "SIGKILL(-9)" in str(error))
    print(Parallel(2)(delayed(abs)(-i) for i in range(3)))
    """
    assert run(tmp_path, text) == ["True True", "[0, 1, 2]"]


def test_an_initializer_of_a_configuration_runs_in_the_workers(tmp_path):
    text = """
    from joblib import parallel_config
    def prepare(value):
        sys.prepared = value
    with parallel_config("loky", n_jobs=2, initializer=prepare, initargs=("yes",)):
        print(Parallel()(delayed(lambda: sys.prepared)() for _ in range(3)))
    """
    assert run(tmp_path, text) == ["['yes', 'yes', 'yes']"]


def test_worker_threads_are_limited(tmp_path):
    text = """
    import joblib
    def limits():
        import os
        return {os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    print(Parallel(2)(delayed(limits)() for _ in range(2)) == [{str(max(joblib.cpu_count() // 2, 1))}] * 2)
    """
    lines = run(
        tmp_path,
        "import os\nfor n in list(os.environ):\n    if n.endswith('_NUM_THREADS'):\n"
        "        del os.environ[n]\n" + textwrap.dedent(text),
    )
    assert lines == ["True"]


def test_folders_may_have_any_name(tmp_path):
    folder = tmp_path / "größe: [x] (\N{SNOWMAN})" / ("n" * 200)
    folder.mkdir(parents=True)
    text = """
    import numpy as np
    print(Parallel(2, max_nbytes="1K")(delayed(np.sum)(np.ones(10_000)) for _ in range(3)))
    """
    env = {"JOBLIB_TEMP_FOLDER": str(folder)}
    assert "10000.0" in run(tmp_path, text, env=env)[0]
    assert not list(folder.iterdir())


def test_importing_joblib_starts_nothing(tmp_path):
    text = """
    import joblib, threading
    from joblib.externals.loky.backend import resource_tracker
    print(resource_tracker._resource_tracker._fd, threading.active_count())
    """
    assert run(tmp_path, text) == ["None 1"]
