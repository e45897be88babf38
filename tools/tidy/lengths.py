"""A file has one subject and at most 600 lines, a function at most 60, in Rust and in Python."""

import ast
from collections.abc import Iterator

from tools.tidy.rust_text import code_only, functions
from tools.tidy.tree import Finding, Tree

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60


def check(tree: Tree) -> Iterator[Finding]:
    """Yield each file and each function over its budget."""
    for path, text in tree.matching(".rs", ".py", ".pyi"):
        lines = len(text.splitlines())
        if lines > FILE_LINES_MAX:
            yield Finding(path, 1, "file-length", f"{lines} lines, at most {FILE_LINES_MAX}")
    for path, _ in tree.matching(".rs"):
        yield from _long(path, functions(tree.derived(path, code_only)))
    for path, text in tree.matching(".py"):
        yield from _long(path, _python_functions(path, text))


def _long(path: str, found: Iterator[tuple[str, int, int]]) -> Iterator[Finding]:
    for name, first, last in found:
        lines = last - first + 1
        if lines > FUNCTION_LINES_MAX:
            text = f"`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}"
            yield Finding(path, first, "function-length", text)


def _python_functions(path: str, text: str) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(ast.parse(text, filename=path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, node.end_lineno or node.lineno
