"""Training on classes, of pictures that may be mixed: what every classifier's task shares."""

import jax

from vlx.layers.pixels import normalise
from vlx.objectives.matching import matching, mixed_matching
from vlx.objectives.mixing import Mixing, mix, shares
from vlx.objectives.ranks import Term
from vlx.tasks.task import Batch

Array = jax.Array


def mixed(
    batch: Batch, rng: Array | None, mixing: Mixing, pixels: str, classes: int, smoothing: float
) -> Batch:
    """The batch, in training with `class_shares` [B, classes] beside labels where it is mixed."""
    if rng is None or not (mixing.mixes or mixing.erase):
        return batch
    image, share = mix(rng, normalise(batch["image"], pixels), mixing)
    return {
        **batch,
        "image": image,
        "class_shares": shares(batch["label"], classes, share, smoothing),
    }


def class_term(logits: Array, batch: Batch, smoothing: float) -> Term:
    """Cross-entropy with labels, or with the shares of classes that pictures show: [B, C]."""
    if "class_shares" in batch:
        return mixed_matching(logits, batch["class_shares"], batch["weight"])
    return matching(logits, batch["label"], batch["weight"], smoothing)
