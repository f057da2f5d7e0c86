"""Batches: padding repeats real rows and weighs them nothing."""

import numpy as np

from vlx.data.batch import pad, stack

EXAMPLES = [
    {"image": np.full((2, 2, 3), n, np.uint8), "weight": np.float32(1), "label": np.int32(n)}
    for n in range(3)
]


def test_padding_adds_rows_of_weight_zero():
    batch = pad(stack(EXAMPLES), 5)
    np.testing.assert_array_equal(batch["weight"], np.float32([1, 1, 1, 0, 0]))
    np.testing.assert_array_equal(batch["label"], [0, 1, 2, 2, 2])
    assert batch["image"].shape == (5, 2, 2, 3)


def test_padding_keeps_dtypes():
    batch = pad(stack(EXAMPLES), 5)
    assert {name: value.dtype.name for name, value in batch.items()} == {
        "image": "uint8",
        "weight": "float32",
        "label": "int32",
    }


def test_padding_leaves_a_full_batch_alone():
    batch = stack(EXAMPLES)
    assert pad(batch, 3) is batch
