"""Two real processes, four devices each: the run of one process, from start to another topology."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tiny_run import lines, settings, write_pictures, write_recipe

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds; a loaded machine compiles slowly


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    pictures = write_pictures(folder / "pictures")
    values = settings(pictures, steps=6, checkpoint={"every": 3}, evaluate={"every": 3})
    return write_recipe(folder, values)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def start(recipe: Path, workdir: Path, process: int, processes: int, devices: int, port: int):
    """Starts one process of train.py."""
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    if processes > 1:
        environment |= {
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
            "JAX_NUM_PROCESSES": str(processes),
            "JAX_PROCESS_ID": str(process),
        }
    words = [f"--config={recipe}", f"--workdir={workdir}"]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(recipe: Path, workdir: Path, processes: int, devices: int) -> None:
    """Trains to the end, with `devices` in each process."""
    port = free_port()
    started = [start(recipe, workdir, i, processes, devices, port) for i in range(processes)]
    for process in started:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output


def assert_close(got: Path, want: Path) -> None:
    """Every logged number agrees within float tolerance."""
    got, want = lines(got), lines(want)
    assert [set(line) for line in got] == [set(line) for line in want]
    for a, b in zip(got, want, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(recipe, tmp_path):
    run(recipe, tmp_path / "one", processes=1, devices=8)
    run(recipe, tmp_path / "two", processes=2, devices=4)
    assert_close(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_in_one(recipe, tmp_path):
    run(recipe, tmp_path / "whole", processes=1, devices=8)
    run(recipe, tmp_path / "moved", processes=2, devices=4)
    # The last checkpoint is dropped, as if the run had been stopped after step 3.
    shutil.rmtree(tmp_path / "moved" / "checkpoints" / "6")
    run(recipe, tmp_path / "moved", processes=1, devices=4)
    assert_close(tmp_path / "moved", tmp_path / "whole")
