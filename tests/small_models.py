"""Models of a few thousand parameters, for tests. Sizes are odd, so that no two axes are alike."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from vlx.layers.multiway import MultiwayConfig
from vlx.layers.text import TextConfig
from vlx.layers.transformer import TransformerConfig
from vlx.layers.vision import PoolerConfig, VisionConfig
from vlx.models.beit3 import Beit3Config
from vlx.models.coca import CocaConfig, DecoderConfig
from vlx.models.vlmo_config import VlmoConfig

VOCABULARY, LENGTH = 29, 5
TOWER = TransformerConfig(width=10, layers=2, heads=2, hidden=7)
VISION = VisionConfig((6, 9), 3, TOWER)  # six patches
TEXT = TextConfig(VOCABULARY, LENGTH, TOWER, mask="correct")
PAPER = {
    "class_token": False,
    "input_norm": False,
    "pooling": "cascade",
    "pooler": PoolerConfig(queries=3, heads=2),
}


def coca(**changes) -> CocaConfig:
    """A contrastive captioner of the paper's form; `changes` are fields of its config."""
    parts = {
        "vision": replace(VISION, **PAPER),
        "text": TEXT,
        "decoder": DecoderConfig(TOWER, VOCABULARY),
        "embedding": 10,
    }
    return CocaConfig(**(parts | changes))


def vlmo(**changes) -> VlmoConfig:
    """A model with experts; `changes` are fields of its config."""
    encoder = MultiwayConfig(10, 3, 2, 7, pair_layers=1, layer_scale=0.1)
    parts = {
        "encoder": encoder,
        "image_size": (6, 9),
        "patch": 3,
        "vocabulary": VOCABULARY,
        "text_length": LENGTH,
        "longest": 8,
        "answers": 4,
    }
    return VlmoConfig(**(parts | changes))


def beit3(apart: bool = True, **changes) -> Beit3Config:
    """A model that writes captions, of the released form or of the paper's."""
    encoder = MultiwayConfig(
        *(10, 3, 2, 7),
        experts=("image", "text"),
        pair_layers=0 if apart else 1,
        apart=apart,
        inner_norm=True,
        biases="qkv",
    )
    parts = {
        "encoder": encoder,
        "image_size": (6, 9),
        "patch": 3,
        "vocabulary": VOCABULARY,
        "text_length": LENGTH,
        "heads": ("captions",),
        "pad": 0,
        "mask": 4,
    }
    return Beit3Config(**(parts | changes))


def parameters(module, *inputs, seed: int = 1):
    """Random parameters of a module, all of them far from zero, without compiling its `init`."""
    return draw(_initial.eval_shape(module, jax.random.key(0), *inputs)["params"], seed)


_initial = jax.jit(lambda module, *inputs: module.init(*inputs), static_argnums=0)


def draw(shapes, seed: int = 1, spread: float = 0.4):
    """Random arrays of these shapes, around 1 where they scale, else around 0."""
    rng = np.random.default_rng(seed)

    def one(path, x):
        center = 1.0 if path[-1].key == "scale" else 0.0
        return jnp.asarray(center + spread * rng.standard_normal(x.shape), x.dtype)

    return jax.tree_util.tree_map_with_path(one, shapes)


def pixels(batch: int, size: tuple[int, int] = (6, 9), seed: int = 0) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), (batch, *size, 3))


def words(batch: int, length: int = LENGTH, vocabulary: int = VOCABULARY, seed: int = 0):
    """Token ids without padding: int32 [batch, length]."""
    draw = np.random.default_rng(seed).integers(1, vocabulary, (batch, length))
    return draw.astype(np.int32)


def pairs(batch: int, seed: int = 0, vocabulary: int = VOCABULARY, length: int = LENGTH) -> dict:
    """A batch of image-text pairs whose texts end in padding of all lengths."""
    text = words(batch, length, vocabulary, seed)
    lengths = 2 + np.arange(batch) % (length - 1)
    mask = np.arange(length) < lengths[:, None]
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (batch, 6, 9, 3), dtype=np.uint8),
        "text": text * mask,
        "text_mask": mask.astype(np.float32),
        "weight": np.ones(batch, np.float32),
    }


def questions(batch: int, seed: int = 0) -> dict:
    """A batch with everything that stages on texts and pairs read."""
    rng, more = np.random.default_rng(seed), pairs(batch, seed)
    masked = (rng.random(more["text"].shape) < 0.4) & (more["text"] > 0)
    masked[:, 0] = True  # some word of every text
    return more | {
        "text_mask": more["text_mask"] > 0,
        "masked": masked,
        "masked_text": np.where(masked, 3, more["text"]),
        "second_image": rng.integers(0, 256, more["image"].shape, dtype=np.uint8),
        "answer_scores": rng.random((batch, 4), dtype=np.float32),
        "label": rng.integers(0, 2, batch).astype(np.int32),
    }
