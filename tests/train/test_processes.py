"""Two real processes, four devices each: the run of one process, from start to another topology."""

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from processes import Forked

from tiny_run import lines, settings, write_pictures, write_recipe

PATIENCE = 600  # seconds; a loaded machine compiles slowly
# Of 13 pictures on eight devices. One of each kind: ranks, classes, sums, texts, what is trained.
MEASURED = ("retrieval", "zero_shot", "losses", "captioning", "attentional_probe")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    pictures = write_pictures(folder / "pictures")
    measured = {"every": 0, "names": MEASURED, "probe_steps": 4, "caption_prefix": "picture of"}
    values = settings(pictures, steps=6, checkpoint={"every": 3}, evaluate=measured)
    return write_recipe(folder, values)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def start(recipe: Path, workdir: Path, process: int, processes: int, devices: int, port: int):
    """Starts one process of train.py."""
    together = {}
    if processes > 1:
        together = {
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
            "JAX_NUM_PROCESSES": str(processes),
            "JAX_PROCESS_ID": str(process),
        }
    words = [f"--config={recipe}", f"--workdir={workdir}"]
    return Forked("train.py", *words, devices=devices, **together)


def run(recipe: Path, workdir: Path, processes: int, devices: int) -> None:
    """Trains to the end, with `devices` in each process."""
    port = free_port()
    started = [start(recipe, workdir, i, processes, devices, port) for i in range(processes)]
    for process in started:
        _, complaint = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, complaint


def assert_close(got: Path, want: Path) -> None:
    """Every logged number agrees within float tolerance."""
    got, want = lines(got), lines(want)
    assert [set(line) for line in got] == [set(line) for line in want]
    assert {name.partition("/")[0] for line in want for name in line} >= set(MEASURED)
    for a, b in zip(got, want, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-3, atol=1e-4, err_msg=name)


@pytest.fixture(scope="module")
def one(recipe, tmp_path_factory) -> Path:
    """The run of one process."""
    workdir = tmp_path_factory.mktemp("one")
    run(recipe, workdir, processes=1, devices=8)
    return workdir


@pytest.fixture(scope="module")
def two(recipe, tmp_path_factory) -> Path:
    """The run of two processes."""
    workdir = tmp_path_factory.mktemp("two")
    run(recipe, workdir, processes=2, devices=4)
    return workdir


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(one, two):
    assert_close(two, one)


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_in_one(recipe, one, two, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(two, moved)
    # The last checkpoint is dropped, as if the run had been stopped after step 3.
    shutil.rmtree(moved / "checkpoints" / "6")
    run(recipe, moved, processes=1, devices=4)
    assert_close(moved, one)
