"""The table of parameters: one rule each, and the same numbers on every mesh."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax.sharding import PartitionSpec

from vlx.layers.attention import AttentionOptions
from vlx.layers.transformer import TransformerConfig
from vlx.layers.vision import PoolerConfig
from vlx.models import clip, coca
from vlx.models.coca import DecoderConfig
from vlx.parallel import layout
from vlx.parallel.mesh import MeshConfig, batch_sharding, make_mesh, replicated
from vlx.tasks.coca import CocaLoss, CocaTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.state import create
from vlx.train.step import make_step

import small_models as small

EVERYTHING = TransformerConfig(
    10, 2, 2, 7, layer_scale=0.1, branch_norm=True, mlp_norm=True,
    attention=AttentionOptions(cosine=True, head_scale=True, inner_norm=True),
)  # fmt: skip
NORMED = replace(EVERYTHING, attention=AttentionOptions(qk_norm=True))
MODELS = {
    **{name: (clip.Clip, config) for name, config in clip.CONFIGS.items()},
    **{name: (coca.Coca, config) for name, config in coca.CONFIGS.items()},
    "every option": (
        coca.Coca,
        small.coca(
            vision=replace(small.VISION, encoder=EVERYTHING, pooling="parallel"),
            text=replace(small.TEXT, encoder=NORMED, projection_bias=True),
            decoder=DecoderConfig(EVERYTHING, small.VOCABULARY, "separate_mlp"),
            logit_bias=0.0,
            scalar_shape=(1,),
        ),
    ),
}


def parameters(name):
    model, config = MODELS[name]
    image, text = jnp.zeros((1, *config.vision.image_size, 3)), jnp.zeros((1, 5), jnp.int32)
    return jax.eval_shape(lambda: model(config).init(jax.random.key(0), image, text))["params"]


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_has_one_rule(name):
    params = parameters(name)
    for path, x in flatten_dict(params, sep="/").items():
        matches = [pattern for pattern, _ in layout.RULES if re.fullmatch(pattern, path)]
        assert len(matches) == 1, f"{path}: {matches}"
        assert len(layout.logical_axes(path, len(x.shape))) == len(x.shape)


@pytest.mark.parametrize("name", [*clip.CONFIGS, *coca.CONFIGS])
def test_most_numbers_are_cut_along_both_axes(name):
    """An eighth each, but for what is small or divides badly."""
    params = parameters(name)
    whole = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(params))
    for sizes in ((1, 8, 1), (1, 4, 2)):
        places = layout.shardings(params, make_mesh(MeshConfig(*sizes)))
        assert layout.bytes_per_device(params, places) < 0.15 * whole


def test_a_parameter_without_a_rule_is_named():
    with pytest.raises(KeyError, match="image/novelty/weight: 0 rules match"):
        layout.logical_axes("image/novelty/weight", 2)


def test_a_rule_with_the_wrong_number_of_axes_is_named():
    with pytest.raises(KeyError, match="decoder/layers/mlp/up/kernel has 2 axes, its rule names"):
        layout.logical_axes("decoder/layers/mlp/up/kernel", 2)


def test_an_axis_that_does_not_divide_stays_whole():
    mesh = make_mesh(MeshConfig(1, 4, 2))
    path = "image/encoder/layers/mlp/up/kernel"
    assert layout.spec(path, (3, 8, 6), mesh) == PartitionSpec(None, "fsdp", "tensor")
    assert layout.spec(path, (3, 6, 7), mesh) == PartitionSpec(None, None, None)


TOWER = TransformerConfig(16, 2, 8, 24)
CONFIG = small.coca(
    vision=replace(
        small.VISION, encoder=TOWER, **small.PAPER | {"pooler": PoolerConfig(queries=3, heads=8)}
    ),
    text=replace(small.TEXT, vocabulary=32, encoder=TOWER),
    decoder=DecoderConfig(TOWER, 32),
    embedding=16,
)
RULES = OptimizerConfig(name="sgd", b1=0.9)  # its memory after one step is the gradient
BATCH = small.pairs(16, vocabulary=32) | {"weight": np.ones(16, np.float32) - np.eye(16)[3]}
QUICK = {"xla_backend_optimization_level": 0}  # compiling takes longer than one step
MESHES = [(8, 1, 1), (1, 8, 1), (1, 1, 8), (2, 2, 2)]


def start(exchange="gather"):
    """A state and a step of gradient descent."""
    task = CocaTask(CONFIG, CocaLoss(exchange=exchange, chunk=3))
    params = small.parameters(task.model, small.pixels(1), small.words(1))
    part = partition(params, task.left_out, ())
    transformation = optimizer.build(RULES, part)
    state = create(params, {}, transformation, part, averaged=False)
    return state, make_step(task, transformation, RULES, part, dict.fromkeys(part.trained, 1.0))


def spread(state, mesh):
    """The state where a run on the mesh keeps it."""
    everywhere = jax.tree.map(lambda _: replicated(mesh), state)
    places = everywhere.replace(
        params=layout.shardings(state.params, mesh),
        optimizer=layout.follow(state.optimizer, mesh),
    )
    return jax.tree.map(jax.device_put, state, places), places


@pytest.fixture(scope="module")
def want():
    """The step on one device."""
    state, step = start()
    return jax.jit(step, compiler_options=QUICK)(
        state, dict(BATCH), np.float32(1), jax.random.key(0)
    )


@pytest.mark.parametrize(
    ("sizes", "exchange"), [*((sizes, "gather") for sizes in MESHES), ((2, 2, 2), "ring")]
)
def test_a_step_is_the_same_on_every_mesh(sizes, exchange, want):
    (state, step), mesh = start(exchange), make_mesh(MeshConfig(*sizes))
    state, places = spread(state, mesh)
    batch = jax.device_put(dict(BATCH), batch_sharding(mesh))
    with jax.set_mesh(mesh):
        run = jax.jit(step, out_shardings=(places, None), compiler_options=QUICK)
        state, metrics = run(state, batch, np.float32(1), jax.random.key(0))
    for name in want[1]:
        np.testing.assert_allclose(metrics[name], want[1][name], rtol=1e-5, err_msg=name)
    gradient, expected = (jax.tree.leaves(s.optimizer) for s in (state, want[0]))
    largest = max(np.abs(x).max() for x in expected)
    for got, x in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(got, x, rtol=1e-5, atol=1e-5 * largest)
    assert largest > 0.1


@pytest.mark.parametrize("sizes", MESHES[1:])
def test_devices_hold_a_share_of_parameters_and_memory(sizes):
    state, _ = spread(start()[0], make_mesh(MeshConfig(*sizes)))
    for tree in (state.params, state.optimizer):
        leaves = jax.tree.leaves(tree)
        held = sum(x.addressable_shards[0].data.nbytes for x in leaves)
        assert held < 0.3 * sum(x.nbytes for x in leaves)
    kernel = flatten_dict(state.params, sep="/")["decoder/layers/mlp/up/kernel"]
    share = kernel.addressable_shards[0].data.nbytes
    assert share * sizes[1] * sizes[2] == kernel.nbytes
