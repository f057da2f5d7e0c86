"""Eight CPU devices, a compile cache and exact matrix products for every test."""

import os
import tempfile
from pathlib import Path

from processes import QUICK

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    (os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8", QUICK)
)

import jax

from vlx.parallel.start import give_threads_to_simulated_devices

give_threads_to_simulated_devices(os.environ)

CACHE = Path(os.environ.get("VLX_TEST_CACHE", Path(tempfile.gettempdir()) / "vlx-test-cache"))

jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_default_matmul_precision", "highest")

ROOM = 3 * 2**30  # bytes that a worker may take before it drops compiled programs
MEMORY = Path("/proc/self/statm")  # of Linux: pages, the second number those in memory


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that workers end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_teardown():
    """Drops compiled programs where they take much memory."""
    if MEMORY.exists():
        pages = int(MEMORY.read_text().split()[1])
        if pages * os.sysconf("SC_PAGE_SIZE") > ROOM:
            jax.clear_caches()
