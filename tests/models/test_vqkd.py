"""VQ-KD: published sizes, a rule for every parameter, and what its codes are."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.multiway import MultiwayConfig
from vlx.models import parameter_shapes
from vlx.models.vqkd import CONFIGS, Vqkd, VqkdConfig, fresh_params
from vlx.parallel import layout

import small_models as small

ENCODER = MultiwayConfig(10, 2, 2, 7, experts=("image",))
CONFIG = VqkdConfig(
    ENCODER, replace(ENCODER, layers=1, width=6), (6, 9), 3, codes=11, code_width=5, features=7
)
MILLIONS = {"base": 109.1, "base_shallow": 94.9, "base_shallow_dino": 95.1}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_has_one_rule(name):
    for path, x in parameter_shapes(Vqkd(CONFIGS[name])).items():
        assert len(layout.logical_axes(path, len(x.shape))) == len(x.shape)


@pytest.mark.parametrize("name", MILLIONS)
def test_presets_have_the_published_sizes(name):
    """0.3 million less than their files have, which hold the codebook's averages too."""
    sizes = [np.prod(x.shape) for x in parameter_shapes(Vqkd(CONFIGS[name])).values()]
    assert round(sum(sizes) / 1e6, 1) == MILLIONS[name]


def test_features_are_told_by_the_tokens_alone():
    model, image = Vqkd(CONFIG), small.pixels(2)
    params = small.parameters(model, image)

    @jax.jit
    def run(params, image):
        z, tokens, told = (
            model.apply({"params": params}, image, method=method)
            for method in ("code_vectors", "tokens", "predict_features")
        )
        codes = params["codebook"][tokens]
        return z, tokens, told, model.apply({"params": params}, codes, method="decode")

    z, tokens, told, decoded = run(params, image)
    assert (z.shape, tokens.shape, told.shape) == ((2, 6, 5), (2, 6), (2, 6, 7))
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(told, decoded)
    distance = jnp.sum((z[:, :, None] - params["codebook"]) ** 2, axis=-1)
    np.testing.assert_array_equal(tokens, jnp.argmin(distance, axis=-1))


def test_fresh_codes_have_unit_length_and_deeper_layers_add_less():
    params = jax.jit(lambda key: fresh_params(Vqkd(CONFIG), key))(jax.random.key(0))
    np.testing.assert_allclose(np.linalg.norm(params["codebook"], axis=1), 1, rtol=1e-5)
    down = params["encoder"]["encoder"]["lower"]["layers"]["image"]["mlp"]["down"]["kernel"]
    first, second = np.std(down, axis=(1, 2))
    assert 1.1 < first / second < 1.8  # 2 ** 0.5


def test_without_a_teachers_vectors_there_is_no_decoder():
    shapes = parameter_shapes(Vqkd(replace(CONFIG, features=0)))
    assert not any(path.startswith(("decoder", "feature_head")) for path in shapes)


def test_images_of_another_size_are_named():
    with pytest.raises(ValueError, match="have 6 x 9 pixels, and these 9 x 6"):
        jax.eval_shape(lambda: Vqkd(CONFIG).init(jax.random.key(0), small.pixels(1, (9, 6))))


def test_encoders_are_of_images_alone():
    with pytest.raises(ValueError, match=r"encoder.experts must be"):
        replace(CONFIG, decoder=MultiwayConfig(6, 1, 2, 7))
