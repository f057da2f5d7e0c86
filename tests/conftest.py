"""Eight CPU devices, a compile cache and exact matrix products for every test."""

import gc
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
import pytest
from xdist.scheduler import LoadFileScheduling

from vlx.parallel.start import give_threads_to_simulated_devices

give_threads_to_simulated_devices(os.environ)

CACHE = Path(os.environ.get("VLX_TEST_CACHE", Path(tempfile.gettempdir()) / "vlx-test-cache"))

jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_default_matmul_precision", "highest")

MEMORY = Path("/proc/self/statm")  # of Linux: pages, the second number those in memory
room = 3 * 2**30  # bytes that a worker may take before it drops compiled programs


class Folders(LoadFileScheduling):
    """A worker takes a folder as a whole: its tests share models, runs and compiled programs."""

    def _split_scope(self, nodeid: str) -> str:
        return folder(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Folders(config, log)


def pytest_collection_modifyitems(items):
    """Folders that take long come first, so that the workers end alike."""
    long = {folder(item.nodeid) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: folder(item.nodeid) not in long)


def folder(nodeid: str) -> str:
    """The folder below `tests`, or the file beside them."""
    return nodeid.partition("::")[0].split("/")[1]


def pytest_collection_finish():
    """Programs are many objects that live long; looking for garbage among them takes long."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


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
