"""The original distribution of loky in the same folder: the first import says so and what to do."""

import shutil
from pathlib import Path

import pytest

import loky
from tests.support import programs


@pytest.fixture
def mixed(tmp_path):
    """A folder with this package and one file of the other."""
    shutil.copytree(Path(loky.__file__).parent, tmp_path / "loky")
    (tmp_path / "loky" / "backend" / "popen_loky_posix.py").touch()
    return {"PYTHONPATH": str(tmp_path)}


def test_it_is_said_once_and_not_by_helpers(mixed):
    text = "import loky\nwith loky.ProcessPoolExecutor(1) as e: print(e.submit(abs, -1).result())"
    finished = programs.run("-c", text, env=mixed)
    assert finished.output == "1\n"
    assert finished.errors.count("UserWarning") == 1
    assert "pip uninstall loky loky-rs" in finished.errors


def test_joblib_is_not_put_on_a_package_whose_files_were_replaced(mixed, tmp_path):
    (tmp_path / "loky" / "__init__.py").write_text("")
    text = "import loky.joblib\ntry: loky.joblib.install()\nexcept ImportError as error: print(error)"
    assert "pip uninstall loky loky-rs" in programs.run("-c", text, env=mixed).output


def test_alone_it_says_nothing():
    assert programs.run("-c", "import loky").errors == ""
