"""Masked images as a model completes them: the codes that it takes hidden patches for.

Letters: B batch, P patches, p pixels a side of a patch, V codes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vlx.errors import UserError
from vlx.evaluate.context import Context
from vlx.evaluate.examples import keep_examples, keep_made_pictures, spread
from vlx.evaluate.measured import Metrics
from vlx.layers.pixels import normalise
from vlx.parallel.mesh import place_rows, replicated

FIELDS = ("image", "patch_mask", "target_image")
GREY = 128  # of hidden patches, where they are shown


def masked_patches(context: Context, params: Any) -> Metrics:
    """Of hidden patches the share whose code is told right; images alone, without texts.

    Keeps examples: the image, what the model sees of it, and the image with every hidden patch as
    the mean of all patches of the split that have the code which the model expects there.
    """
    part = next((x for x in context.parts if set(FIELDS) <= set(x.setup.task.fields)), None)
    if part is None:
        raise UserError(
            "The evaluator 'masked_patches' is for tasks that predict codes of hidden patches; "
            "take it out of evaluate.names."
        )
    seen = _Seen(part, params)
    chosen = spread(len(seen.images))
    keep_examples(
        part,
        "masked_patches",
        [{"index": n, "hidden": int(seen.hidden[n].sum()), "right": seen.right(n)} for n in chosen],
    )
    keep_made_pictures(part, "masked_patches", {n: seen.shown(n) for n in chosen})
    right = np.sum((seen.codes == seen.expected) & seen.hidden)
    return Metrics({"accuracy": right / max(1, np.sum(seen.hidden))})


class _Seen:
    """What a model makes of the examples of a split, and the mean patch of every code."""

    def __init__(self, context: Context, params: Any):
        setup, task = context.setup, context.setup.task
        self.grid = task.grid

        def run(params, batch, constants):
            codes = constants["tokenizer"]("tokens", batch["target_image"])
            image, hidden = normalise(batch["image"], task.pixels), batch["patch_mask"] > 0
            arguments = {"params": params}, image, hidden
            logits = task.model.apply(*arguments, method="code_logits")
            return codes, jnp.argmax(logits, axis=-1)

        compiled = jax.jit(run, out_shardings=replicated(setup.mesh))
        found = []
        source, transform = context.source, context.asked(*FIELDS)
        for batch in context.batches(source, setup.config.evaluate.examples, transform):
            rows = place_rows({name: batch[name] for name in FIELDS}, setup.mesh)
            codes, expected = (np.asarray(x) for x in compiled(params, rows, setup.constants))
            real = batch["weight"] > 0
            own = batch["image"], batch["patch_mask"] > 0, codes, expected
            found.append([x[real] for x in own])
        columns = (np.concatenate(x) for x in zip(*found, strict=True))
        self.images, self.hidden, self.codes, self.expected = columns
        self.patches = self._cut(self.images)
        number = int(max(self.codes.max(), self.expected.max())) + 1
        self.means = np.full((number, *self.patches.shape[2:]), GREY, np.float32)
        for code in np.unique(self.codes):
            self.means[code] = self.patches[self.codes == code].mean(axis=0)

    def right(self, n: int) -> int:
        """Hidden patches of an example whose code is told."""
        return int(np.sum((self.codes[n] == self.expected[n]) & self.hidden[n]))

    def shown(self, n: int) -> np.ndarray:
        """The image, with gaps, and completed, side by side: uint8 [height, 3 width, 3]."""
        hidden = self.hidden[n][:, None, None, None]
        gaps = np.where(hidden, GREY, self.patches[n])
        full = np.where(hidden, self.means[self.expected[n]], self.patches[n])
        sides = [self._joined(x) for x in (self.patches[n], gaps, full)]
        return np.concatenate(sides, axis=1).round().astype(np.uint8)

    def _cut(self, images: np.ndarray) -> np.ndarray:
        """[B, height, width, 3] -> [B, P, p, p, 3]."""
        (rows, columns), (height, width) = self.grid, images.shape[1:3]
        p, q = height // rows, width // columns
        cut = images[:, : rows * p, : columns * q].reshape(-1, rows, p, columns, q, 3)
        return cut.swapaxes(2, 3).reshape(len(images), rows * columns, p, q, 3)

    def _joined(self, patches: np.ndarray) -> np.ndarray:
        """[P, p, p, 3] -> [height, width, 3]."""
        (rows, columns), (p, q) = self.grid, patches.shape[1:3]
        return patches.reshape(rows, columns, p, q, 3).swapaxes(1, 2).reshape(rows * p, -1, 3)
