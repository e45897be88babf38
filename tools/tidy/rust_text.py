"""Just enough of Rust's grammar for the rules: what is code, and where a function ends."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
      (?P<line>//[^\n]*)
    | (?P<block>/\*)
    | (?P<raw>\b(?:br|cr|r)(?P<hashes>\#*)")
    | (?P<string>\b[bc]?"(?:[^"\\]|\\.)*"|"(?:[^"\\]|\\.)*")
    | (?P<char>\bb?'(?:[^'\\\n]|\\(?:x..|u\{[^}]*\}|.))'|'(?:[^'\\\n]|\\(?:x..|u\{[^}]*\}|.))')
    """,
    re.VERBOSE | re.DOTALL,
)
_FUNCTION = re.compile(r"\bfn\s+([A-Za-z_]\w*)")


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _end_of_block_comment(text: str, start: int) -> int:
    depth = 0
    for match in re.finditer(r"/\*|\*/", text[start:]):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return start + match.end()
    return len(text)


def code_only(text: str) -> str:
    """Blank comments, strings and characters, so that what is left is code at its old place."""
    parts: list[str] = []
    position = 0
    while match := _TOKEN.search(text, position):
        start, end = match.span()
        if match["block"]:
            end = _end_of_block_comment(text, start)
        elif match["raw"]:
            closing = text.find('"' + match["hashes"], end)
            end = len(text) if closing < 0 else closing + 1 + len(match["hashes"])
        parts += [text[position:start], _blank(text[start:end])]
        position = end
    return "".join([*parts, text[position:]])


def line_of(text: str, position: int) -> int:
    """Count lines from 1, as editors do."""
    return text.count("\n", 0, position) + 1


def functions(code: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, first and last line of each function with a body, from `code_only` text."""
    for match in _FUNCTION.finditer(code):
        opening = _opening_brace(code, match.end())
        if opening is None:
            continue
        closing = _closing_brace(code, opening)
        yield match[1], line_of(code, match.start()), line_of(code, closing)


def _opening_brace(code: str, start: int) -> int | None:
    """Find where the body begins, or none for a declaration that ends with a semicolon."""
    depth = 0
    for position in range(start, len(code)):
        sign = code[position]
        if sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
        elif depth == 0 and sign == "{":
            return position
        elif depth == 0 and sign == ";":
            return None
    return None


def _closing_brace(code: str, opening: int) -> int:
    depth = 0
    for match in re.finditer(r"[{}]", code[opening:]):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return opening + match.start()
    return len(code)
