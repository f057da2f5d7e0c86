"""`python -m vlx` from outside."""

import os
import subprocess
import sys
from pathlib import Path

import jax

ROOT = Path(__file__).parents[2]


def vlx(*words: object) -> subprocess.CompletedProcess:
    """A command in a process of its own, with one device."""
    cache = {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir}
    return subprocess.run(
        [sys.executable, "-m", "vlx", *map(str, words)],
        cwd=ROOT,
        env=os.environ | cache | {"XLA_FLAGS": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
