"""A profiler that is on in the program is on in its workers, after their own initializer."""

import json
import sys
import types
import warnings

import pytest

import loky
from tests.support import programs, tasks

LAUNCHERS = pytest.mark.parametrize("launched", ["zygote", "exec"])

STUB = """
import builtins

started = []

class VizTracer:
    def __init__(self, **settings):
        self.init_kwargs, self.enable = settings, False
    def register_exit(self):
        self.registered = True
    def start(self):
        self.enable, self.after = True, getattr(builtins, "initialized", None)
        started.append(self)

def get_tracer():
    return started[0] if started else None
"""

PROGRAM = """
import builtins, sys
import viztracer
import loky

def initialize(value):
    builtins.initialized = value

def look():
    tracer = viztracer.get_tracer()
    return tracer and (tracer.enable, tracer.init_kwargs, tracer.after, tracer.registered)

if __name__ == "__main__":
    with loky.ProcessPoolExecutor(1, launcher=sys.argv[1]) as off:
        print(off._initializer, off.submit(look).result())
    viztracer.VizTracer(depth=7).start()
    with loky.ProcessPoolExecutor(1, initializer=initialize, initargs=(3,), launcher=sys.argv[1]) as on:
        print(on.submit(look).result())
    with loky.ProcessPoolExecutor(1, launcher=sys.argv[1]) as on:
        print(on.submit(look).result())
"""


@LAUNCHERS
def test_the_tracer_of_the_program_is_started_in_workers_with_its_settings(tmp_path, launched):
    programs.write(tmp_path / "viztracer.py", STUB)
    program = programs.write(tmp_path / "program.py", PROGRAM)
    result = programs.run(program, launched)
    assert result.errors == ""
    assert result.lines == [
        "None None",
        "(True, {'depth': 7}, 3, True)",
        "(True, {'depth': 7}, None, True)",
    ]


def test_a_tracer_that_cannot_be_looked_into_is_only_warned_of(pool, monkeypatch):
    module = types.ModuleType("viztracer")
    module.get_tracer = lambda: 1 / 0
    monkeypatch.setitem(sys.modules, "viztracer", module)
    with pytest.warns(UserWarning, match="Unable to introspect viztracer state"):
        executor = pool(1)
    assert executor._initializer is None
    monkeypatch.delitem(sys.modules, "viztracer")
    assert executor.submit(tasks.identity, 1).result() == 1


def test_a_tracer_that_is_off_changes_nothing(monkeypatch):
    module = types.ModuleType("viztracer")
    module.get_tracer = lambda: types.SimpleNamespace(enable=False, init_kwargs={})
    monkeypatch.setitem(sys.modules, "viztracer", module)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loky.ProcessPoolExecutor(1)._initializer is None


@LAUNCHERS
def test_the_real_tracer_writes_of_every_process_into_one_file(tmp_path, launched):
    pytest.importorskip("viztracer")
    text = """
        import sys
        import loky

        def traced_work(number):
            return sum(range(number))

        if __name__ == "__main__":
            with loky.ProcessPoolExecutor(2, launcher=sys.argv[1]) as executor:
                print(list(executor.map(traced_work, [3, 4])))
    """
    program = programs.write(tmp_path / "program.py", text)
    output = tmp_path / "trace.json"
    result = programs.run("-m", "viztracer", "--output_file", output, "--quiet", "--", program, launched)
    assert result.status == 0, result.errors
    assert "[3, 6]" in result.output
    events = json.loads(output.read_text())["traceEvents"]
    where = {event["pid"] for event in events if event.get("name", "").startswith("traced_work")}
    assert where
    assert len({event["pid"] for event in events}) > len(where)
