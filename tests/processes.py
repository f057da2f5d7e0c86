"""Commands in processes of their own; what they compile is shared by all tests."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Most of the tests' time is compiling, so the compiler is told not to try hard.
QUICK = " ".join(
    (
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_cpu_enable_concurrency_optimized_scheduler=false",
    )
)


def flags(devices: int) -> str:
    """XLA's flags for so many simulated devices."""
    return f"{QUICK} --xla_force_host_platform_device_count={devices}"


def environment(devices: int = 1, **changes: str) -> dict[str, str]:
    """The environment of a process with so many devices."""
    import jax

    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": flags(devices),
        **changes,
    }


def python(*words: object, **changes: str) -> subprocess.CompletedProcess:
    """Runs Python in the project's folder, with one device."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
    )


def forked(*words: object, **changes: str) -> subprocess.CompletedProcess:
    """As `python` of a file or a module, without the seconds that imports take."""
    server, words = _server(), [*map(str, words)]
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        files = {"stdout": str(stdout), "stderr": str(stderr)}
        request = {"words": words, "environment": environment(**changes), **files}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(words, code, stdout.read_text(), stderr.read_text())


@cache
def _server() -> subprocess.Popen:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fork_server"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)  # closes its stdin, at which it ends
    return server
