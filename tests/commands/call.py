"""`python -m vlx` from outside."""

import subprocess

from processes import forked


def vlx(*words: object) -> subprocess.CompletedProcess:
    """A command in a process of its own, with one device."""
    return forked("-m", "vlx", *words, COLUMNS="200")
