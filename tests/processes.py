"""Commands in processes of their own; what they compile is shared by all tests."""

import atexit
import json
import os
import select
import signal
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


class Forked:
    """A running command without the seconds that imports take; used as subprocess.Popen."""

    def __init__(self, *words: object, devices: int = 1, **changes: str):
        self.args, self.returncode = [*map(str, words)], None
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._out, self._err, code = folder / "stdout", folder / "stderr", folder / "code"
        os.mkfifo(code)
        self._code = os.open(code, os.O_RDONLY | os.O_NONBLOCK)
        files = {"stdout": str(self._out), "stderr": str(self._err), "code": str(code)}
        request = {"words": self.args, "environment": environment(devices, **changes), **files}
        _server().stdin.write(json.dumps(request) + "\n")
        _server().stdin.flush()
        self.pid = int(_server().stdout.readline())

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._code], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = int(os.read(self._code, 9))
            os.close(self._code)
            self._said = self._out.read_text(), self._err.read_text()
            self._folder.cleanup()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        return self._said

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def forked(*words: object, **changes: str) -> subprocess.CompletedProcess:
    """As `python` of a file or a module."""
    process = Forked(*words, **changes)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


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
