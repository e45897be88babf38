"""The list of rules, and the one call that applies them all."""

from tools.tidy import arrows, bans, dead_files, lengths, readme_names
from tools.tidy.tree import Finding, Tree

RULES = (lengths.check, arrows.check, bans.check, dead_files.check, readme_names.check)


def findings(tree: Tree) -> list[Finding]:
    """Apply every rule, and sort what they found by place."""
    return sorted({finding for rule in RULES for finding in rule(tree)})
