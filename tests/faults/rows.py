"""All rows of the table of failures."""

from tests.faults import rows_deaths
from tests.faults.table import Row

ROWS: list[Row] = [*rows_deaths.ROWS]
