"""All rows of the table of failures."""

from tests.faults import (
    rows_deaths,
    rows_family,
    rows_misuse,
    rows_options,
    rows_resources,
    rows_stopped,
    rows_values,
)
from tests.faults.table import Row

ROWS: list[Row] = [
    *rows_values.ROWS,
    *rows_deaths.ROWS,
    *rows_family.ROWS,
    *rows_resources.ROWS,
    *rows_options.ROWS,
    *rows_stopped.ROWS,
    *rows_misuse.ROWS,
]
