"""Every way to write a program: no guard, `-c`, standard input, `-m`, a terminal, pytest."""

import contextlib

import pytest

from tests.support import programs

PROGRAM = """
import loky

FACTOR = 3

class Box:
    def __init__(self, value):
        self.value = value

def scale(box):
    return Box(box.value * FACTOR)

executor = loky.get_reusable_executor(2)
result = executor.submit(scale, Box(7)).result()
print(type(result) is Box, result.value)
print(list(executor.map(lambda n: n * FACTOR, range(4))))
print("started once")
"""
EXPECTED = ["True 21", "[0, 3, 6, 9]", "started once"]


def check(result):
    assert (result.lines, result.errors, result.status) == (EXPECTED, "", 0)


def test_a_script_without_a_guard(tmp_path):
    check(programs.run(programs.write(tmp_path / "script.py", PROGRAM)))


def test_a_program_on_the_command_line():
    check(programs.run("-c", PROGRAM))


def test_a_program_on_standard_input():
    check(programs.run("-", stdin=PROGRAM))


def test_a_module_by_name(tmp_path):
    (tmp_path / "package").mkdir()
    programs.write(tmp_path / "package" / "__init__.py", "")
    programs.write(tmp_path / "package" / "module.py", PROGRAM)
    check(programs.run("-m", "package.module", cwd=tmp_path))


def test_a_package_by_name(tmp_path):
    (tmp_path / "package").mkdir()
    programs.write(tmp_path / "package" / "__main__.py", PROGRAM)
    check(programs.run("-m", "package", cwd=tmp_path))


def test_a_directory_and_a_relative_import(tmp_path):
    (tmp_path / "app").mkdir()
    programs.write(tmp_path / "app" / "helper_of_app.py", "def double(n):\n    return 2 * n\n")
    programs.write(
        tmp_path / "app" / "__main__.py",
        """
        import loky, helper_of_app
        print(loky.ProcessPoolExecutor(1).submit(helper_of_app.double, 4).result())
        """,
    )
    assert programs.run(tmp_path / "app").lines == ["8"]


def test_a_program_run_by_runpy(tmp_path):
    path = programs.write(tmp_path / "script.py", PROGRAM)
    check(programs.run("-c", f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')"))


def test_a_script_with_a_guard_is_not_run_again(tmp_path):
    program = """
        import loky
        print("imported")
        def task():
            return __name__
        if __name__ == "__main__":
            print(loky.ProcessPoolExecutor(2).submit(task).result())
        """
    result = programs.run(programs.write(tmp_path / "script.py", program))
    assert (result.lines, result.errors) == (["imported", "__main__"], "")


@pytest.mark.parametrize("options", [["-I"], ["-s", "-E"], ["-O"], ["-B"]], ids=" ".join)
def test_options_of_the_interpreter_are_no_obstacle(options):
    import sys

    path = programs.environment()["PYTHONPATH"].split(":")
    program = f"import sys; sys.path[:0] = {[*path, *sys.path]!r}\n" + PROGRAM
    check(programs.run(*options, "-c", program))


def test_a_directory_that_hides_the_standard_library_is_no_obstacle(tmp_path):
    for name in ("traceback", "typing", "logging", "dataclasses", "inspect", "uuid"):
        programs.write(tmp_path / f"{name}.py", "raise ImportError('not the real one')")
    path = programs.write(tmp_path / "script.py", "import sys\npath = sys.path.pop(0)\n" + PROGRAM)
    check(programs.run(path, cwd=tmp_path))


REDEFINE = """
import loky
executor = loky.get_reusable_executor(1)
value = 1
def inner():
    return value
def outer():
    return inner()
seen = [executor.submit(outer).result()]
value = 2
seen.append(executor.submit(outer).result())
def inner():
    return value * 10
seen.append(executor.submit(outer).result())
def assign():
    global value
    value = 99
    return value
seen += [executor.submit(assign).result(), value, executor.submit(outer).result()]
print(seen)
"""


def test_names_that_are_bound_again_are_seen_by_the_next_task():
    result = programs.run("-c", REDEFINE)
    assert (result.lines, result.errors) == (["[1, 2, 20, 99, 2, 20]"], "")


CLASSES = """
import loky, enum, dataclasses, typing

class Base:
    kind = "base"
    def name(self):
        return self.kind

class Derived(Base):
    kind = "derived"
    def name(self):
        return super().name() + "!"

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Point:
    x: int
    next: "typing.Optional[Point]" = None

class Own(Exception):
    def __init__(self, code, *, hint):
        super().__init__(f"code {code}")
        self.code, self.hint = code, hint

def fail():
    raise Own(5, hint="look")

executor = loky.get_reusable_executor(1)
print(executor.submit(Derived().name).result(), executor.submit(Derived).result().name())
print(executor.submit(lambda: Colour.RED).result() is Colour.RED)
print(executor.submit(lambda p: Point(p.x + 1, p), Point(1)).result())
print(isinstance(executor.submit(lambda: Derived()).result(), Base))
try:
    executor.submit(fail).result()
except Own as error:
    print(error, error.code, error.hint)
"""


def test_classes_of_the_main_program_go_there_and_come_back():
    result = programs.run("-c", CLASSES)
    assert result.errors == ""
    assert result.lines == [
        "derived! derived!",
        "True",
        "Point(x=2, next=Point(x=1, next=None))",
        "True",
        "code 5 5 look",
    ]


@pytest.fixture
def repl():
    with contextlib.closing(programs.Terminal("-q", "-i")) as terminal:
        terminal.expect(">>> ")
        yield terminal


def say(terminal, line, answer):
    terminal.type(line)
    terminal.expect(answer)
    terminal.expect(">>> ")


def test_a_session_on_a_terminal(repl):
    for line in ("import loky", "executor = loky.get_reusable_executor(2)", "k = 2"):
        repl.type(line)
        repl.expect(">>> ")
    repl.type("def f(x): return x * k")
    repl.expect("... ")
    repl.type("")
    repl.expect(">>> ")
    say(repl, "executor.submit(f, 21).result()", "42")
    repl.type("k = 3")
    repl.expect(">>> ")
    say(repl, "list(executor.map(f, range(3)))", "[0, 3, 6]")
    repl.type("exit()")
    repl.process.wait(10)
    assert repl.process.returncode == 0


def test_a_worker_does_not_read_the_terminal(repl):
    repl.type("import loky, sys")
    repl.expect(">>> ")
    say(repl, "loky.get_reusable_executor(1).submit(lambda: repr(sys.stdin.read())).result()", "\"''\"")


INNER_TEST = """
import pytest, loky
NUMBER = 4
def local(n):
    return n * NUMBER

@pytest.fixture
def executor():
    with loky.ProcessPoolExecutor(2) as executor:
        yield executor

def test_functions_of_this_file(executor):
    assert list(executor.map(local, range(3))) == [0, 4, 8]

def test_output(executor, capsys):
    executor.submit(print, "from the worker").result()

def test_errors(executor):
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 1, 0).result()

def test_reusable():
    assert loky.get_reusable_executor(1).submit(lambda: 5).result() == 5
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_tests_of_others_run_under_pytest(tmp_path, mode):
    programs.write(tmp_path / "test_inner.py", INNER_TEST)
    options = ["-q", "-s", "-p", "no:cacheprovider", f"--import-mode={mode}", f"--rootdir={tmp_path}"]
    result = programs.run("-m", "pytest", *options, tmp_path, cwd=tmp_path)
    assert "4 passed" in result.output, result.output + result.errors
    assert "from the worker" in result.output
    assert result.errors == ""


def test_functions_of_an_imported_module_go_by_reference(tmp_path):
    counter = "calls = []\ndef count():\n    calls.append(1)\n    return len(calls)\n"
    programs.write(tmp_path / "counter.py", counter)
    program = """
        import loky, counter
        executor = loky.ProcessPoolExecutor(1)
        print([executor.submit(counter.count).result() for _ in range(3)], len(counter.calls))
        """
    result = programs.run(programs.write(tmp_path / "script.py", program))
    assert result.lines == ["[1, 2, 3] 0"]
