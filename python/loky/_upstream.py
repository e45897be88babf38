"""Notices that the original distribution of loky was installed into the same folder as this one.

Both are imported as `loky`, so that one has then overwritten files of the other, and removing one
takes away what the other needs.
"""

import os
import sys

# A file that the original has and this package has not.
_LEFT_BY_IT = os.path.join("backend", "popen_loky_posix.py")
_HELPERS = frozenset(("loky-zygote", "loky-worker", "loky-process", "loky-tracker"))


def warn_if_mixed(folder: str) -> None:
    """Say so once a program, with what to do; the helpers of a pool stay silent."""
    if not os.path.exists(os.path.join(folder, _LEFT_BY_IT)) or not _HELPERS.isdisjoint(sys.argv):
        return
    import warnings

    warnings.warn(
        f"In {folder} lie the files of two distributions, 'loky' and 'loky-rs', which cannot be "
        "installed side by side. Uninstall both and install the one you want again: "
        "pip uninstall loky loky-rs, then pip install loky-rs.",
        UserWarning,
        stacklevel=3,
    )
