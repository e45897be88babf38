"""A test that leaves something fails, and one that slips past the census fails the whole run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
SHORT = "import tests.support.census_plugin as plugin\nplugin.SETTLE_LIMIT_S = 0.0\n"


def run(folder, test, conftest=CONFTEST + SHORT):
    """Run one test file under the census in an interpreter of its own."""
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "test_inner.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", folder]
    options = ["-c", "/dev/null", "-o", f"pythonpath={ROOT}", str(folder)]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("leak", "line"),
    [
        ("os.open('/dev/null', os.O_RDONLY)", "descriptor"),
        ("tempfile.mkdtemp()", "file"),
        ("os.posix_spawn('/bin/sleep', ['sleep', '0.2'], os.environ)", "process"),
    ],
)
def test_a_test_that_leaves_something_fails(tmp_path, leak, line):
    result = run(tmp_path, f"import os, tempfile\ndef test_it():\n    {leak}\n")
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout
    assert f"the test left behind:\n  {line} " in result.stdout


def test_a_test_that_leaves_nothing_passes_and_is_counted(tmp_path):
    result = run(tmp_path, "def test_it():\n    pass\n")
    assert result.returncode == pytest.ExitCode.OK, result.stdout
    assert "census: 1 tests accounted for" in result.stdout


def test_a_run_without_the_fixture_fails(tmp_path):
    without = CONFTEST.replace("    account,\n", "").replace('    "account",\n', "")
    assert without != CONFTEST
    result = run(tmp_path, "def test_it():\n    pass\n", without)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout
    assert "no census was taken for" in result.stderr
