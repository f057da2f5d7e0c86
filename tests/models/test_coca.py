"""CoCa: what its outputs may depend on, and what bfloat16 keeps in memory."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.attention import READ, AttentionOptions
from vlx.layers.bert import BertConfig, BertText, BertTextConfig
from vlx.layers.stack import Compute
from vlx.layers.transformer import SelfLayer, TransformerConfig
from vlx.models.clip import Clip, ClipConfig
from vlx.models.coca import Coca, DecoderConfig
from vlx.objectives.captioning import captioning, next_words

import small_models as small

B = 3
IMAGE, TEXT = small.pixels(B), small.words(B)


@pytest.mark.parametrize("block", ["single_mlp", "separate_mlp"])
def test_logits_depend_on_the_image_and_on_earlier_words(block):
    model = Coca(small.coca(decoder=DecoderConfig(small.TOWER, small.VOCABULARY, block)))
    params = small.parameters(model, IMAGE, TEXT)
    logits = jax.jit(lambda image, text: model.apply({"params": params}, image, text).logits)
    want = logits(IMAGE, TEXT)
    later = logits(IMAGE, np.array([[*t[:3], 7, 11] for t in TEXT]))
    np.testing.assert_allclose(later[:, :3], want[:, :3], rtol=1e-4, atol=1e-5)
    assert np.abs(later[:, 3:] - want[:, 3:]).max() > 1e-3
    assert np.abs(logits(IMAGE[::-1], TEXT) - want).max() > 1e-3


def test_each_capability_gives_what_the_whole_model_gives():
    model = Coca(small.coca())
    params = {"params": small.parameters(model, IMAGE, TEXT)}

    @jax.jit
    def run(image, text):
        out = model.apply(params, image, text)
        parts = (("encode_image", image), ("encode_text", text))
        return out.image, out.text, *(model.apply(params, x, method=name) for name, x in parts)

    image, text, image_alone, text_alone = run(IMAGE, TEXT)
    np.testing.assert_allclose(image_alone, image, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(text_alone, text, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(jnp.stack([image, text]), axis=-1), 1, rtol=1e-5)


def test_tied_logits_are_products_with_the_text_towers_table():
    decoder = DecoderConfig(small.TOWER, small.VOCABULARY, tie_embeddings=True)
    tied, free = Coca(small.coca(decoder=decoder)), Coca(small.coca())
    params = small.parameters(tied, IMAGE, TEXT)
    both = params | {"head": {"kernel": params["text"]["tokens"]["embedding"].T}}
    got = jax.jit(tied.apply)({"params": params}, IMAGE, TEXT).logits
    want = jax.jit(free.apply)({"params": both}, IMAGE, TEXT).logits
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_shorter_texts_need_no_padding():
    model = Coca(small.coca())
    params = {"params": small.parameters(model, IMAGE, TEXT)}
    run = jax.jit(model.apply)
    short, padded = TEXT[:, :3], TEXT * np.array([1, 1, 1, 0, 0], np.int32)
    np.testing.assert_allclose(
        run(params, IMAGE, short).logits, run(params, IMAGE, padded).logits[:, :3], 1e-4, 1e-5
    )


BFLOAT16 = [
    Compute("bfloat16", scan, remat) for scan in (True, False) for remat in ("none", "names")
]
OPTIONS = {
    "plain": {},
    "scaled": {"layer_scale": 0.1, "branch_norm": True, "mlp_norm": True},
    "quick": {"activation": "quick_gelu", "attention": AttentionOptions(qk_norm=True)},
    "cosine": {"attention": AttentionOptions(cosine=True, head_scale=True, inner_norm=True)},
}


def wide_residuals(function, params, batch: int, heads: int) -> list:
    """Shapes of float32 activations, one vector a token, that the backward pass keeps.

    `batch` is a size that no parameter has. Attention's probabilities ([B, H, T, S]) and single
    numbers a token (statistics of norms) may be float32.
    """
    kept = jax.tree.leaves(jax.eval_shape(lambda p: jax.vjp(function, p)[1], params))
    shapes = [x.shape for x in kept if x.dtype == jnp.float32 and batch in x.shape]
    shapes = [s[s.index(batch) :] for s in shapes]
    return [s for s in shapes if len(s) > 2 and s[-1] > 1 and not (len(s) == 4 and s[1] == heads)]


@pytest.mark.parametrize("compute", BFLOAT16, ids=lambda c: f"scan={c.scan}-{c.remat}")
def test_no_activation_is_kept_in_float32(compute):
    model = Coca(small.coca(compute=compute))
    image, text = small.pixels(13), small.words(13)

    def loss(params):
        out = model.apply({"params": params}, image, text)
        label, weight = next_words(text, jnp.ones(text.shape))
        return out.image, out.text, captioning(out.logits, label, weight)

    params = jax.eval_shape(lambda: model.init(jax.random.key(0), image, text))["params"]
    assert {x.dtype.name for x in jax.tree.leaves(params)} == {"float32"}
    assert wide_residuals(loss, params, 13, small.TOWER.heads) == []


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_no_option_of_a_layer_keeps_activations_in_float32(options):
    layer = SelfLayer(TransformerConfig(10, 1, 2, 7, **options), dtype="bfloat16")
    x = jnp.zeros((13, 5, 10), jnp.bfloat16)
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0), x))["params"]
    assert wide_residuals(lambda p: layer.apply({"params": p}, x), params, 13, 2) == []


def test_a_bert_tower_keeps_no_activations_in_float32():
    encoder = BertConfig(vocabulary=29, width=10, layers=2, heads=2, hidden=7, positions=11)
    tower = BertText(BertTextConfig(encoder), 4, Compute("bfloat16"))
    text = small.words(13)
    params = jax.eval_shape(lambda: tower.init(jax.random.key(0), text))["params"]
    assert wide_residuals(lambda p: tower.apply({"params": p}, text), params, 13, 2) == []


def test_float32_models_show_what_would_be_kept():
    """The measure sees float32 activations where there are some."""
    layer = SelfLayer(TransformerConfig(10, 1, 2, 7))
    x = jnp.zeros((13, 5, 10))
    params = jax.eval_shape(lambda: layer.init(jax.random.key(0), x))["params"]
    kept = wide_residuals(lambda p: layer.apply({"params": p}, x), params, 13, 2)
    assert {(13, 5, 10), (13, 5, 7)} <= set(kept)


def test_bfloat16_stays_close_to_float32():
    config = small.coca()
    params = {"params": small.parameters(Coca(config), IMAGE, TEXT)}
    want = jax.jit(Coca(config).apply)(params, IMAGE, TEXT)
    got = jax.jit(Coca(replace(config, compute=Compute("bfloat16"))).apply)(params, IMAGE, TEXT)
    assert (got.logits.dtype, got.image.dtype) == (jnp.bfloat16, jnp.float32)
    assert jnp.min(jnp.sum(got.image * want.image, axis=-1)) > 0.99
    assert jnp.min(jnp.sum(got.text * want.text, axis=-1)) > 0.99


@pytest.mark.parametrize("shape", [(), (1,)], ids=["scalar", "vector"])
def test_clip_returns_unit_vectors_and_its_scale(shape):
    text = replace(small.TEXT, mask="none", pooling="argmax", norm_tokens=True)
    model = Clip(ClipConfig(small.VISION, text, 4, logit_bias=-10.0, scalar_shape=shape))
    params = small.parameters(model, IMAGE, TEXT) | {"logit_scale": jnp.full(shape, jnp.log(7.0))}
    image, text, scale = jax.jit(model.apply)({"params": params}, IMAGE, TEXT)
    np.testing.assert_allclose(jnp.linalg.norm(jnp.stack([image, text]), axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(scale.scale, np.full(shape, 7.0), rtol=1e-5)
    assert scale.bias.shape == shape


WITH_CLASS = replace(small.VISION, class_token=True)
VISIONS = {
    "cascade": small.coca().vision,
    "parallel": replace(small.coca().vision, pooling="parallel"),
    "shared_queries": replace(small.coca().vision, pooling="shared_queries"),
    "tok": replace(WITH_CLASS, pooling="tok"),
    "none": replace(WITH_CLASS, pooling="none"),
}


@pytest.mark.parametrize("block", ["single_mlp", "separate_mlp"])
@pytest.mark.parametrize("vision", VISIONS)
def test_shares_of_the_patches_are_told_for_every_token(vision, block):
    """They add up to one, depend on the image and the words so far, not on those to come."""
    decoder = DecoderConfig(small.TOWER, small.VOCABULARY, block)
    model = Coca(small.coca(vision=VISIONS[vision], decoder=decoder))
    params = {"params": small.parameters(model, IMAGE, TEXT)}

    @jax.jit
    def attended(image, text):
        return model.apply(params, image, text, method="attended", mutable=[READ])[0]

    want = attended(IMAGE, TEXT)
    assert want.shape == (B, 5, 2, 3)
    np.testing.assert_allclose(jnp.sum(want, axis=(2, 3)), 1, rtol=1e-5)
    later = attended(IMAGE, np.array([[*t[:3], 7, 11] for t in TEXT]))
    np.testing.assert_allclose(later[:, :3], want[:, :3], rtol=1e-4, atol=1e-6)
    assert np.abs(later[:, 3:] - want[:, 3:]).max() > 1e-4
    assert np.abs(attended(IMAGE[::-1], TEXT) - want).max() > 1e-4
