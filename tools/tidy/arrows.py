"""Which crate may depend on which: arrows only go down, and the list here is the whole truth."""

import tomllib
from collections.abc import Iterator

from tools.tidy.tree import Finding, Tree

# By folder. What a crate uses only in its tests is its own affair.
ARROWS = {
    "wire": set(),
    "core": set(),
    "sys": set(),
    "shm": {"wire"},
    "worker": {"wire", "shm", "sys"},
    "engine": {"core", "wire", "shm", "sys"},
    "loky": {"engine", "worker", "macros"},
    "loky-macros": set(),  # it writes text for the compiler and runs nowhere else
    "py": {"engine", "worker"},
}
# Crates from elsewhere that belong in one place only.
DOORS = {"pyo3": {"py"}, "libc": {"sys"}, "rustix": {"sys"}}


def check(tree: Tree) -> Iterator[Finding]:
    """Yield each dependency that is not in the list, and each crate the list does not know."""
    for path, text in tree.matching("/Cargo.toml", under="crates/"):
        folder = path.removeprefix("crates/").removesuffix("/Cargo.toml")
        if "/" in folder:  # a fuzz target and the like, outside the workspace
            continue
        if folder not in ARROWS:
            yield Finding(path, 1, "arrows", f"the crate `{folder}` has no place in the list")
            continue
        for name in _dependencies(text):
            short = name.removeprefix("loky-")
            ours = name == "loky" or name.startswith("loky-")
            if ours and short not in ARROWS[folder]:
                text_of_it = f"`{folder}` may not depend on `{short}`"
                yield Finding(path, _line(text, name), "arrows", text_of_it)
            if folder not in DOORS.get(name, {folder}):
                allowed = ", ".join(sorted(DOORS[name]))
                yield Finding(path, _line(text, name), "arrows", f"`{name}` belongs in {allowed}")


def _dependencies(text: str) -> list[str]:
    manifest = tomllib.loads(text)
    tables = [manifest, *manifest.get("target", {}).values()]
    return [
        spec.get("package", name) if isinstance(spec, dict) else name
        for table in tables
        for name, spec in table.get("dependencies", {}).items()
    ]


def _line(text: str, name: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(name):
            return number
    return 1
