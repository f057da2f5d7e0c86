"""The segmenter: levels of the pyramid, sizes, what configs are refused, layout of parameters."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_segmenter import SIZE, backbone, config, parameters

from vlx.models import parameter_shapes
from vlx.models.beit import Beit
from vlx.models.segmenter import CONFIGS, Segmenter
from vlx.parallel import layout

# Millions of the published models, batch norm's running statistics left out.
PUBLISHED = {"base_v2": 163, "large_v2": 440}


@pytest.mark.parametrize("patch", [8, 16])
def test_levels_are_at_steps_of_4_to_32_pixels(patch):
    c = config(backbone=backbone(patch=patch))
    given = {"params": parameters(c)}
    image = jnp.zeros((2, *SIZE, 3))
    maps = jax.eval_shape(lambda: Segmenter(c).apply(given, image, method="maps"))
    assert [x.shape for x in maps] == [
        (2, SIZE[0] // step, SIZE[1] // step, 10) for step in (4, 8, 16, 32)
    ]
    logits, coarse = jax.eval_shape(lambda: Segmenter(c).apply(given, image))
    assert logits.shape == (2, 8, 12, 5)
    assert coarse.shape == (2, 2, 3, 5)


def test_features_are_those_of_a_shorter_backbone():
    """What is read after layer n is what a model of n layers has at its end."""
    b, params, image = backbone(), parameters(config())["backbone"], jnp.ones((2, *SIZE, 3))

    def run(after):
        return Beit(b).apply({"params": params}, image, after, method="layer_features")

    first, last = jax.jit(lambda: run((2, 4)))()
    whole = jax.jit(lambda: Beit(b).apply({"params": params}, image, method="_encode"))()
    np.testing.assert_allclose(last, whole[:, 1:], rtol=1e-5, atol=1e-5)
    assert float(jnp.max(jnp.abs(first - last))) > 1e-3
    np.testing.assert_array_equal(jax.jit(lambda: run((2,)))()[0], first)


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_the_published_sizes(name):
    shapes = parameter_shapes(Segmenter(CONFIGS[name]))
    learned = {p: x for p, x in shapes.items() if not p.endswith(("/mean", "/variance"))}
    assert round(sum(x.size for x in learned.values()) / 1e6) == PUBLISHED[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_has_one_rule(name):
    for path, x in parameter_shapes(Segmenter(CONFIGS[name])).items():
        found = [pattern for pattern, _ in layout.RULES if re.fullmatch(pattern, path)]
        assert len(found) == 1, f"{path}: {found}"
        assert len(layout.logical_axes(path, len(x.shape))) == len(x.shape)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": backbone(classes=3)}, r"backbone.codes and backbone.classes must be 0"),
        ({"backbone": backbone(patch=4)}, r"backbone.patch=4: a pyramid is made of 8 or 16"),
        ({"backbone": backbone(image_size=(16, 48))}, r"must be 32 or more"),
        ({"after": (0, 1, 2, 3)}, r"after=\(0, 1, 2, 3\) must be four layers in order, of 1 to 4"),
        ({"after": (2, 1, 3, 4)}, r"must be four layers in order"),
        ({"after": (1, 2, 3, 5)}, r"must be four layers in order"),
    ],
)
def test_what_makes_no_segmenter_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)
