"""A survey of the interpreter's own standard library, made in a process pool.

Every source file is read, parsed and measured by a worker: lines, functions, deepest nesting and
the modules it imports. Two things go wrong on purpose, as they do in real jobs: one file is not
Python, and one task kills the worker it runs in. The report names both, with the reason, and has
every other file.

    python stdlib_survey.py                    # in a pool, one worker a processor
    python stdlib_survey.py --sequential       # the same without a pool
    python stdlib_survey.py --output DIRECTORY # where the chart and the list of all files go
"""

import argparse
import ast
import collections
import csv
import os
import platform
import signal
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from loky import ProcessPoolExecutor, TerminatedWorkerError, as_completed, cpu_count

BROKEN_NAME = "broken_on_purpose.py"
BROKEN_SOURCE = "def measure(:\n    return 1\n"
SABOTAGE_NAME = "sabotage"
# Statements that indent what they hold.
BLOCKS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.TryStar,
    ast.Match,
)


class Measures(NamedTuple):
    """What is known of one file."""

    name: str
    lines: int
    functions: int
    nesting: int
    imports: tuple[str, ...]

    @property
    def package(self) -> str:
        """The top-level package, or one common name for modules that are a single file."""
        return self.name.split("/")[0] if "/" in self.name else "single modules"


class Survey(NamedTuple):
    """What came of the whole job: every file is in exactly one of the first two."""

    measured: list[Measures]
    unparsed: dict[str, str]
    lost: dict[str, str]


def measure(folder: str, name: str) -> tuple[int, int, int, tuple[str, ...]]:
    """Read, parse and measure one file."""
    source = Path(folder, name).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old files have odd escapes, which is their own affair
        tree = ast.parse(source, filename=name)
    functions = deepest = 0
    imports: set[str] = set()
    todo: list[tuple[ast.AST, int]] = [(tree, 0)]
    while todo:
        node, depth = todo.pop()
        deepest = max(deepest, depth)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions += 1
        elif isinstance(node, ast.Import):
            imports.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports.add(node.module.split(".")[0])
        for child in ast.iter_child_nodes(node):
            # `elif` is an `if` inside the `else` of another one, at the same indentation.
            chained = isinstance(node, ast.If) and node.orelse == [child]
            deeper = isinstance(child, BLOCKS) and not (chained and isinstance(child, ast.If))
            todo.append((child, depth + deeper))
    return len(source.splitlines()), functions, deepest, tuple(sorted(imports))


def sabotage() -> None:
    """Kill the worker that runs this, as a crash in C or the out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


def sources(limit: int | None) -> list[tuple[str, str]]:
    """List the library's files as (folder, name), or `limit` of them, evenly spread."""
    root = sysconfig.get_path("stdlib")
    names = sorted(
        path.relative_to(root).as_posix()
        for path in Path(root).rglob("*.py")
        if not {"site-packages", "dist-packages"} & set(path.parts)
    )
    step = 1 if limit is None else max(1, len(names) // max(1, limit))
    return [(root, name) for name in names[::step][:limit]]


def progress(done: int, total: int) -> None:
    """Draw a bar, for a reader who is there to see it."""
    if sys.stderr.isatty():
        filled = 40 * done // total
        bar = "█" * filled + "░" * (40 - filled)
        end = "\n" if done == total else ""
        print(f"\r  {bar} {done}/{total}", end=end, file=sys.stderr, flush=True)


def survey_in_pool(files: list[tuple[str, str]]) -> Survey:
    """Measure all files in a pool, with the sabotage in the midst of them."""
    survey = Survey([], {}, {})
    with ProcessPoolExecutor(max_workers=cpu_count()) as executor:
        names: dict[Future[Any], str] = {}
        for position, (folder, name) in enumerate(files):
            if position == len(files) // 2:
                names[executor.submit(sabotage)] = SABOTAGE_NAME
            names[executor.submit(measure, folder, name)] = name
        for done, future in enumerate(as_completed(names), start=1):
            name = names[future]
            try:
                survey.measured.append(Measures(name, *future.result()))
            except TerminatedWorkerError as error:
                survey.lost[name] = str(error)
            except Exception as error:
                survey.unparsed[name] = f"{type(error).__name__}: {error}"
            progress(done, len(names))
    return survey


def survey_sequentially(files: list[tuple[str, str]]) -> Survey:
    """Measure all files here. The sabotage is left out: it would end this very program."""
    survey = Survey([], {}, {})
    for done, (folder, name) in enumerate(files, start=1):
        try:
            survey.measured.append(Measures(name, *measure(folder, name)))
        except Exception as error:
            survey.unparsed[name] = f"{type(error).__name__}: {error}"
        progress(done, len(files))
    return survey


def by_package(measured: list[Measures]) -> list[tuple[str, list[Measures]]]:
    """Group the files by package, most lines first."""
    groups = collections.defaultdict(list)
    for file in measured:
        groups[file.package].append(file)
    return sorted(groups.items(), key=lambda group: (-sum(f.lines for f in group[1]), group[0]))


def table(measured: list[Measures], rows: int = 15) -> Iterator[str]:
    """Yield the lines of the table: the largest packages, the rest in one row, the sum."""
    groups = by_package(measured)
    rest = [file for _, files in groups[rows:] for file in files]
    shown = groups[:rows] + ([(f"{len(groups) - rows} others", rest)] if rest else [])
    yield f"{'package':<18}{'files':>7}{'lines':>10}{'functions':>11}{'deepest':>9}"
    for package, files in [*shown, ("all", measured)]:
        lines = sum(file.lines for file in files)
        functions = sum(file.functions for file in files)
        deepest = max((file.nesting for file in files), default=0)
        if package == "all":
            yield "─" * 55
        yield f"{package:<18}{len(files):>7,}{lines:>10,}{functions:>11,}{deepest:>9}"


def report(survey: Survey) -> Iterator[str]:
    """Yield the lines of the whole report."""
    yield from table(survey.measured)
    counts = collections.Counter(module for file in survey.measured for module in file.imports)
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:8]
    yield ""
    yield "imported most: " + ", ".join(f"{module} ({count})" for module, count in common)
    yield ""
    yield f"did not parse: {len(survey.unparsed)}"
    for name, reason in sorted(survey.unparsed.items()):
        yield f"  {name}: {reason}"
    yield f"lost with their worker: {len(survey.lost)}"
    for name, reason in sorted(survey.lost.items()):
        yield f"  {name}: " + reason.replace("\n", "\n    ")


def write_list(path: Path, survey: Survey) -> None:
    """Write one line for each file, measured or not."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["name", "lines", "functions", "nesting", "imports", "error"])
        for file in survey.measured:
            writer.writerow([*file[:4], " ".join(file.imports), ""])
        for name, reason in sorted(survey.unparsed.items()):
            writer.writerow([name, "", "", "", "", reason])


STYLE = """
  text { font: 13px system-ui, 'Helvetica Neue', Arial, sans-serif; fill: #33404d }
  .title { font-size: 20px; font-weight: 600; fill: #16202b }
  .note { font-size: 12px; fill: #71808f }
  .head { font-weight: 600 }
  .value { font-size: 12px; fill: #55636f }
  .left { fill: #2b7a9b } .right { fill: #d98a3d } .base { stroke: #c9d2da }
"""


def package_bars(measured: list[Measures], x: int, y: int) -> Iterator[str]:
    """Yield the horizontal bars: lines of the largest packages."""
    groups = by_package(measured)[:14]
    sizes = [(name, sum(file.lines for file in files), len(files)) for name, files in groups]
    longest = max((lines for _, lines, _ in sizes), default=1)
    yield f'<text class="head" x="{x}" y="{y - 16}">Lines of the largest packages</text>'
    for row, (name, lines, files) in enumerate(sizes):
        top = y + 27 * row
        width = max(1.0, 250 * lines / longest)
        yield f'<text x="{x + 110}" y="{top + 14}" text-anchor="end">{escape(name)}</text>'
        yield (
            f'<rect class="left" x="{x + 120}" y="{top}" width="{width:.1f}" height="19" rx="3">'
            f"<title>{escape(name)}: {lines:,} lines in {files:,} files</title></rect>"
        )
        yield f'<text class="value" x="{x + 128 + width:.1f}" y="{top + 14}">{lines:,}</text>'


def nesting_bars(measured: list[Measures], x: int, y: int) -> Iterator[str]:
    """Yield the upright bars: how many files go how deep."""
    counts = collections.Counter(file.nesting for file in measured)
    deepest, highest = max(counts, default=0), max(counts.values(), default=1)
    step = 370 / (deepest + 1)
    floor = y + 346
    yield f'<text class="head" x="{x}" y="{y - 16}">Deepest nesting of a file</text>'
    for depth in range(deepest + 1):
        files = counts[depth]
        height = 310 * files / highest
        left, middle = x + step * depth, x + step * (depth + 0.45)
        yield (
            f'<rect class="right" x="{left:.1f}" y="{floor - height:.1f}" width="{step * 0.9:.1f}" '
            f'height="{height:.1f}" rx="3"><title>{files:,} files go {depth} deep</title></rect>'
        )
        yield (
            f'<text class="value" x="{middle:.1f}" y="{floor - height - 6:.1f}" '
            f'text-anchor="middle">{files or ""}</text>'
        )
        yield f'<text x="{middle:.1f}" y="{floor + 18}" text-anchor="middle">{depth}</text>'
    yield f'<path class="base" d="M{x} {floor + 0.5}h370"/>'
    yield f'<text class="note" x="{x}" y="{floor + 40}">levels of blocks; bars: files</text>'


def chart(survey: Survey) -> str:
    """Draw the result. The same result gives the same bytes."""
    measured = survey.measured
    version = f"{platform.python_implementation()} {platform.python_version()}"
    title = f"The standard library of {version}"
    note = (
        f"{len(measured):,} files, {sum(file.lines for file in measured):,} lines, "
        f"{sum(file.functions for file in measured):,} functions; "
        f"{len(survey.unparsed)} did not parse"
    )
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 520" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        '<rect width="940" height="520" fill="#fbfcfd"/>',
        f'<text class="title" x="32" y="44">{title}</text>',
        f'<text class="note" x="32" y="66">{note}</text>',
        *package_bars(measured, 32, 116),
        *nesting_bars(measured, 530, 116),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Do the job and tell of it."""
    parser = argparse.ArgumentParser(description="Survey the standard library in a process pool.")
    parser.add_argument("--sequential", action="store_true", help="do it without a pool")
    parser.add_argument("--output", type=Path, default=Path("."), help="folder of chart and list")
    parser.add_argument("--limit", type=int, help="only so many files, evenly spread")
    options = parser.parse_args()

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, BROKEN_NAME).write_text(BROKEN_SOURCE, encoding="utf-8")
        files = [*sources(options.limit), (folder, BROKEN_NAME)]
        survey = survey_sequentially(files) if options.sequential else survey_in_pool(files)
    seconds = time.perf_counter() - began
    survey.measured.sort()

    how = "one after the other" if options.sequential else f"in a pool of {cpu_count()} workers"
    print(f"{len(files):,} files {how}: {seconds:.1f} s\n")
    print("\n".join(report(survey)))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "stdlib_survey.svg").write_text(chart(survey), encoding="utf-8")
    write_list(options.output / "stdlib_survey.csv", survey)
    print(f"\nchart: {options.output / 'stdlib_survey.svg'}")
    print(f"every file: {options.output / 'stdlib_survey.csv'}")


main()
