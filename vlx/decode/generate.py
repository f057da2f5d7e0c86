"""One compiled program that writes."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.decode.beam import beam_search
from vlx.decode.beam_groups import beam_search_by_groups
from vlx.decode.beam_one import beam_search_for_one
from vlx.decode.options import DecodeOptions, Ids
from vlx.decode.reader import CachedReader, FreshReader
from vlx.decode.sample import Written, sample

Array = jax.Array

SEARCHES = {  # by the score of DecodeOptions
    "log_probabilities": beam_search,
    "raw_logits": beam_search_by_groups,
    "one_finished": beam_search_for_one,
}


@partial(jax.jit, static_argnames=("model", "options", "ids"))
def generate(
    model: nn.Module,
    params: Any,
    image: Array,
    options: DecodeOptions,
    ids: Ids,
    prompt: Array | None = None,
    draws: Array | None = None,
) -> Written:
    """Writes one text for each image, in one compiled program of static shapes.

    image: normalised floats [B, height, width, 3]; prompt: int32 [B, n] that every text begins
    with (the start token by default); draws: uniform [max_length, B], for `method="sample"`.
    The texts are int32 [B, max_length]: start, words, end, padding.

    Raises UserError for a model that cannot write, or not so long texts.
    """
    slots = options.max_length
    if prompt is None:
        prompt = jnp.full((len(image), 1), ids.start, jnp.int32)
    start = prompt.shape[1]
    if start >= slots:
        raise ValueError(f"a prompt of {start} tokens leaves no room in max_length={slots}.")
    text = jnp.pad(prompt, ((0, 0), (0, slots - start)), constant_values=ids.pad)
    if options.window or not options.cache:
        reader = FreshReader(model, params, min(options.window or slots, slots))
    else:
        reader = CachedReader(model, params)
    if options.method == "beam":
        return SEARCHES[options.score](reader, image, text, start, options, ids)
    if draws is None:
        if options.method == "sample":
            raise ValueError("method='sample' needs draws: uniform numbers [max_length, B].")
        draws = jnp.zeros((slots, len(image)))
    return sample(reader, image, text, start, draws, options, ids)
