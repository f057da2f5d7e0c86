"""Training of a segmenter: pixels without a class, batch norm whatever the mesh and the pieces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_segmenter import batch, config, parameters

from vlx.errors import UserError
from vlx.objectives.segmentation import pixel_classes
from vlx.parallel.mesh import MeshConfig, batch_sharding, make_mesh, replicated
from vlx.tasks import apart, build_task, whole
from vlx.tasks.segmentation import NO_DECAY, SegmentationLoss, SegmentationTask
from vlx.tasks.task import MODEL
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import flatten, partition
from vlx.train.state import create
from vlx.train.step import make_step

DESCENT = OptimizerConfig(name="sgd", b1=0.0)  # a step of rate 1 is the gradient
KEY, B = jax.random.key(3), 8
TASK = SegmentationTask(config(dropout=0.0), SegmentationLoss(statistics_group=2, momentum=0.5))


def test_pixels_without_a_class_have_no_loss_and_are_counted():
    """Two classes as likely as each other: log 2 a pixel that has one."""
    labels = np.array([[[0, 1], [-1, -1]], [[1, -1], [-1, -1]]])
    total, count = pixel_classes(jnp.zeros((2, 2, 2, 2)), labels, jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(total, 2 * np.log(2), rtol=1e-6)
    assert count == 4


def test_logits_where_nothing_is_labelled_have_no_gradient():
    labels = np.array([[[0, -1]]])
    gradient = jax.grad(lambda x: pixel_classes(x, labels, jnp.ones(1))[0])(jnp.ones((1, 1, 2, 3)))
    assert np.all(np.asarray(gradient)[0, 0, 1] == 0)
    assert np.all(np.asarray(gradient)[0, 0, 0] != 0)


def step(pieces: int = 1, mesh=None):
    """State and metrics after a step."""
    _, buffers = jax.eval_shape(TASK.init, KEY)
    params, buffers = apart(parameters(TASK.config), buffers)
    part = partition(params, (), ())
    rule = optimizer.build(DESCENT, part)
    state, given = create(params, buffers, rule, part, averaged=False), batch(B)
    run = make_step(TASK, rule, DESCENT, part, dict.fromkeys(part.trained, 1.0), pieces)
    if mesh is not None:
        state = jax.device_put(state, replicated(mesh))
        given = jax.device_put(given, batch_sharding(mesh))
    with jax.set_mesh(mesh or make_mesh(MeshConfig(), jax.devices()[:1])):
        return jax.jit(run)(state, given, np.float32(1), KEY)


@pytest.fixture(scope="module")
def want():
    return step()


def assert_same(got, want):
    for name in ("loss", "pixels", "auxiliary", "gradient_norm"):
        np.testing.assert_allclose(got[1][name], want[1][name], rtol=1e-5)
    pairs = zip(*(jax.tree.leaves((x[0].params, x[0].buffers)) for x in (got, want)), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("pieces", [2, 4])
def test_micro_batches_keep_groups_and_change_nothing(want, pieces):
    assert_same(step(pieces), want)


def test_a_step_is_the_same_on_eight_devices(want):
    """A device has one example, and its group another."""
    assert_same(step(mesh=make_mesh(MeshConfig())), want)


@pytest.mark.parametrize("group", [2, 8])
def test_devices_exchange_statistics_and_no_activations(group):
    """A group is on one device or on all four; its features stay where they are."""
    task = SegmentationTask(TASK.config, SegmentationLoss(statistics_group=group))
    params, buffers = apart(parameters(task.config), jax.eval_shape(task.init, KEY)[1])
    mesh = make_mesh(MeshConfig(), jax.devices()[:4])

    def loss(params, given):
        out = task.embed(params, buffers, given, 0, {"dropout": KEY})
        return sum(total / count for total, count in out.terms.values()), out.statistics

    whole, rows = replicated(mesh), batch_sharding(mesh)
    with jax.set_mesh(mesh):
        run = jax.jit(jax.grad(loss, has_aux=True), in_shardings=(whole, rows))
        program = run.lower(params, batch(B)).compile().as_text()
    assert "all-reduce" in program
    assert not any(x in program for x in ("all-gather", "all-to-all", "collective-permute"))


def test_running_statistics_are_buffers_that_a_step_moves(want):
    state = want[0]
    before = flatten(parameters(TASK.config))
    held = flatten(state.buffers[MODEL])
    assert held.keys() == {p for p in before if p.endswith(("/mean", "/variance"))}
    assert not set(held) & set(flatten(state.params))
    assert all(np.any(held[path] != before[path]) for path in held)
    assert flatten(whole(state.params, state.buffers)).keys() == before.keys()


def test_batches_that_part_a_group_are_refused():
    with pytest.raises(UserError, match=r"8 examples are no 8 micro-batches of whole groups of 2"):
        step(8)


def test_an_evaluation_moves_nothing_and_knows_no_groups():
    """An odd number of examples, one by one or together."""
    params, given = parameters(TASK.config), batch(3)

    def run(given):
        out = TASK.embed(params, {}, given, 0, {})
        assert not out.statistics
        return out.terms["pixels"]

    together = jax.jit(run)(given)
    alone = [jax.jit(run)({n: x[i : i + 1] for n, x in given.items()}) for i in range(3)]
    np.testing.assert_allclose(together, np.sum(alone, axis=0), rtol=1e-5)


def test_rates_fall_with_depth_and_decay_spares_vectors():
    params, _ = apart(parameters(TASK.config), jax.eval_shape(TASK.init, KEY)[1])
    part = partition(params, (), ())
    shapes = {path: x.shape for path, x in flatten(params).items()}
    rules = OptimizerConfig(layer_decay={"image": 0.5}, no_decay=NO_DECAY, weight_decay=0.1)
    scales = optimizer.rate_scales(rules, part, shapes, TASK.layer_groups)
    assert scales["backbone/image/class_token"] == 0.5**5
    table = scales["backbone/encoder/lower/layers/relative/embedding"]
    np.testing.assert_allclose(np.ravel(table), [0.5**4, 0.5**3, 0.5**2, 0.5])
    assert {scales[p] for p in shapes if not p.startswith("backbone")} == {1.0}
    kept = {p for p in shapes if any(optimizer._matches(p, (n,)) for n in NO_DECAY)}
    assert "backbone/image/class_token" not in kept  # as in the official runs
    assert "head/fuse/norm/scale" in kept
    assert "backbone/encoder/lower/layers/relative/embedding" not in kept


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"statistics_group": 0}, r"config.loss: statistics_group=0 must be 1 or more"),
        ({"momentum": 0.0}, r"config.loss: momentum=0.0 must be above 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(loss, message):
    with pytest.raises(UserError, match=message):
        build_task("segmentation", {"preset": "tiny"}, loss)


def test_one_number_is_the_size_of_images():
    task = build_task("segmentation", {"preset": "tiny", "image_size": 96}, {})
    assert task.image_size == (96, 96)
    assert build_task("segmentation", **task.sections()) == task
