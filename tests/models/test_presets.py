"""Presets of CLIP and CoCa: they can be built, and have the sizes that were published."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vlx.models import clip, coca

MODELS = {name: (clip.Clip, config) for name, config in clip.CONFIGS.items()}
MODELS |= {name: (coca.Coca, config) for name, config in coca.CONFIGS.items()}

# Millions in the paper's table 1: image encoder, text decoder (both halves), total.
PAPER = {"base": (86, 297, 383), "large": (303, 484, 787), "g": (1000, 1100, 2100)}


def shapes(model, config):
    image, text = jnp.zeros((1, *config.vision.image_size, 3)), jnp.zeros((1, 7), jnp.int32)
    made = jax.eval_shape(lambda: model(config).init(jax.random.key(0), image, text))
    return {path: x.shape for path, x in flatten_dict(made["params"], sep="/").items()}


def size(shapes, *prefixes, matrices=False):
    """Numbers below the prefixes; with `matrices` those of kernels and tables only."""
    return sum(
        np.prod(shape, dtype=np.int64)
        for path, shape in shapes.items()
        if path.startswith(prefixes) and (not matrices or path.endswith(("kernel", "embedding")))
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_preset_can_be_built(name):
    model, config = MODELS[name]
    made = shapes(model, config)
    assert made["image/positions"][0] == np.prod(config.vision.grid) + config.vision.class_token
    assert made["image/encoder/layers/mlp/up/kernel"] == (
        config.vision.encoder.layers,
        config.vision.encoder.width,
        config.vision.encoder.hidden,
    )


@pytest.mark.parametrize("name", PAPER)
def test_matrices_of_the_papers_decoder_are_its_arithmetic(name):
    """12 d^2 a unimodal layer, 16 d^2 a multimodal one, and 64000 d for each vocabulary."""
    c = coca.CONFIGS[name]
    layers, width = c.decoder.encoder.layers, c.decoder.encoder.width
    made = shapes(coca.Coca, c)
    parts = ("text/encoder", "text/tokens", "decoder", "head")
    want = layers * (12 + 16) * width**2 + 2 * 64000 * width
    assert size(made, *parts, matrices=True) == want


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_models_have_the_published_sizes(name):
    """The table counts encoder and decoder; poolers and projections are not in its numbers.

    The largest model's 2.1B fit a decoder whose two tables are one.
    """
    c = coca.CONFIGS[name]
    c = replace(c, decoder=replace(c.decoder, tie_embeddings=name == "g"))
    made = shapes(coca.Coca, c)
    image = size(made, "image/patches", "image/positions", "image/encoder")
    text = size(made, "text/tokens", "text/positions", "text/encoder", "decoder", "head")
    got = np.array([image, text, image + text]) / 1e6
    np.testing.assert_allclose(got, PAPER[name], rtol=0.015)


def test_a_tied_decoder_has_no_table_of_its_own():
    c = coca.CONFIGS["tiny"]
    tied = shapes(coca.Coca, replace(c, decoder=replace(c.decoder, tie_embeddings=True)))
    own = shapes(coca.Coca, c)
    assert set(own) - set(tied) == {"head/kernel"}


@pytest.mark.parametrize(("block", "mlps"), [("single_mlp", 1), ("separate_mlp", 2)])
def test_blocks_of_the_decoder_have_their_number_of_mlps(block, mlps):
    c = coca.CONFIGS["tiny"]
    made = shapes(coca.Coca, replace(c, decoder=replace(c.decoder, block=block)))
    assert sum(p.startswith("decoder") and p.endswith("mlp/up/kernel") for p in made) == mlps


def test_a_tied_decoder_needs_the_text_towers_vocabulary():
    c = coca.CONFIGS["coca_roberta-ViT-B-32"]
    with pytest.raises(ValueError, match="equal vocabularies: text 50265, decoder 49408"):
        replace(c, decoder=replace(c.decoder, tie_embeddings=True))


def test_an_unknown_block_is_refused():
    with pytest.raises(ValueError, match="block='both': choose single_mlp or separate_mlp"):
        replace(coca.CONFIGS["tiny"].decoder, block="both")
