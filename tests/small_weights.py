"""Trained models of a few thousand parameters, with a vocabulary, as files hold them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

from vlx.data import TokenizerConfig
from vlx.data.tokenizers import train_sentencepiece
from vlx.interop.pretrained import Pixels, Pretrained
from vlx.models.clip import Clip, ClipConfig
from vlx.models.coca import Coca

import small_models as small

WORDS = ["a red square", "a blue circle", "two green squares", "one red triangle"] * 5
LENGTH = 9
TOWER = replace(small.TOWER, width=64, hidden=256, heads=1)  # 64 a head, as open_clip's decoder
VISION = replace(small.VISION, image_size=(12, 12), encoder=TOWER)
TEXT = replace(small.TEXT, vocabulary=67, length=LENGTH, encoder=TOWER)


def open_clip_coca():
    """A CoCa that open_clip can express."""
    return small.coca(
        vision=replace(VISION, pooling="shared_queries", pooler=small.PoolerConfig(3, heads=2)),
        text=replace(TEXT, mask="legacy"),
        decoder=small.DecoderConfig(TOWER, 67, "separate_mlp"),
        embedding=64,
    )


def paper_coca():
    """A CoCa of the paper's form, which open_clip cannot express."""
    vision = replace(VISION, image_size=(8, 12), patch=4, **small.PAPER)
    return small.coca(vision=vision, text=TEXT, decoder=small.DecoderConfig(TOWER, 67))


def plain_clip():
    text = replace(TEXT, pooling="argmax", mask="none", norm_tokens=True)
    return ClipConfig(vision=VISION, text=text, embedding=13)


def pretrained(folder: Path, config=None, seed: int = 1) -> Pretrained:
    """The model of a config, by default `paper_coca`, with random parameters."""
    config = config or paper_coca()
    model = Clip(config) if type(config) is ClipConfig else Coca(config)
    inputs = small.pixels(1, config.vision.image_size), small.words(1, 5)
    params = flatten_dict(small.parameters(model, *inputs, seed=seed), sep="/")
    params = {path: 0.25 * np.asarray(x) for path, x in params.items()}
    vocabulary = folder / "words" / "sentencepiece.model"
    if not vocabulary.exists():
        train_sentencepiece(WORDS, str(vocabulary), 67)
    pixels = Pixels(config.vision.image_size)
    return Pretrained(model, params, pixels, TokenizerConfig(length=LENGTH), (vocabulary,))
