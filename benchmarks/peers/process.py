"""Our end of a benchmark: a peer that runs beside vlx, on the same cores, when it is asked."""

import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-peers" / "bin" / "python"
ABSENT = "The peer is not installed, so vlx stands alone: `make peers` makes .venv-peers."

Calls = Mapping[str, Callable[[], Mapping[str, float]]]


class Peer:
    """`benchmarks/peers/NAME.py` in the peers' environment; `about` is what it says of itself."""

    def __init__(self, name: str, **settings):
        flags = [f"--{key}={value}" for key, value in settings.items()]
        self._process = subprocess.Popen(
            [str(PYTHON), str(HERE / f"{name}.py"), *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = self._read()

    def ask(self, **request) -> dict:
        """The answer to one request; the peer rests before and after it."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The peer ended with exit code {self._process.wait()}; see above.")
        return json.loads(line)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def installed() -> bool:
    return PYTHON.exists()


def pin(cores: int) -> int:
    """Keeps this process and its peers on so many cores (0: all); call it before JAX starts."""
    allowed = sorted(os.sched_getaffinity(0))
    if cores:
        os.sched_setaffinity(0, allowed[:cores])
    return len(os.sched_getaffinity(0))


def machine(cores: int, device: str):
    """The device to measure on, and its name in a title; call it before anything else of JAX.

    `device`: cpu or gpu; empty is what JAX finds. On a CPU only so many cores are used (0: all).
    """
    cores = pin(cores)
    import jax

    if device:
        jax.config.update("jax_platforms", {"gpu": "cuda"}.get(device, device))
    found = jax.devices()[0]
    return found, f"{cores} CPU cores" if found.platform == "cpu" else found.device_kind


def cpu_seconds() -> float:
    """CPU time so far of this process and of its children, running or ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = sum(map(_cpu_seconds, multiprocessing.active_children()))
    return time.process_time() + ended.ru_utime + ended.ru_stime + running


def _cpu_seconds(child: multiprocessing.Process) -> float:
    """Of a running process, from Linux's notes on it."""
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_turn(calls: Calls, repeats: int, in_a_row: int = 1) -> dict[str, dict[str, float]]:
    """Medians of calls that take turns, `repeats` times; a turn is so many calls after a first one.

    The first call of each turn is not counted: it finds the machine as the other left it.
    """
    runs = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            call()
            runs[name] += [call() for _ in range(in_a_row)]
    return {name: median(values) for name, values in runs.items()}


def median(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each number."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}
