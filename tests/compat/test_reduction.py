"""The choice of a pickler, reducers for all pools and for one, and the picklers' classes."""

import copyreg
import io
import pickle
import sys

import cloudpickle
import pytest

import loky
from loky import _state
from loky.backend import reduction
from tests.support import programs


@pytest.fixture(autouse=True)
def default_pickler():
    registered = dict(_state.registered_reducers)
    yield
    loky.set_loky_pickler()
    _state.registered_reducers.clear()
    _state.registered_reducers.update(registered)


class Number:
    def __init__(self, value):
        self.value = value


def plus_five(number):
    return Number, (number.value + 5,)


def times_seven(number):
    return Number, (number.value * 7,)


def same(value):
    return value


def test_cloudpickle_is_the_default():
    assert reduction.get_loky_pickler_name() == "cloudpickle" == reduction.DEFAULT_ENV
    assert issubclass(reduction.get_loky_pickler(), cloudpickle.CloudPickler)


@pytest.mark.parametrize(
    ("given", "name"), [("pickle", "pickle"), ("", "cloudpickle"), (None, "cloudpickle"), ("dill", None)]
)
def test_a_pickler_is_chosen_by_the_name_of_its_module(given, name):
    if given == "dill":
        pytest.importorskip("dill")
        name = "dill"
    assert loky.set_loky_pickler(given) is None
    assert reduction.get_loky_pickler_name() == name
    base = sys.modules[name].Pickler
    assert issubclass(reduction.get_loky_pickler(), base)


@pytest.mark.parametrize(("name", "kind"), [("no_such_module", ImportError), ("math", AttributeError)])
def test_a_wrong_choice_changes_nothing(name, kind):
    loky.set_loky_pickler("pickle")
    with pytest.raises(kind, match=f"loky_pickler to '{name}'") as caught:
        loky.set_loky_pickler(name)
    assert "LOKY_PICKLER" in str(caught.value)
    assert reduction.get_loky_pickler_name() == "pickle"


def test_the_choice_travels_with_the_task(pool):
    def name_there():
        from loky.backend.reduction import get_loky_pickler_name

        return get_loky_pickler_name()

    executor = pool(1)
    assert executor.submit(name_there).result() == "cloudpickle"
    loky.set_loky_pickler("pickle")
    assert executor.submit(reduction.get_loky_pickler_name).result() == "pickle"
    loky.set_loky_pickler("cloudpickle")
    assert executor.submit(name_there).result() == "cloudpickle"


def test_with_pickle_a_function_of_the_script_is_not_found(tmp_path):
    text = """
        import loky
        def function(): return 1
        loky.set_loky_pickler("pickle")
        error = loky.get_reusable_executor(1).submit(function).exception()
        print(type(error).__name__, error, error.__cause__)
        wrapped = loky.wrap_non_picklable_objects(function)
        print(loky.get_reusable_executor(1).submit(wrapped).result())
        """
    finished = programs.run(programs.write(tmp_path / "script.py", text))
    assert "BrokenProcessPool A task has failed to un-serialize" in finished.output
    assert "attribute 'function'" in finished.output
    assert finished.lines[-1] == "1"


def test_a_module_of_the_users_own(pool, tmp_path, monkeypatch):
    (tmp_path / "own_pickler.py").write_text("import pickle\nclass Pickler(pickle._Pickler):\n    mark = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    loky.set_loky_pickler("own_pickler")
    assert pool(1).submit(same, {"a": [1]}).result() == {"a": [1]}
    assert reduction.get_loky_pickler().mark == 1


def test_the_variable_chooses_the_default():
    text = "import loky; from loky.backend import reduction as r; print(r.get_loky_pickler_name());"
    text += "loky.set_loky_pickler(''); loky.set_loky_pickler(None); print(r.get_loky_pickler_name())"
    finished = programs.run("-c", text, env={"LOKY_PICKLER": "pickle"})
    assert finished.output == "pickle\npickle\n"


def test_dispatch_tables_are_an_instances_own():
    kind = reduction.get_loky_pickler()
    first, second = kind(io.BytesIO()), kind(io.BytesIO(), reducers={Number: plus_five})
    assert first.dispatch_table is not second.dispatch_table
    assert second.dispatch_table[Number] is plus_five
    assert Number not in first.dispatch_table
    first.register(Number, times_seven)
    assert first.dispatch_table[Number] is times_seven
    assert second.dispatch_table[Number] is plus_five
    assert Number not in cloudpickle.CloudPickler.dispatch_table
    assert set(copyreg.dispatch_table) <= set(first.dispatch_table)


@pytest.mark.parametrize("name", ["cloudpickle", "pickle"])
def test_registered_reducers_act_everywhere_and_own_ones_before_them(name, pool):
    loky.set_loky_pickler(name)
    reduction.register(Number, plus_five)
    assert reduction.loads(reduction.dumps(Number(1))).value == 6
    assert reduction.loads(reduction.dumps(Number(1), reducers={Number: times_seven})).value == 7
    file = io.BytesIO()
    reduction.dump(Number(1), file)
    assert pickle.loads(file.getvalue()).value == 6


def test_dumps_gives_a_buffer():
    stream = reduction.dumps([1, 2])
    assert isinstance(stream, memoryview)
    assert stream == reduction.dumps([1, 2])
    assert reduction.loads(stream) == [1, 2]


def test_reducers_of_a_pool_act_once_on_each_way(pool):
    executor = pool(1, job_reducers={Number: plus_five}, result_reducers={Number: times_seven})
    assert executor.submit(same, Number(1)).result().value == 42


def test_job_reducers_alone_are_for_results_too_and_an_empty_mapping_is_none(pool):
    assert pool(1, job_reducers={Number: plus_five}).submit(same, Number(1)).result().value == 11
    executor = pool(1, job_reducers={Number: plus_five}, result_reducers={})
    assert executor.submit(same, Number(1)).result().value == 6


def test_pools_with_other_reducers_do_not_mix(pool):
    first, second = pool(1, job_reducers={Number: plus_five}, result_reducers={}), pool(1)
    assert second.submit(same, Number(1)).result().value == 1
    assert first.submit(same, Number(1)).result().value == 6


def test_a_registered_reducer_acts_on_tasks(pool):
    reduction.register(Number, plus_five)
    assert pool(1).submit(same, Number(1)).result().value == 6
