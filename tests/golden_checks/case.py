"""One golden file, and how its values are compared."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import safe_open

Ratios = dict[str, float]


@dataclass
class Case:
    """Metadata and tensors; JSON cases have no tensors, safetensors cases no inputs."""

    path: Path
    meta: dict
    tensors: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def config(self) -> dict:
        return self.meta["config"]

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """Tensors below `prefix/`, without it."""
        cut = len(prefix) + 1
        return {k[cut:]: v for k, v in self.tensors.items() if k.startswith(f"{prefix}/")}

    def compare(self, got, prefix: str = "out") -> Ratios:
        """Error over tolerance of each value, element by element."""
        want = self.group(prefix)
        assert set(got) == set(want), f"{prefix}: {sorted(set(got) ^ set(want))}"
        return {f"{prefix}/{k}": self._ratio(got[k], want[k], np.abs(want[k])) for k in want}

    def compare_gradients(self, got, prefix: str = "grad") -> Ratios:
        """As `compare`, relative to the largest entry: single entries can be near zero."""
        want = self.group(prefix)
        assert set(got) == set(want), f"{prefix}: {sorted(set(got) ^ set(want))}"
        return {
            f"{prefix}/{k}": self._ratio(got[k], want[k], np.max(np.abs(want[k]), initial=0))
            for k in want
        }

    def _ratio(self, got, want, scale) -> float:
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
        tolerance = self.meta["atol"] + self.meta["rtol"] * scale
        return float(np.max(np.abs(got - want) / tolerance, initial=0))


def load(path: Path) -> Case:
    """The case in a file. A JSON manifest with `base` is completed from the file it names."""
    if path.suffix == ".json":
        meta = json.loads(path.read_text())
        if "base" in meta:
            base = json.loads((path.parent / f"{meta['base']}.json").read_text())
            meta = {**base, **meta}
        return Case(path, meta)
    with safe_open(path, "np") as file:
        meta = json.loads(file.metadata()["case"])
        return Case(path, meta, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
