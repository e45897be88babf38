"""The files a rule may look at, read once. Never writes, never follows what git ignores."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, order=True)
class Finding:
    """One breach of one rule, at one place."""

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        """Show the place in the form editors jump to."""
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


@dataclass
class Tree:
    """A set of text files by their path from the root, with `/` between the parts."""

    files: dict[str, str]
    _derived: dict[tuple[str, str], str] = field(default_factory=dict)

    def matching(self, *suffixes: str, under: str = "") -> Iterator[tuple[str, str]]:
        """Yield path and text of the files with one of the endings below a folder."""
        for path, text in sorted(self.files.items()):
            if path.endswith(suffixes) and path.startswith(under):
                yield path, text

    def derived(self, path: str, make: Callable[[str], str]) -> str:
        """Apply `make` to the text of a file, once however many rules ask."""
        key = (make.__name__, path)
        if key not in self._derived:
            self._derived[key] = make(self.files[path])
        return self._derived[key]


def from_disk(root: Path) -> Tree:
    """Read what git tracks or would track; what is not text is left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True, text=True).stdout
    files = {}
    for name in filter(None, listed.split("\0")):
        path = root / name
        try:
            files[name] = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return Tree(files)
