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
