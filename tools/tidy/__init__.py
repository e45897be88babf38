"""The house rules as a test: lengths, arrows between crates, bans, dead files, names in READMEs.

Each rule is a module with one function `check(tree)` that yields findings; `rules.py` lists them.
Nothing but the standard library is used, and nothing is ever changed on disk.
"""
