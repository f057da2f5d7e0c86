"""Meshes and vectors for tests of metrics."""

import jax
import numpy as np

from vlx.parallel.mesh import MeshConfig, make_mesh


def mesh(devices: int = 1):
    return make_mesh(MeshConfig(), jax.devices()[:devices])


def unit(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Random vectors of unit length."""
    x = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)
