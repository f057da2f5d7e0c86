"""BEiT's task: what its losses read, rates by layer, and pictures that are mixed in training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_stages import beit, classes
from tasks.reading import named_left_out, not_read

from vlx.errors import UserError
from vlx.models.beit import Aggregation
from vlx.objectives.mixing import Mixing
from vlx.parallel.mesh import MeshConfig, batch_sharding, make_mesh
from vlx.tasks import build_task
from vlx.tasks.beit import BeitLoss, BeitTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import flatten, partition
from vlx.train.state import create
from vlx.train.step import make_step

import small_models as small

AGGREGATED = beit(aggregation=Aggregation(2, after=1), positions=("shared_relative",))
MIXED = Mixing(mixup=0.8, cutmix=1.0, erase=0.5)
TASKS = {
    "codes": BeitTask(beit(), BeitLoss(codes=1.0)),
    "aggregated": BeitTask(AGGREGATED, BeitLoss(codes=0.5)),
    "classes": BeitTask(classes(), BeitLoss(classes=1.0)),
    "mixed": BeitTask(classes(), BeitLoss(classes=1.0, label_smoothing=0.1, mixing=MIXED)),
}
RULES = OptimizerConfig(name="sgd", b1=0.0)  # a step of rate 1 is the gradient
KEY, RATE = jax.random.key(0), np.float32(1)


def batch(rows: int) -> dict:
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (rows, 9, 9, 3), dtype=np.uint8),
        "patch_mask": rng.random((rows, 9)) < 0.4,
        "codes": rng.integers(0, 11, (rows, 9)).astype(np.int32),
        "label": rng.integers(0, 5, rows).astype(np.int32),
        "weight": np.ones(rows, np.float32) - np.eye(rows, dtype=np.float32)[1],
    }


def parameters(task: BeitTask):
    return small.parameters(task.model, jnp.zeros((1, 9, 9, 3)))


@pytest.mark.parametrize("name", TASKS)
def test_every_parameter_is_read(name):
    assert named_left_out(TASKS[name]) == not_read(TASKS[name], batch(2), {}) == set()


def test_both_predictions_weigh_the_same():
    task = TASKS["aggregated"]
    terms = jax.jit(lambda p: task.embed(p, {}, batch(4), 0, {}).terms)(parameters(task))
    assert task.weights == {"codes": 0.5, "aggregated_codes": 0.5}
    hidden = (batch(4)["patch_mask"] * batch(4)["weight"][:, None]).sum()
    assert [float(count) for _, count in terms.values()] == [hidden, hidden]
    assert terms["codes"][0] != terms["aggregated_codes"][0]


def gradient(task, pieces=1, mesh=None):
    params = parameters(task)
    part = partition(params, (), ())
    rule = optimizer.build(RULES, part)
    scales = dict.fromkeys(part.trained, 1.0)
    step = jax.jit(make_step(task, rule, RULES, part, scales, pieces))
    state, rows = create(params, {}, rule, part, averaged=False), batch(8)
    if mesh is None:
        after, metrics = step(state, rows, RATE, KEY)
    else:
        with jax.set_mesh(mesh):
            after, metrics = step(state, jax.device_put(rows, batch_sharding(mesh)), RATE, KEY)
    return metrics["loss"], jax.tree.map(jnp.subtract, params, after.params)


@pytest.fixture(scope="module")
def whole():
    return gradient(TASKS["mixed"])


@pytest.mark.parametrize("how", [{"pieces": 4}, {"mesh": (8, 1, 1)}])
def test_mixing_is_the_same_however_the_batch_is_cut(how, whole):
    if "mesh" in how:
        how = {"mesh": make_mesh(MeshConfig(*how["mesh"]))}
    loss, got = gradient(TASKS["mixed"], **how)
    np.testing.assert_allclose(loss, whole[0], rtol=1e-5)
    largest = max(np.abs(x).max() for x in jax.tree.leaves(whole[1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * largest), got, whole[1])


def test_mixing_follows_the_step_and_stays_out_of_evaluation():
    task, rows = TASKS["mixed"], batch(8)
    prepare = jax.jit(lambda step: task.prepare({}, {}, rows, 0, jax.random.key(step), {})[0])
    first, again, second = (prepare(step) for step in (0, 0, 1))
    np.testing.assert_array_equal(first["image"], again["image"])
    assert (first["image"] != second["image"]).any()
    np.testing.assert_allclose(first["class_shares"].sum(1), 1, rtol=1e-6)
    assert task.prepare({}, {}, rows, 0, None, {})[0] is rows
    plain = TASKS["classes"]
    assert plain.prepare({}, {}, rows, 0, KEY, {})[0] is rows


def test_pictures_whose_codes_are_told_are_not_mixed():
    with pytest.raises(UserError, match=r"config\.loss: mixing: only pictures of classes can be"):
        build_task("beit", {"preset": "tiny"}, {"codes": 1.0, "mixing": {"mixup": 0.8}})


def test_rates_fall_with_depth_over_both_stacks():
    """Of a cut encoder too, layer l of 3 has 0.5^(3 - l + 1); what is above has the full rate."""
    task = TASKS["aggregated"]
    params = parameters(task)
    shapes = {path: x.shape for path, x in flatten(params).items()}
    rules = OptimizerConfig(layer_decay={"image": 0.5})
    scales = optimizer.rate_scales(rules, partition(params, (), ()), shapes, task.layer_groups)
    path = "encoder/{}/layers/attention/query/kernel"
    np.testing.assert_allclose(np.ravel(scales[path.format("lower")]), [0.125])
    np.testing.assert_allclose(np.ravel(scales[path.format("upper")]), [0.25, 0.5])
    assert scales["image/class_token"] == 0.0625
    for name in ("aggregation/layers/attention/out/kernel", "norm/scale", "code_head/kernel"):
        assert scales[name] == 1.0
