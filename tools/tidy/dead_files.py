"""Every source file is reached from somewhere: a module of its crate, an import, a test run."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

from tools.tidy.rust_text import code_only
from tools.tidy.tree import Finding, Tree

_MODULE = re.compile(r"\bmod\s+(?:r#)?(\w+)\s*;")
_PATH = re.compile(r'#\[path\s*=\s*"([^"]+)"\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*;')
_COLLECTED = re.compile(r"^(?:test_\w+|conftest|__init__|__main__)\.py$")


def check(tree: Tree) -> Iterator[Finding]:
    """Yield each source file that nothing reaches."""
    yield from _dead_rust(tree)
    yield from _dead_python(tree)


def _dead_rust(tree: Tree) -> Iterator[Finding]:
    reached: set[str] = set()
    todo = list(_roots(tree))
    while todo:
        path = todo.pop()
        if path not in reached and path in tree.files:
            reached.add(path)
            todo += _modules(tree, path)
    for path, _ in tree.matching(".rs"):
        if path not in reached:
            yield Finding(path, 1, "dead-file", "no `mod` leads here")


def _roots(tree: Tree) -> Iterator[str]:
    for manifest, text in tree.matching("Cargo.toml"):
        folder = manifest.removesuffix("Cargo.toml")
        for kind in ("bin", "test", "bench", "example"):
            for target in tomllib.loads(text).get(kind, []):
                if "path" in target:
                    yield folder + target["path"]
        for path, _ in tree.matching(".rs", under=folder):
            inner = path.removeprefix(folder)
            if re.match(
                r"build\.rs$|src/(?:lib|main)\.rs$|src/bin/[^/]+\.rs$"
                r"|(?:tests|benches|examples)/(?:[^/]+|[^/]+/main)\.rs$",
                inner,
            ):
                yield path


def _modules(tree: Tree, path: str) -> Iterator[str]:
    text, here = tree.files[path], PurePosixPath(path)
    # The file of a crate's root or of a folder (`mod.rs`) has its modules beside it.
    beside = here.name in ("lib.rs", "main.rs", "mod.rs") or re.search(
        r"(?:^|/)(?:tests|benches|examples|bin)/[^/]+\.rs$", path
    )
    folder = here.parent if beside else here.parent / here.stem
    for match in _MODULE.finditer(tree.derived(path, code_only)):
        yield str(folder / f"{match[1]}.rs")
        yield str(folder / match[1] / "mod.rs")
    for match in _PATH.finditer(text):
        yield _normal(here.parent / match[1])


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _dead_python(tree: Tree) -> Iterator[Finding]:
    imported: dict[str, set[str]] = {}
    for path, text in tree.matching(".py"):
        for name in _imports(path, text):
            imported.setdefault(name, set()).add(path)
    for path, _ in tree.matching(".py"):
        if _COLLECTED.match(PurePosixPath(path).name) or path.startswith("examples/"):
            continue
        name = _dotted(path)
        importers = imported.get(name, set()) - {path}
        if not importers and not _mentioned(tree, path, name):
            yield Finding(path, 1, "dead-file", f"nothing imports `{name}`")


def _dotted(path: str) -> str:
    """Name a module as an import names it; the package lies under `python/`."""
    stem = path.removeprefix("python/").removesuffix(".py").removesuffix("/__init__")
    return stem.replace("/", ".")


def _imports(path: str, text: str) -> Iterator[str]:
    package = _dotted(path) if path.endswith("/__init__.py") else _dotted(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(text, filename=path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                kept = parents[: len(parents) - node.level + 1]
                base = ".".join([*kept, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # A module may be named in a string that another interpreter is given to run.
            yield from re.findall(r"\b[a-z_]\w*(?:\.\w+)+\b", node.value)


def _mentioned(tree: Tree, path: str, name: str) -> bool:
    """Look for the module in what is not Python: crates, scripts, Makefile."""
    words = re.compile(rf"(?<![\w.]){re.escape(name)}(?![\w.])|{re.escape(path)}")
    return any(
        words.search(text)
        for other, text in tree.files.items()
        if other.endswith(".rs") or other == "Makefile" or other.startswith(("ci/", ".ci/"))
    )
