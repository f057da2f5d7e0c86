"""Pixels as networks want them."""

import jax
import jax.numpy as jnp

Array = jax.Array

# name -> (mean, standard deviation) by channel, of pixels in 0..1
STATISTICS = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "dall_e": ((-0.125,) * 3, (1.25,) * 3),  # 0.8 x + 0.1
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


def normalise(image: Array, statistics: str) -> Array:
    """float32 pixels with the mean and deviation of `STATISTICS` taken out; same shape.

    image: uint8 [B, height, width, 3]. Floats are taken as normalised already.
    """
    if image.dtype != jnp.uint8:
        return image
    mean, deviation = (jnp.asarray(x, jnp.float32) for x in STATISTICS[statistics])
    return (image.astype(jnp.float32) / 255 - mean) / deviation
