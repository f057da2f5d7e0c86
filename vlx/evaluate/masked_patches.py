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
from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import batch_sharding, place_rows, place_whole
from vlx.tasks import Task

Array = jax.Array

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
    look = _Look(part)
    right, hidden, means = look.at_all(params)
    _keep(part, look.at_some(params), means)
    return Metrics({"accuracy": right / max(1, hidden)})


class _Look:
    """What a model makes of hidden patches."""

    def __init__(self, context: Context):
        self.context, self.setup = context, context.setup
        self.most = self.setup.config.evaluate.examples or len(context.source)

    def at_all(self, params: Any) -> tuple[float, float, np.ndarray]:
        """Codes told right, hidden patches, and the mean patch of every code: [V, p, p, 3]."""
        total, transform = None, self.context.asked(*FIELDS)
        for batch in self.context.batches(self.context.source, self.most, transform):
            rows = {name: batch[name] for name in (*FIELDS, "weight")}
            sums = self._run(params, place_rows(rows, self.setup.mesh))[1]
            total = sums if total is None else jax.tree.map(jnp.add, total, sums)
        right, hidden, count, patches = (np.asarray(x) for x in total)
        count = count[:, None, None, None]
        return right, hidden, np.where(count > 0, patches / np.maximum(count, 1), GREY)

    def at_some(self, params: Any) -> list[tuple[int, dict]]:
        """A few examples by their number in the split, spread over it, with what is made of them.

        Every process looks at the same ones.
        """
        size, transform = self.setup.config.evaluate.batch_size, self.context.asked(*FIELDS)
        chosen = spread(min(self.most, len(self.context.source)))[:size]
        examples = [transform(self.context.source[n]) for n in chosen]
        filled = [examples[min(i, len(examples) - 1)] for i in range(size)]
        batch = {name: np.stack([example[name] for example in filled]) for name in FIELDS}
        batch["weight"] = np.ones(size, np.float32)
        placed = place_whole(batch, batch_sharding(self.setup.mesh))
        codes, expected = self._run(params, placed)[0]
        made = zip(np.asarray(codes), np.asarray(expected), strict=True)
        return [
            (n, {**example, "codes": own, "expected": told})
            for n, example, (own, told) in zip(chosen, examples, made, strict=False)
        ]

    def _run(self, params: Any, batch: Any):
        run = compiled(_look, self.setup.mesh, task=self.setup.task)
        return run(params, batch, self.setup.constants)


def _look(params, batch, constants, *, task: Task):
    """Codes and expected codes of every patch [B, P], and sums over the batch."""
    number = task.config.codes
    codes = constants["tokenizer"]("tokens", batch["target_image"])
    image, hidden = normalise(batch["image"], task.pixels), batch["patch_mask"] > 0
    logits = task.model.apply({"params": params}, image, hidden, method="code_logits")
    expected = jnp.argmax(logits, axis=-1)
    real = batch["weight"][:, None]
    counted = hidden * real
    flat, weight = codes.reshape(-1), jnp.broadcast_to(real, codes.shape).reshape(-1)
    patches = cut(batch["image"].astype(jnp.float32), task.grid)
    patches = patches.reshape(-1, *patches.shape[2:]) * weight[:, None, None, None]
    sums = (
        jnp.sum((codes == expected) * counted),
        jnp.sum(counted),
        jnp.zeros(number).at[flat].add(weight),
        jnp.zeros((number, *patches.shape[1:])).at[flat].add(patches),
    )
    return (codes, expected), sums


def _keep(context: Context, examples: list[tuple[int, dict]], means: np.ndarray) -> None:
    """Writes the examples and their pictures: the image, with gaps, and completed."""
    content, pictures = [], {}
    for n, x in examples:
        hidden = np.asarray(x["patch_mask"]) > 0
        told = int(np.sum((x["codes"] == x["expected"]) & hidden))
        content.append({"index": n, "hidden": int(hidden.sum()), "right": told})
        pictures[n] = completed(x["image"], hidden, means[x["expected"]], context.setup.task.grid)
    keep_examples(context, "masked_patches", content)
    keep_made_pictures(context, "masked_patches", pictures)


def completed(
    image: np.ndarray, hidden: np.ndarray, filling: np.ndarray, grid: tuple[int, int]
) -> np.ndarray:
    """The image, with gaps, and with its gaps filled, side by side: uint8 [height, 3 width, 3].

    hidden: bool [P]; filling: [P, p, p, 3].
    """
    patches, (rows, columns) = cut(image[None], grid)[0], grid
    gaps = np.where(hidden[:, None, None, None], GREY, patches)
    full = np.where(hidden[:, None, None, None], filling, patches)

    def join(x):
        p, q = x.shape[1:3]
        return x.reshape(rows, columns, p, q, 3).swapaxes(1, 2).reshape(rows * p, columns * q, 3)

    return np.concatenate([join(x) for x in (patches, gaps, full)], axis=1).round().astype(np.uint8)


def cut(images: Array | np.ndarray, grid: tuple[int, int]) -> Array | np.ndarray:
    """Patches in rows from the top left: [B, height, width, 3] -> [B, P, p, p, 3]."""
    (rows, columns), (height, width) = grid, images.shape[1:3]
    p, q = height // rows, width // columns
    x = images[:, : rows * p, : columns * q].reshape(-1, rows, p, columns, q, 3)
    return x.swapaxes(2, 3).reshape(len(images), rows * columns, p, q, 3)
