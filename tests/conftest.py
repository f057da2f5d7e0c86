"""Eight CPU devices, a compile cache and exact matrix products for every test."""

import os
import tempfile
from pathlib import Path

from processes import flags

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"  # of programs, which nobody reads here
# Once: a worker has them from who started it, and what is compiled is found by its flags.
os.environ["XLA_FLAGS"] = " ".join(
    (os.environ.get("XLA_FLAGS", "").replace(flags(8), "").strip(), flags(8))
).strip()

import jax

from vlx.parallel.start import give_threads_to_simulated_devices

give_threads_to_simulated_devices(os.environ)

CACHE = Path(os.environ.get("VLX_TEST_CACHE", Path(tempfile.gettempdir()) / "vlx-test-cache"))

jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_default_matmul_precision", "highest")

MEMORY = Path("/proc/self/statm")  # of Linux: pages, the second number those in memory
room = 3 * 2**30  # bytes that a worker may take before it drops compiled programs


def pytest_collection_modifyitems(items):
    """Files that take long come first, so that workers, which take a file, end alike."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    long |= {item.path for item in items if item.path.name == "test_golden.py"}
    items.sort(key=lambda item: item.path not in long)


def pytest_runtest_teardown():
    """Drops compiled programs where they take much memory."""
    global room
    if taken() > room:
        jax.clear_caches()
        room = max(room, taken() + 2**30)  # what was freed need not go back to the system


def taken() -> int:
    """Bytes of this process, as far as the system tells."""
    pages = int(MEMORY.read_text().split()[1]) if MEMORY.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE")
