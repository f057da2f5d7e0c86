"""Codes of a visual tokenizer, which every task on masked patches predicts."""

from collections.abc import Mapping

import jax

from vlx.errors import UserError
from vlx.tasks.task import Batch, Constant


def with_codes(batch: Batch, constants: Mapping[str, Constant]) -> Batch:
    """The batch with `codes` int32 [B, P], of its `target_image` unless they are there already."""
    if "codes" in batch:
        return batch
    patches = batch["patch_mask"].shape[1]
    return {**batch, "codes": codes_of(batch["target_image"], constants["tokenizer"], patches)}


def codes_of(views: jax.Array, tokenizer: Constant, patches: int) -> jax.Array:
    """Codes int32 [B, P] of uint8 [B, Z, Z, 3]. Raises UserError unless P is `patches`."""
    try:
        codes = tokenizer("tokens", views)
    except ValueError as error:
        raise UserError(f"config.loss.tokenizer: {error} Set data.target_size.") from error
    if codes.shape[1] != patches:
        raise UserError(
            f"The tokenizer has {codes.shape[1]} codes for an image of {views.shape[1]} pixels, "
            f"the model {patches} patches; set data.target_size so that they are equal."
        )
    return codes
