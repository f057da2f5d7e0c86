"""Pictures mixed with each other or partly erased, and the shares of classes that they then show.

Papers: mixup (arXiv 1710.09412), cutmix (arXiv 1905.04899), random erasing (arXiv 1708.04896). As
in timm's batches one share is drawn for the whole batch, and a picture's partner stands at the same
place from the batch's other end.

Letters: B batch, H and W pixels, C classes.
"""

from dataclasses import dataclass
from math import log

import chex
import jax
import jax.numpy as jnp

Array = jax.Array

ERASED = (0.02, 1 / 3)  # least and largest part of the area
ASPECT = 0.3  # least height / width of what is erased; the largest is 1 / 0.3
ATTEMPTS = 10  # to find a box that fits; then nothing is erased


@dataclass(frozen=True)
class Mixing:
    """How often and how much. Shares are drawn from Beta(a, a); a = 0 leaves a kind out."""

    mixup: float = 0.0  # a of pictures that are laid over each other
    cutmix: float = 0.0  # a of pictures of which a box shows the other
    probability: float = 1.0  # of a batch to be mixed
    switch: float = 0.5  # of cutmix where both are possible
    erase: float = 0.0  # probability of a picture to lose a box, which becomes noise

    def __post_init__(self):
        for name in ("mixup", "cutmix"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 or more.")
        for name in ("probability", "switch", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 to 1.")

    @property
    def mixes(self) -> bool:
        return bool(self.mixup or self.cutmix)


def mix(key: Array, image: Array, c: Mixing) -> tuple[Array, Array]:
    """Normalised pictures [B, H, W, 3] as training sees them, and the share that is their own."""
    chex.assert_rank(image, 4)
    key, own = jax.random.split(key)
    if c.erase:
        image = _erased(own, image, c.erase)
    if not c.mixes:
        return image, jnp.float32(1)
    weight, share = _weights(key, image.shape[1:3], c)
    return image * weight[..., None] + image[::-1] * (1 - weight[..., None]), share


def shares(label: Array, classes: int, share: Array, smoothing: float = 0.0) -> Array:
    """What mixed pictures show of each class: int [B] -> [B, C]; every row adds up to 1."""
    own = jax.nn.one_hot(label, classes) * (1 - smoothing) + smoothing / classes
    return own * share + own[::-1] * (1 - share)


def _weights(key: Array, size: tuple[int, int], c: Mixing) -> tuple[Array, Array]:
    """How much each pixel keeps of its own picture, [H, W], and the mean of that."""
    mixed, cut, over, part, place = jax.random.split(key, 5)
    weight = jnp.ones(size)
    if c.mixup:
        weight *= jax.random.beta(over, c.mixup, c.mixup)
    if c.cutmix:
        box = _cut(place, size, jax.random.beta(part, c.cutmix, c.cutmix))
        cuts = jax.random.bernoulli(cut, c.switch) if c.mixup else True
        weight = jnp.where(cuts, 1 - box, weight)
    weight = jnp.where(jax.random.bernoulli(mixed, c.probability), weight, 1)
    return weight, jnp.mean(weight)


def _cut(key: Array, size: tuple[int, int], share: Array) -> Array:
    """1 in a box of about 1 - share of the area, cut off where it leaves the picture: [H, W]."""
    sides = [(jnp.sqrt(1 - share) * side).astype(jnp.int32) for side in size]
    centres = [
        jax.random.randint(k, (), 0, n) for k, n in zip(jax.random.split(key), size, strict=True)
    ]
    ranges = [(x - n // 2, x + n // 2) for x, n in zip(centres, sides, strict=True)]
    return _box(size, *ranges).astype(jnp.float32)


def _box(size: tuple[int, int], rows: tuple, columns: tuple) -> Array:
    """True from the first row and column up to, but without, the last: bool [..., H, W]."""
    row, column = jnp.arange(size[0])[:, None], jnp.arange(size[1])
    return (row >= rows[0]) & (row < rows[1]) & (column >= columns[0]) & (column < columns[1])


def _erased(key: Array, image: Array, probability: float) -> Array:
    """Pictures of which some have a box of normal noise, as large as normalised pixels."""
    size, (boxes, noise) = image.shape[1:3], jax.random.split(key)

    def box(key: Array) -> Array:
        chosen, area, aspect, row, column = jax.random.split(key, 5)
        area = jax.random.uniform(area, (ATTEMPTS,), minval=ERASED[0], maxval=ERASED[1])
        aspect = jax.random.uniform(aspect, (ATTEMPTS,), minval=log(ASPECT), maxval=-log(ASPECT))
        area, aspect = area * size[0] * size[1], jnp.exp(aspect)
        sides = jnp.round(jnp.sqrt(jnp.stack([area * aspect, area / aspect])))
        fits = jnp.all(sides < jnp.array(size)[:, None], axis=0)
        height, width = sides[:, jnp.argmax(fits)]
        top = jnp.floor(jax.random.uniform(row) * (size[0] - height + 1))
        left = jnp.floor(jax.random.uniform(column) * (size[1] - width + 1))
        wanted = jax.random.bernoulli(chosen, probability) & jnp.any(fits)
        return wanted & _box(size, (top, top + height), (left, left + width))

    inside = jax.vmap(box)(jax.random.split(boxes, len(image)))
    return jnp.where(inside[..., None], jax.random.normal(noise, image.shape), image)
