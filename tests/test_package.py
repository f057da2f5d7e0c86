"""A built wheel works outside the tree."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

USE = """
import jax, jax.numpy as jnp, vlx
from vlx.models.coca import CONFIGS, Coca
assert vlx.__file__.startswith({folder!r}), vlx.__file__
model = Coca(CONFIGS["tiny"])
inputs = jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 7), jnp.int32)
print(jax.eval_shape(lambda: model.init(jax.random.key(0), *inputs))["params"].keys())
"""


@pytest.mark.slow
def test_wheel_works_outside_the_tree(tmp_path):
    def run(*command):
        subprocess.run([sys.executable, *command], cwd=tmp_path, check=True, capture_output=True)

    run("-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path), str(ROOT))
    wheel = next(tmp_path.glob("vlx-*.whl"))
    folder = tmp_path / "site"
    run("-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel))
    assert (folder / "vlx" / "py.typed").is_file()
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n" + USE.format(folder=str(folder))
    run("-c", script)
