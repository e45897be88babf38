"""A name in backticks in a crate's README exists in the code, so that prose does not rot."""

import re
from collections.abc import Iterator

from tools.tidy.rust_text import code_only, line_of
from tools.tidy.tree import Finding, Tree

_QUOTED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"^(?:[A-Za-z_]\w*)(?:(?:::|\.)[A-Za-z_]\w*)*(?:\(\))?!?$")
# Names that are not ours: the kernel's, C's and Python's, which the text may speak of freely.
_FOREIGN = re.compile(
    r"^(?:[A-Z]+_[A-Z0-9_]+|E[A-Z0-9]+|SIG[A-Z0-9+]+|[a-z]+[0-9]?)$|^(?:std|core|libc|rustix|os|sys)\b"
)


def check(tree: Tree) -> Iterator[Finding]:
    """Yield each name of ours that a README has and no code has."""
    known: set[str] | None = None
    for path, text in tree.matching("/README.md", under="crates/"):
        known = known if known is not None else _words(tree)
        prose = _FENCED.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)
        for match in _QUOTED.finditer(prose):
            quoted = match[1]
            if not _NAME.match(quoted) or _FOREIGN.match(quoted):
                continue
            missing = [word for word in re.findall(r"\w+", quoted) if word not in known]
            if missing:
                line = line_of(prose, match.start())
                yield Finding(path, line, "readme-name", f"`{quoted}` is in no code")


def _words(tree: Tree) -> set[str]:
    words: set[str] = set()
    for path, text in tree.files.items():
        if path.startswith("crates/") and path.endswith(".rs"):
            words.update(re.findall(r"\w+", tree.derived(path, code_only)))
            # The name of a file is a name too: `ledger.rs`, `tests/contract.rs`.
            words.update(re.findall(r"\w+", path))
        elif path == "Makefile" or path.startswith(("python/", "ci/")):
            words.update(re.findall(r"\w+", f"{path} {text}"))
    return words
