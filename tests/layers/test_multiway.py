"""Layers with experts: each multiplies its own tokens, on every mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from layers.dots import dot_flops

from vlx.layers.multiway import Multiway, MultiwayConfig
from vlx.layers.parts import split
from vlx.layers.relative import image_rows, pair_index, table_rows
from vlx.layers.stack import Compute
from vlx.parallel import layout
from vlx.parallel.mesh import MeshConfig, batch_sharding, make_mesh

import small_models as small

TEXT, IMAGE, WIDTH, HIDDEN, BATCH = 24, 40, 512, 2048, 8
PARTS = ("text", TEXT), ("image", IMAGE)
CONFIG = MultiwayConfig(WIDTH, 3, 8, HIDDEN, pair_layers=1)
SMALL = MultiwayConfig(8, 2, 2, 12, drop_path=0.5)


def analytic(batch: int, parts, config=CONFIG) -> int:
    """FLOPs of the products of one pass: attention of all tokens, one expert a token."""
    length = sum(tokens for _, tokens in parts)
    projections = 4 * 2 * length * config.width**2
    scores = 2 * 2 * length**2 * config.width
    experts = sum(2 * 2 * tokens * config.width * config.hidden for _, tokens in parts)
    return batch * config.layers * (projections + scores + experts)


def parameter_shapes(config):
    """Of all experts; nothing is computed."""
    model = Multiway(config, Compute())

    def everything(m, x):
        for parts, part in ((PARTS, x), (PARTS[:1], x[:, :TEXT]), (PARTS[1:], x[:, TEXT:])):
            m.rise(m.climb(part, parts), parts)
        return m(x, PARTS, together=True)

    x = jnp.zeros((1, TEXT + IMAGE, config.width))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), x, method=everything))["params"]


def lower(parts, together: bool, mesh=None):
    """The program of a pass, from shapes alone."""
    model, length = Multiway(CONFIG, Compute(scan=False)), sum(tokens for _, tokens in parts)
    x = jax.ShapeDtypeStruct((BATCH, length, WIDTH), jnp.float32)
    params, places = parameter_shapes(CONFIG), None
    if mesh is not None:
        places = layout.shardings({"encoder": params}, mesh)["encoder"], batch_sharding(mesh)

    def run(params, x):
        return model.apply({"params": params}, x, parts, together)

    with jax.set_mesh(mesh or make_mesh(MeshConfig(), jax.devices()[:1])):
        return jax.jit(run, in_shardings=places).lower(params, x)


@pytest.mark.parametrize("together", [True, False])
def test_products_of_a_pair_are_those_of_one_expert_a_token(together):
    assert dot_flops(lower(PARTS, together)) == analytic(BATCH, PARTS)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part[0])
def test_a_pass_over_one_kind_costs_that_kind(part):
    assert dot_flops(lower((part,), False)) == analytic(BATCH, (part,))


@pytest.fixture(scope="module")
def compiled():
    """The compiler's own count on one device."""
    return lower(PARTS, True).compile().cost_analysis()["flops"]


def test_the_compiled_program_does_little_else(compiled):
    assert analytic(BATCH, PARTS) <= compiled < 1.03 * analytic(BATCH, PARTS)


@pytest.mark.parametrize(
    "axes", [{"data": 8}, {"fsdp": 8}, {"tensor": 8}, {"data": 2, "fsdp": 2, "tensor": 2}]
)
def test_devices_share_the_work(axes, compiled):
    """None multiplies what another does, or tokens that belong to other experts."""
    mesh = make_mesh(MeshConfig(**{"data": 1, **axes}))
    own = lower(PARTS, True, mesh).compile().cost_analysis()["flops"]
    assert mesh.size * own == pytest.approx(compiled, rel=0.05)


def test_tokens_read_each_other_but_feed_their_own_expert():
    """In a layer a text changes an image by attention alone, not through its expert."""
    config = MultiwayConfig(8, 1, 2, 12)
    params = small.draw(parameter_shapes(config))
    layers = params["lower"]["layers"]
    other = {"lower": {"layers": layers | {"text": jax.tree.map(lambda p: 2 * p, layers["text"])}}}
    x = jax.random.normal(jax.random.key(0), (2, TEXT + IMAGE, 8))
    model = Multiway(config, Compute())
    first, second = (model.apply({"params": p}, x, PARTS) for p in (params, other))
    np.testing.assert_array_equal(first[:, TEXT:], second[:, TEXT:])
    assert (first[:, :TEXT] != second[:, :TEXT]).any()


def test_dropped_branches_leave_the_expected_value():
    """The mean over many draws is what evaluation computes, to first order in the branches."""
    model, x = Multiway(SMALL, Compute()), jax.random.normal(jax.random.key(3), (1, 64, 8))
    params = small.draw(parameter_shapes(SMALL), spread=0.02)

    @jax.jit
    @jax.vmap
    def drawn(key):
        return model.apply({"params": params}, x, PARTS, rngs={"dropout": key})

    many = drawn(jax.random.split(jax.random.key(1), 2000))
    want = model.apply({"params": params}, x, PARTS)
    error = many.std(axis=0).max() / 2000**0.5
    assert many.std(axis=0).min() > 0
    np.testing.assert_allclose(many.mean(axis=0), want, atol=6 * error)


def test_parts_must_add_up():
    with pytest.raises(ValueError, match=r"do not add up to 4 tokens"):
        split(jnp.zeros((1, 4, 2)), (("text", 2), ("image", 3)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "width=512 does not divide into heads=3"),
        ({"pair_layers": 4}, "pair_layers=4 must be 0 to layers=3"),
        ({"drop_path": 1.0}, "drop_path=1.0 must be 0 or more"),
    ],
)
def test_refuses(changes, message):
    given = {"width": WIDTH, "layers": 3, "heads": 4, "hidden": HIDDEN} | changes
    with pytest.raises(ValueError, match=message):
        MultiwayConfig(**given)


def test_relative_positions_of_a_window_depend_on_the_distance_alone():
    index = pair_index((3, 4), longest=9, length=5)
    assert index.shape == (5 + 13, 5 + 13)
    image = index[5:, 5:]
    # Patches (0, 0) to (1, 2) and (1, 1) to (2, 3) are equally far apart.
    assert image[1 + 0, 1 + 6] == image[1 + 5, 1 + 11]
    assert len(np.unique(image)) == 5 * 7 + 3
    assert (index[:5, 5:] == image_rows((3, 4))).all()
    assert (index[5:, :5] == image_rows((3, 4)) + 1).all()
    assert index.max() == table_rows((3, 4), 9) - 1


def test_one_expert_takes_all_tokens():
    """A plain Transformer, for comparisons: parts are named as ever, and cost the same."""
    model = Multiway(MultiwayConfig(8, 2, 2, 12, experts=("tokens",)), Compute())
    x = jax.random.normal(jax.random.key(0), (2, TEXT + IMAGE, 8))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x, PARTS))["params"]
    assert set(shapes["lower"]["layers"]) == {"attention", "attention_norm", "tokens"}
    params = {"params": small.draw(shapes)}
    swapped = model.apply(params, x, PARTS[::-1])
    np.testing.assert_array_equal(model.apply(params, x, PARTS), swapped)
