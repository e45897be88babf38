"""Contexts and start methods: loky's two, the standard library's, and pools made with each."""

import multiprocessing
import sys
import textwrap

import pytest

import loky
from loky.backend import context as contexts
from loky.backend import get_context
from tests.support import programs

METHODS = ["loky", "loky_init_main", "spawn", "forkserver"]


def method_here():
    # The function itself is a method of multiprocessing's state, which would travel with it.
    return multiprocessing.get_start_method()


@pytest.fixture(autouse=True)
def no_choice():
    yield
    contexts.set_start_method(None, force=True)


@pytest.mark.parametrize("method", METHODS)
def test_a_context_is_the_one_of_multiprocessing(method):
    context = get_context(method)
    assert context is multiprocessing.get_context(method)
    assert context.get_start_method() == method


def test_loky_is_the_default_until_another_is_chosen():
    assert get_context() is get_context("loky")
    assert contexts.get_start_method() is None
    contexts.set_start_method("spawn")
    assert contexts.get_start_method() == "spawn"
    assert get_context() is multiprocessing.get_context("spawn")
    with pytest.raises(RuntimeError):
        contexts.set_start_method("loky")
    contexts.set_start_method("loky", force=True)
    assert contexts.get_start_method() == "loky"


def test_an_unknown_method_is_named_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"'nothing'.*forkserver"):
        get_context("nothing")
    with pytest.raises(AssertionError):
        contexts.set_start_method("nothing")
    with pytest.raises(ValueError, match="nothing"):
        loky.get_reusable_executor(context="nothing")


def test_fork_is_warned_about():
    with pytest.warns(UserWarning, match="fork"):
        assert get_context("fork").get_start_method() == "fork"


def test_a_reusable_executor_refuses_fork():
    with pytest.warns(UserWarning, match="fork"), pytest.raises(ValueError, match="fork"):
        loky.get_reusable_executor(context="fork")
    with pytest.raises(ValueError, match="fork"):
        loky.get_reusable_executor(context=multiprocessing.get_context("fork"))


def test_an_executor_with_fork_can_be_made_but_not_nested(pool):
    fork = multiprocessing.get_context("fork")
    loky.ProcessPoolExecutor(1, context=fork).shutdown()
    with pytest.raises(ValueError, match="max_tasks_per_child"):
        loky.ProcessPoolExecutor(1, context=fork, max_tasks_per_child=1)

    def nest():
        from loky import ProcessPoolExecutor

        ProcessPoolExecutor(1, context=fork)

    error = pool(1).submit(nest).exception()
    assert isinstance(error, loky.process_executor.LokyRecursionError)
    assert "MAX_DEPTH=1" in str(error)


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_names_the_method_of_its_pool(pool, method):
    executor = pool(1, context=get_context(method))
    assert executor.submit(method_here).result() == method
    assert executor._context is get_context(method)


def test_the_chosen_method_is_that_of_pools_without_a_context(pool):
    contexts.set_start_method("forkserver", force=True)
    executor = pool(1)
    assert executor.submit(method_here).result() == "forkserver"
    assert executor._context is multiprocessing.get_context("forkserver")


@pytest.mark.parametrize("method", METHODS)
def test_an_event_of_the_context_travels_in_initargs(pool, method):
    event = get_context(method).Event()

    def keep(given):
        sys.kept_event = given

    executor = pool(1, context=get_context(method), initializer=keep, initargs=(event,))
    executor.submit(lambda: sys.kept_event.set()).result()
    assert event.wait(10)


def test_a_plain_process_starts_inside_a_worker(pool):
    def inner():
        process = multiprocessing.Process(target=sys.exit, args=(7,))
        process.start()
        process.join()
        return process.exitcode

    assert pool(1).submit(inner).result() == 7


MAIN = """
    import loky, sys
    from loky.backend import get_context
    MARK = "from the script"
    def look():
        main = sys.modules["__main__"]
        return main.__name__, getattr(main, "MARK", None), main is sys.modules["__mp_main__"]
    if __name__ == "__main__":
        with loky.ProcessPoolExecutor(1, context=get_context("{method}")) as executor:
            print(*executor.submit(look).result())
    """


@pytest.mark.parametrize("method", METHODS)
def test_whether_the_main_script_is_imported_again(tmp_path, method):
    finished = programs.run(programs.write(tmp_path / "script.py", MAIN.format(method=method)))
    seen = "__main__ None" if method == "loky" else "__mp_main__ from the script"
    assert (finished.output, finished.errors) == (f"{seen} True\n", "")


def test_multiprocessing_may_be_imported_before_or_after(tmp_path):
    lines = ["import loky", "import multiprocessing"]
    look = "print(multiprocessing.get_context('loky'), multiprocessing.get_context('loky_init_main'))"
    for order in (lines, lines[::-1]):
        finished = programs.run("-c", "\n".join([*order, look]))
        assert "LokyContext" in finished.output
        assert "LokyInitMainContext" in finished.output


def test_multiprocessing_can_be_set_to_loky():
    text = "import multiprocessing, loky; multiprocessing.set_start_method('loky');"
    finished = programs.run("-c", text + "print(multiprocessing.get_start_method())")
    assert finished.output == "loky\n"


def test_what_the_base_context_offers_works():
    context = get_context("loky")
    reader, writer = context.Pipe(duplex=False)
    writer.send(1)
    assert reader.recv() == 1
    reader.close()
    writer.close()
    assert context.cpu_count() == loky.cpu_count()


def test_shared_values_of_the_context_reach_its_processes(tmp_path):
    text = """
        from loky.backend import get_context
        context = get_context("loky")
        value, array, barrier = context.Value("i", 5), context.Array("i", [1, 2]), context.Barrier(2)
        def change():
            value.value += 1
            array[0] = 7
            barrier.wait(10)
        if __name__ == "__main__":
            def target(*shared):
                globals().update(zip(("value", "array", "barrier"), shared))
                change()
            process = context.Process(target=target, args=(value, array, barrier))
            process.start()
            barrier.wait(10)
            process.join()
            print(value.value, list(array), process.exitcode)
        """
    finished = programs.run(programs.write(tmp_path / "script.py", text))
    assert (finished.output, finished.errors) == ("6 [7, 2] 0\n", "")


def test_a_manager_of_the_context_serves_workers(pool):
    with get_context("loky").Manager() as manager:
        shared = manager.dict()
        pool(1).submit(shared.__setitem__, "key", 1).result()
        assert dict(shared) == {"key": 1}


def test_a_pool_of_the_context_works():
    with get_context("loky").Pool(1) as workers:
        assert workers.map(abs, [-1, -2]) == [1, 2]
        workers.close()
        workers.join()


def test_a_copy_of_loky_that_is_loaded_too_keeps_its_own_context():
    text = """
        from multiprocessing import context
        import loky
        other = context._concrete_contexts["loky"] = object.__new__(context.SpawnContext)
        from loky.backend import get_context
        print(context._default_context.get_context("loky") is other, get_context("loky"))
        """
    finished = programs.run("-c", textwrap.dedent(text))
    assert finished.output.startswith("True <loky.backend.context.LokyContext object")
