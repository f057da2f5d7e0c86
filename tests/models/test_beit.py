"""BEiT: how it starts, and the second prediction from patches that its class token aggregates."""

import json
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from small_stages import begin, beit, trained

from vlx.interop import unilm_beit
from vlx.interop.table import to_official
from vlx.layers.multiway import MultiwayConfig
from vlx.models import parameter_shapes
from vlx.models.beit import CONFIGS, Aggregation, Beit, BeitConfig, fresh_params
from vlx.parallel import layout

import small_models as small

FACTS = json.loads((Path(__file__).parents[1] / "golden" / "beit3" / "facts.json").read_text())
AGGREGATED = beit(aggregation=Aggregation(2, after=2, own_head=True))
SHARED = beit(positions=("shared_relative",), aggregation=Aggregation(2, after=1))
CUT = 0.010792 / 0.02  # deviation of a normal distribution that is cut at one deviation


@cache
def fresh(name: str) -> dict:
    """Official names of fresh parameters of the size that the facts are of."""
    encoder = MultiwayConfig(96, 4, 2, 384, experts=("image",), layer_scale=0.1)
    config = BeitConfig(encoder, (48, 48), 16, **STAGES[name])
    params = jax.jit(partial(fresh_params, Beit(config)))(jax.random.key(2))
    params = flatten_dict(jax.device_get(params), sep="/")
    return to_official(unilm_beit.table(config), params)


STAGES = {
    "init_beit2_pretrain_D96_L4": {"aggregation": Aggregation(2, after=2), "codes": 256},
    "init_beit2_finetune_D96_L4": {"codes": 0, "classes": 50, "positions": ("relative",)},
}


@pytest.mark.parametrize("name", STAGES)
def test_fresh_parameters_are_spread_as_the_official_ones(name):
    """But for the extra layers, which the official code leaves as PyTorch makes them."""
    got = fresh(name)
    for path, want in FACTS[name].items():
        if path.startswith(unilm_beit.EXTRA):
            continue
        x = np.asarray(got[path], np.float64)
        error = want["std"] * 6 / np.sqrt(2 * x.size) + 1e-6  # both are samples
        assert abs(x.std() - want["std"]) < error * np.sqrt(2), path
        assert abs(x.mean() - want["mean"]) < want["std"] * 9 / np.sqrt(x.size) + 1e-6, path
        if want["absmax"] < 3 * want["std"]:  # cut, or uniform
            assert np.abs(x).max() < want["absmax"] * 1.05 + 1e-6, path


def test_extra_layers_start_as_the_layers_of_their_number():
    got = fresh("init_beit2_pretrain_D96_L4")
    for name, kernel in (("attn.proj", 96 * 96), ("mlp.fc2", 96 * 384)):
        for layer in range(2):
            x = np.asarray(got[f"cls_pt_layers.{layer}.{name}.weight"])
            want = 0.02 * CUT / np.sqrt(2 * (2 + layer + 1))
            assert abs(x.std() / want - 1) < 6 / np.sqrt(2 * kernel)


def logits(config, params, image, hidden=None):
    run = jax.jit(partial(Beit(config).apply, method="all_code_logits"))
    return run({"params": params}, image, hidden)


@pytest.mark.parametrize("config", [AGGREGATED, SHARED])
def test_aggregation_changes_nothing_of_the_first_prediction(config):
    """A model without it begins with one that has it, and leaves what is only for it."""
    source, image = trained(config), small.pixels(2, config.image_size)
    plain = replace(config, aggregation=Aggregation())
    fitted, params = begin(plain, source)
    want = logits(config, source.tree, image)
    np.testing.assert_allclose(
        logits(plain, params, image)["codes"], want["codes"], atol=1e-5, rtol=1e-5
    )
    left = {row.path for row in fitted.rows if row.what == "left"}
    assert left == {path for path in source.params if path.startswith("aggregation")}
    assert want["codes"].shape == want["aggregated_codes"].shape == (2, 9, 11)


@pytest.mark.parametrize("after", [1, 3])
def test_the_second_prediction_sees_early_patches_and_the_last_class_token(after):
    """As a model of so many layers, whose class token is replaced before two more."""
    config = beit(positions=("shared_relative",), aggregation=Aggregation(2, after=after))
    image = small.pixels(2, config.image_size)
    params = flatten_dict(trained(config).tree, sep="/")
    lower, upper, extra = (
        {k.removeprefix(stack): x for k, x in params.items() if k.startswith(f"{stack}layers/")}
        for stack in ("encoder/lower/", "encoder/upper/", "aggregation/")
    )
    outside = {k: x for k, x in params.items() if not k.startswith(("encoder/", "aggregation/"))}

    def tokens(layers: dict, count: int, start=None):
        """After these layers, from the image or from given tokens."""
        encoder = replace(config.encoder, layers=count)
        c = replace(config, encoder=encoder, aggregation=Aggregation())

        def run(model, image):
            x, parts, how = model._embed(image, None)
            return model.encoder(x if start is None else start, parts, **how)

        inside = {f"encoder/lower/{k}": x for k, x in layers.items()}
        tree = unflatten_dict(outside | inside, sep="/")
        return Beit(c).apply({"params": tree}, image, method=run)

    early = tokens(lower, after)
    last = tokens(upper, 3 - after, early) if after < 3 else early
    mixed = tokens(extra, 2, jnp.concatenate([last[:, :1], early[:, 1:]], axis=1))
    head = unflatten_dict(outside, sep="/")

    def tell(model, x):
        return model.code_head(model.norm(x)[:, 1:])

    plain = Beit(replace(config, aggregation=Aggregation()))
    want = plain.apply({"params": head}, mixed, method=tell)
    got = logits(config, unflatten_dict(params, sep="/"), image)["aggregated_codes"]
    np.testing.assert_allclose(got, want, atol=1e-5, rtol=1e-5)


def test_dropped_branches_go_by_number_beyond_the_last_layer_too():
    encoder = replace(AGGREGATED.encoder, drop_path=0.5)
    config = replace(AGGREGATED, encoder=encoder, aggregation=Aggregation(2, after=2))
    source, image = trained(config), small.pixels(2, config.image_size)
    model = Beit(config)
    run = jax.jit(
        lambda key: model.apply(
            {"params": source.tree}, image, rngs={"dropout": key}, method="all_code_logits"
        )
    )
    first, second = (run(jax.random.key(n))["aggregated_codes"] for n in (0, 1))
    assert np.isfinite(first).all()
    assert (first != second).any()


@pytest.mark.parametrize(
    "changes",
    [
        {"codes": 0, "classes": 3, "aggregation": Aggregation(2)},
        {"aggregation": Aggregation(1, after=4)},
        {"aggregation": Aggregation(1, after=0)},
    ],
)
def test_aggregation_without_codes_or_layers_is_refused(changes):
    with pytest.raises(ValueError, match=r"aggregation\.layers=\d needs a model of codes with at"):
        beit(**changes)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("base_v2", 106.14), ("24x544_v2_1k", 86.66), ("giant_v2_1k", 1012.92)],
)
def test_registered_sizes(name, millions):
    params = jax.eval_shape(partial(fresh_params, Beit(CONFIGS[name])), jax.random.key(0))
    count = sum(x.size for x in jax.tree.leaves(params))
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize("config", [AGGREGATED, SHARED, CONFIGS["large_v2"], CONFIGS["base_v2_1k"]])
def test_every_parameter_has_one_place(config):
    for path, x in parameter_shapes(Beit(config)).items():
        assert len(layout.logical_axes(path, x.ndim)) == x.ndim
