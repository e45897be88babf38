"""Every row of the table of failures: its outcome, what becomes of the others, and that it happened.

The census follows each test: nothing of a row may be left.
"""

import pytest

from tests.faults import stage as stages
from tests.faults.rows import ROWS
from tests.faults.table import Row
from tests.faults.theatre import play, play_alone

MODES = ("recover", "break")
LAUNCHERS = ("zygote", "exec")

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_failure_ends_as_the_table_says(row: Row, mode, launcher, tmp_path, capfd):
    lacking = row.lacking()
    if lacking:
        pytest.skip(lacking)
    written = []

    def errors():
        written.append(capfd.readouterr().err)
        return "".join(written)

    if row.alone:
        play_alone(row.name, mode, launcher, tmp_path)
        return
    stage = stages.Stage(mode, launcher, tmp_path, row.options, errors)
    try:
        play(row, stage)
    finally:
        stage.close()


def test_rows_have_names_of_their_own():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
