"""Codes of a visual tokenizer, which every task on masked patches predicts."""

from collections.abc import Mapping

from vlx.errors import UserError
from vlx.tasks.task import Batch, Constant


def with_codes(batch: Batch, constants: Mapping[str, Constant]) -> Batch:
    """The batch with `codes` int32 [B, P], of its `target_image` unless they are there already."""
    if "codes" in batch:
        return batch
    try:
        codes = constants["tokenizer"]("tokens", batch["target_image"])
    except ValueError as error:
        raise UserError(f"config.loss.tokenizer: {error} Set data.target_size.") from error
    if codes.shape[1] != batch["patch_mask"].shape[1]:
        raise UserError(
            f"The tokenizer has {codes.shape[1]} codes for an image of "
            f"{batch['target_image'].shape[1]} pixels, the model {batch['patch_mask'].shape[1]}"
            " patches; set data.target_size so that they are equal."
        )
    return {**batch, "codes": codes}
