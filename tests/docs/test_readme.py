"""The Python in the README and the guide runs, and prints what the text says it prints.

A block marked `python` is a program of its own. When the next block is marked `text`, that is its
output; `…` there stands for anything within a line.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/guide.md")
LINKED = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benches/README.md"),
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs():
    """Find each program with the output that is shown for it, if any."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = list(BLOCK.finditer(text))
        for block, following in zip(blocks, [*blocks[1:], None], strict=True):
            if block[1] == "python":
                shown = following[2] if following and following[1] == "text" else None
                line = text.count("\n", 0, block.start()) + 1
                yield pytest.param(block[2], shown, id=f"{page}:{line}")


@pytest.mark.parametrize(("source", "shown"), [*programs()])
def test_a_program_in_the_documentation_does_what_is_said(source, shown, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(source, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert result.returncode == 0, result.stderr
    if shown is not None:
        pattern = re.escape(shown.rstrip()).replace("…", "[^\n]*")
        assert re.fullmatch(pattern, result.stdout.rstrip()), result.stdout


def test_the_documentation_has_programs_with_output():
    assert len([program for program in programs() if program.values[1] is not None]) >= 3


@pytest.mark.parametrize("page", LINKED)
def test_a_link_to_a_file_leads_to_one(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    folder = (ROOT / page).parent
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (folder / link).exists()] == []
