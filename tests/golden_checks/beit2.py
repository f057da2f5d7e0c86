"""Checks of BEiT v2: masks, pre-training with patch aggregation, fine-tuning to classes."""

import random

import numpy as np

from vlx.data.masks import PatchMaskConfig, patch_mask

from golden_checks.case import Case, Ratios
from golden_checks.vlmo_data import Replay, exact


class Seeded:
    """Python's generator and NumPy's old one, as the official code draws from both."""

    def __init__(self, seed: int, smallest: int):
        self.python, self.numpy = random.Random(seed), np.random.RandomState(seed)
        self.smallest = smallest

    def uniform(self, low: float, high: float) -> float:
        if high == self.smallest:  # the official limits are not sorted where room is short
            low, high = high, low
        return self.python.uniform(low, high)

    def integers(self, high: int) -> int:
        return self.python.randint(0, high - 1)

    def choice(self, a: np.ndarray, size: int, replace: bool) -> np.ndarray:
        return self.numpy.choice(a, size, replace)


class Replayed(Replay):
    """Listed draws, and NumPy's old generator for the patches that make up the number."""

    def __init__(self, draws: list, seed: int):
        super().__init__(draws)
        self.numpy = np.random.RandomState(seed)

    def choice(self, a: np.ndarray, size: int, replace: bool) -> np.ndarray:
        return self.numpy.choice(a, size, replace)


def check_block_mask(case: Case) -> Ratios:
    ratios = {}
    for n, (given, want) in enumerate(zip(case.meta["inputs"], case.meta["outputs"], strict=True)):
        least, smallest = given.get("min_aspect", 0.3), given["min_num_patches"]
        config = PatchMaskConfig(
            patches=given["num_masking_patches"],
            exact=True,
            smallest=smallest,
            largest=given.get("max_num_patches") or 0,
            aspect=(least, given.get("max_aspect") or 1 / least),
        )
        draws = (
            Replayed(given["draws"], given["numpy_seed"])
            if "draws" in given
            else Seeded(given["seed"], smallest)
        )
        grid = tuple(given["input_size"])
        rows = ["".join(map(str, row)) for row in patch_mask(grid, config, draws).reshape(grid) * 1]
        ratios[f"mask {n}"] = exact(rows, want["mask"])
    return ratios


CHECKS = {
    "b2_block_mask": check_block_mask,
}
