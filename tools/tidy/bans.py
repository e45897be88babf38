"""What may not be written where: `unsafe`, clocks and chance, leftovers, paths of one machine."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.tidy.rust_text import code_only, line_of
from tools.tidy.tree import Finding, Tree

UNSAFE_CRATES = ("sys", "py")


@dataclass(frozen=True)
class Ban:
    """A pattern, the files it is banned from, and what to do instead."""

    rule: str
    pattern: re.Pattern[str]
    where: re.Pattern[str]
    instead: str
    code: bool = True
    """Whether comments and strings of Rust are left out of the search."""


def _ban(rule: str, pattern: str, where: str, instead: str, *, code: bool = True) -> Ban:
    return Ban(rule, re.compile(pattern), re.compile(where), instead, code)


# Tests of worker and engine play the front, which is the one that forks: they may promise for that.
_OTHER_CRATES = (
    rf"^crates/(?!(?:{'|'.join(UNSAFE_CRATES)}|(?:worker|engine)/tests)/)[^/]+/(?:src|tests)/.*\.rs$"
)
_LIBRARIES = r"^crates/[^/]+/src/(?!bin/|main\.rs).*\.rs$"
# These files hold the patterns themselves, and their tests break each rule on purpose.
_ANY = r"^(?!tools/tidy/|tests/tidy/|Cargo\.lock$).*$"

BANS = [
    _ban("unsafe", r"\bunsafe\b", _OTHER_CRATES, "only sys and py may hold it"),
    _ban("pyo3", r"\bpyo3\b", r"^crates/(?!py/).*\.rs$", "py is the only door to Python"),
    _ban(
        "pure-core",
        r"\bstd::(?:time|thread|fs|io|net|env|process)\b"
        r"|\b(?:rand|fastrand|getrandom)::|\bRandomState\b|\b(?:Instant|SystemTime)\b",
        r"^crates/core/src/.*\.rs$",
        "the core gets time and chance as arguments and does no I/O",
    ),
    _ban("leftover", r"\b(?:todo|unimplemented|dbg)!", r"\.rs$", "finish it or leave it out"),
    _ban("print", r"\be?print(?:ln)?!", _LIBRARIES, "a library says nothing on its own"),
    _ban("leftover", r"\b(?:FIXME|XXX|TODO|HACK)\b", _ANY, "mend it or open an issue", code=False),
    _ban("silenced", r"#!?\[(?:allow|expect)\((?![^\]]*reason\s*=)", r"\.rs$", "say the reason"),
    _ban(
        "machine-path",
        r"(?<![\w.])/(?:work|farm|root|Users|home/\w+)/",
        _ANY,
        "the tree knows no machine",
        code=False,
    ),
    _ban(
        "registry",
        r"\bpypi\.org|files\.pythonhosted|\b(?:static|index)\.crates\.io|registry\.npmjs",
        _ANY,
        "tools know where packages come from",
        code=False,
    ),
]


def check(tree: Tree) -> Iterator[Finding]:
    """Yield each banned pattern, and each crate that does not forbid unsafe code but should."""
    for path, text in tree.matching(""):
        for ban in BANS:
            if not ban.where.search(path):
                continue
            searched = tree.derived(path, code_only) if ban.code else text
            for match in ban.pattern.finditer(searched):
                found = f"`{match[0]}` is banned here: {ban.instead}"
                yield Finding(path, line_of(searched, match.start()), ban.rule, found)
    for path, text in tree.matching("/src/lib.rs", under="crates/"):
        if path.split("/")[1] not in UNSAFE_CRATES and "#![forbid(unsafe_code)]" not in text:
            yield Finding(path, 1, "unsafe", "`#![forbid(unsafe_code)]` is missing")
