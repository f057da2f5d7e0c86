"""The processes of a run: how they start, and the little that they tell each other."""

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
IN_ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler"
SIMULATED = r"--xla_force_host_platform_device_count=(\d+)"


def start(deterministic: bool = False) -> None:
    """Joins the processes of a run, and keeps compiled programs for the next one.

    Call it once, before the first use of a device. `deterministic`: on GPUs, only kernels that
    repeat bit for bit; CPUs and TPUs always do.
    """
    if deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()
    give_threads_to_simulated_devices(os.environ)
    keep_compiled_programs()
    if has_several_processes(os.environ):
        send_in_one_order(os.environ)
        jax.distributed.initialize(**_explicit(os.environ))


def _explicit(environment: Mapping[str, str]) -> dict[str, int]:
    """What JAX does not read from the environment itself."""
    names = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
    return {name: int(environment[key]) for name, key in names.items() if key in environment}


def wait_for_all(purpose: str) -> None:
    """Returns when every process of the run has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(purpose)


def any_process(value: bool) -> bool:
    """Whether the value is true in any process; all processes must ask."""
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.process_allgather(np.asarray(value)).any())


def from_all_processes(x: np.ndarray) -> np.ndarray:
    """The rows of all processes, in order: [b, ...] -> [B, ...]."""
    return x if jax.process_count() == 1 else multihost_utils.process_allgather(x, tiled=True)


def keep_compiled_programs() -> None:
    """Compiled programs go to ~/.cache/vlx/xla, unless JAX_COMPILATION_CACHE_DIR says where."""
    if jax.config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(cache / "vlx" / "xla"))


def give_threads_to_simulated_devices(environment: MutableMapping[str, str]) -> None:
    """Lets several CPU devices in one process wait for each other.

    A device blocks one of XLA's threads for each collective that it has begun, and may begin the
    next one meanwhile. By default there is a thread a device, so all of them can end up waiting.
    """
    found = re.search(SIMULATED, environment.get("XLA_FLAGS", ""))
    if found:
        environment.setdefault("NPROC", str(8 * int(found[1])))  # what XLA reads


def send_in_one_order(environment: MutableMapping[str, str]) -> None:
    """Lets several processes of CPU devices understand each other.

    gloo tells messages apart by their order alone, which XLA's schedule for concurrency on CPUs
    does not keep: a process may then read what another one meant for another place.
    """
    flags = environment.get("XLA_FLAGS", "")
    if environment.get("JAX_PLATFORMS") == "cpu" and IN_ORDER not in flags:
        environment["XLA_FLAGS"] = f"{flags} {IN_ORDER}=false".strip()


def has_several_processes(environment: Mapping[str, str]) -> bool:
    """Whether the environment describes a run of several processes.

    - explicit: JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID;
    - Slurm: a job step (`srun`) of several tasks;
    - TPU pods: several workers' host names.
    """
    if "JAX_COORDINATOR_ADDRESS" in environment:
        return True
    if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return True
    return "," in environment.get("TPU_WORKER_HOSTNAMES", "")
