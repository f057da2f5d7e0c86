"""What a process finds out about its run before the first use of a device."""

import pytest

from vlx.parallel.start import (
    give_threads_to_simulated_devices,
    has_several_processes,
    send_in_one_order,
)


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"JAX_COORDINATOR_ADDRESS": "localhost:9876"}, True),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8"}, False),  # sbatch, not srun
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "t0,t1"}, True),
    ],
)
def test_several_processes_are_noticed(environment, several):
    assert has_several_processes(environment) == several


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({}, None),
        ({"XLA_FLAGS": "--xla_dump_to=/tmp --xla_force_host_platform_device_count=8"}, "64"),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "NPROC": "5"}, "5"),
    ],
)
def test_simulated_devices_get_threads_to_wait_in(given, threads):
    give_threads_to_simulated_devices(given)
    assert given.get("NPROC") == threads


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({"JAX_PLATFORMS": "cpu"}, "--xla_cpu_enable_concurrency_optimized_scheduler=false"),
        (
            {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_dump_to=/tmp"},
            "--xla_dump_to=/tmp --xla_cpu_enable_concurrency_optimized_scheduler=false",
        ),
        (
            {
                "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": "--xla_cpu_enable_concurrency_optimized_scheduler=true",
            },
            "--xla_cpu_enable_concurrency_optimized_scheduler=true",  # as the user wants it
        ),
        ({"JAX_PLATFORMS": "cuda"}, None),
        ({}, None),
    ],
)
def test_processes_of_cpu_devices_send_in_one_order(given, flags):
    send_in_one_order(given)
    assert given.get("XLA_FLAGS") == flags
