"""`python -m benches.charts`: draw the newest result, and show it in docs/performance.md.

One bar a contender and a logarithmic scale, since contenders differ by orders of magnitude. No number in
a chart is typed by hand.
"""

import json
import math
import sys
from typing import Any
from xml.sax.saxutils import escape

from benches.report import NOT_YET, ROOT, newest, renewed
from benches.table import OURS, TITLES, number

IMAGES = ROOT / "docs" / "images"
PAGE = ROOT / "docs" / "performance.md"

CHARTS = {
    "speed-tasks": (
        "Many small tasks (longer is better)",
        ("throughput · submit_per_s", "throughput · map_1_per_s", "throughput · map_100_per_s"),
    ),
    "speed-waits": (
        "Waiting (shorter is better)",
        ("start_up · first_result_ms", "round_trip · p50_us", "crash_kill · next_ok_ms", "shutdown · ms"),
    ),
    "speed-arrays": (
        "Arrays to a worker and back (shorter is better)",
        ("arrays · in_1mib_ms", "arrays · out_1mib_ms", "arrays · in_64mib_ms", "arrays · out_64mib_ms"),
    ),
    "speed-scale": (
        "Backlog and crowd (shorter is better)",
        ("backlog · finish_ms", "backlog · growth_mib", "crowd · cold_ms", "crowd · memory_per_worker_mib"),
    ),
}

WIDTH, LEFT, RIGHT = 760, 130, 90
BAR, GAP, HEAD = 14, 4, 30
OURS_COLOUR, PEER_COLOUR, TEXT_COLOUR = "#1f6f54", "#9aa5b1", "#444"


def chart(title: str, rows: dict[str, dict[str, Any]], contenders: list[str]) -> str:
    """Draw some rows of a result."""
    y = HEAD
    parts = [_text(0, 18, title, weight="bold")]
    for row, cells in rows.items():
        y += GAP * 3
        parts.append(_text(0, y, TITLES.get(row, row)))
        y += GAP * 2
        known = [cell["median"] for cell in cells.values() if cell["median"]]
        for contender in contenders:
            if contender in cells:
                parts += _bar(y, contender, cells[contender], known)
                y += BAR + GAP
    size = f'width="{WIDTH}" height="{y + GAP}" viewBox="0 0 {WIDTH} {y + GAP}"'
    style = "font-family:sans-serif;font-size:12px"
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{style}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _bar(y: int, contender: str, cell: dict[str, Any], known: list[float]) -> list[str]:
    label = _text(LEFT - 8, y + BAR - 3, contender, anchor="end")
    value = cell["median"]
    if value is None:
        return [label, _text(LEFT, y + BAR - 3, str(cell["note"]))]
    length = _length(value, known)
    colour = OURS_COLOUR if contender == OURS else PEER_COLOUR
    bar = f'<rect x="{LEFT}" y="{y}" width="{length:.0f}" height="{BAR}" fill="{colour}"/>'
    return [label, bar, _text(LEFT + length + 6, y + BAR - 3, number(value))]


def _length(value: float, known: list[float]) -> float:
    """The shortest bar is a tenth of the longest possible one, however small its number."""
    full = WIDTH - LEFT - RIGHT
    low, high = min(known), max(known)
    if value <= 0 or high <= low:
        return full / 10
    return full / 10 + full * 9 / 10 * math.log(value / low) / math.log(high / low)


def _text(x: float, y: float, text: str, weight: str = "normal", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{TEXT_COLOUR}">{escape(text)}</text>'
    )


def draw(result: dict[str, Any]) -> dict[str, str]:
    """Draw all charts of a result, by file name; one without any row is left out."""
    charts = {}
    for name, (title, rows) in CHARTS.items():
        present = {row: result["rows"][row] for row in rows if row in result["rows"]}
        if present:
            charts[f"{name}.svg"] = chart(title, present, result["contenders"])
    return charts


def gallery(names: list[str]) -> str:
    """Show the charts, under what they are about."""
    shown = [f"![{CHARTS[name.removesuffix('.svg')][0]}](images/{name})" for name in names]
    return "\n\n".join(shown) or NOT_YET


def main() -> None:
    """Draw the newest result and show it."""
    path = newest(ROOT / "benches" / "results")
    charts = {} if path is None else draw(json.loads(path.read_text(encoding="utf-8")))
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, text in charts.items():
        IMAGES.joinpath(name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/images/{name}\n")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(renewed(page, gallery(list(charts))), encoding="utf-8")


if __name__ == "__main__":
    main()
