"""VQ-KD's training: one codebook whatever the mesh and the pieces, k-means, teachers."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_stages import DVAE, trained

from vlx.errors import UserError
from vlx.interop.pretrained import Pretrained
from vlx.layers.multiway import MultiwayConfig
from vlx.models.beit import BeitConfig
from vlx.models.clip import ClipConfig
from vlx.models.vqkd import VqkdConfig
from vlx.parallel.mesh import MeshConfig, batch_sharding, make_mesh, replicated
from vlx.tasks import apart, whole
from vlx.tasks.task import MODEL, Constant
from vlx.tasks.vqkd import VqkdLoss, VqkdTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.state import create
from vlx.train.step import make_step

import small_models as small

ENCODER = MultiwayConfig(10, 2, 2, 7, experts=("image",))
CONFIG = VqkdConfig(
    ENCODER, replace(ENCODER, layers=1), (9, 9), 3, codes=11, code_width=5, features=7
)
DESCENT = OptimizerConfig(name="sgd", b1=0.0)
QUICK = {"xla_backend_optimization_level": 0}  # compiling takes longer than one step
KEY = jax.random.key(3)
B, P = 16, 9


def task(**loss) -> VqkdTask:
    return VqkdTask(CONFIG, VqkdLoss(**{"teacher": "given", "decay": 0.5} | loss))


def batch() -> dict:
    rng = np.random.default_rng(1)
    return {
        "image": rng.integers(0, 256, (B, 9, 9, 3), dtype=np.uint8),
        "target": rng.standard_normal((B, P, 7)).astype(np.float32),
        "weight": np.ones(B, np.float32) - np.eye(B, dtype=np.float32)[3],
    }


def beginning(task: VqkdTask):
    """A state with parameters far from zero."""
    shapes, _ = jax.eval_shape(task.init, KEY)
    buffers = jax.jit(task.init)(KEY)[1]
    params = small.draw(shapes)
    part = partition(params, (), ())
    return create(params, buffers, optimizer.build(DESCENT, part), part, averaged=False), part


def step_of(task: VqkdTask, part, micro_batches: int = 1):
    rules = optimizer.build(DESCENT, part)
    scales = dict.fromkeys(part.trained, 1.0)
    return make_step(task, rules, DESCENT, part, scales, micro_batches)


def steps(task: VqkdTask, micro_batches: int = 1, number: int = 2):
    """States and metrics after each step on one device."""
    state, part = beginning(task)
    step, results = jax.jit(step_of(task, part, micro_batches), compiler_options=QUICK), []
    for _ in range(number):
        state, metrics = step(state, batch(), np.float32(0.1), KEY)
        results.append((state, metrics))
    return results


@pytest.fixture(scope="module")
def want():
    return steps(task(restart=0.6))


def same(got, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), got, want)


def test_micro_batches_change_nothing(want):
    for got, expected in zip(steps(task(restart=0.6), 4), want, strict=True):
        same(got[0].params, expected[0].params)
        same(got[0].buffers, expected[0].buffers)
        same(got[1], expected[1])


def test_eight_devices_change_nothing(want):
    """Counts and sums are of the whole batch, so that there is one codebook wherever it lies."""
    mesh, t = make_mesh(MeshConfig(8, 1, 1)), task(restart=0.6)
    state, part = beginning(t)
    state = jax.device_put(state, replicated(mesh))
    rows = jax.device_put(batch(), batch_sharding(mesh))
    with jax.set_mesh(mesh):
        step = jax.jit(step_of(t, part), compiler_options=QUICK)
        for expected, _ in want:
            state, _ = step(state, rows, np.float32(0.1), KEY)
            same(state.params, expected.params)
            same(state.buffers, expected.buffers)


def test_kmeans_makes_the_codes_once(want):
    state, _ = beginning(task(restart=0.6))
    first, second = (s.buffers[MODEL]["codebook"] for s, _ in want)
    assert not np.any(state.buffers[MODEL]["codebook"])
    for codes in (first, second):
        np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    assert np.abs(second - first).max() > 1e-3


def test_codes_can_begin_at_random():
    t = task(rounds=0)
    codes = jax.jit(t.init)(KEY)[1][MODEL]["codebook"]
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    _, held = t.prepare({}, {MODEL: {"codebook": codes}}, batch(), 0, KEY, {})
    np.testing.assert_array_equal(held[MODEL]["codebook"], codes)


def test_codes_without_use_begin_anew_at_patches_of_the_batch():
    codes = jax.random.normal(KEY, (3, 5))
    codes /= jnp.linalg.norm(codes, axis=1, keepdims=True)
    buffers = {MODEL: {"codebook": codes}, "usage": jnp.ones(3)}
    counts = jnp.asarray([0.0, 6, 0])
    rows = jax.random.normal(jax.random.key(4), (2, 2, 5))
    noise = jnp.asarray([[0.5, jnp.inf], [0.1, 0.9]])
    statistics = {"embed": {"counts": counts, "sums": counts[:, None] * codes}}
    t = task(restart=0.6)
    after = t.advance({}, buffers, {"rows": rows, "noise": noise}, statistics, 0)
    np.testing.assert_allclose(after[MODEL]["codebook"][1], codes[1], rtol=1e-5)
    np.testing.assert_array_equal(after[MODEL]["codebook"][::2], [rows[1, 0], rows[0, 0]])
    np.testing.assert_allclose(after["usage"], [2, 3.5, 2])  # the mean use of a code, to be found
    kept = task().advance({}, buffers, {}, statistics, 0)
    np.testing.assert_allclose(kept[MODEL]["codebook"], codes, rtol=1e-5)


def test_the_share_of_codes_in_use_is_logged(want):
    assert 0 < want[1][1]["codes_in_use"] <= 1
    np.testing.assert_allclose(
        want[1][1]["loss"], want[1][1]["reconstruct"] + want[1][1]["quantize"], rtol=1e-5
    )


def terms_of(t: VqkdTask, params, buffers, rows) -> dict:
    """Sums of the terms, as training has them."""
    run = jax.jit(lambda *x: t.embed(*x, 0, {}).terms, compiler_options=QUICK)
    return {name: total for name, (total, _) in run(params, buffers, rows).items()}


def test_each_rank_has_a_kmeans_and_a_codebook_of_its_own():
    """As the official code on two processes: each begins with its own rows."""
    t = task(ranks=2)
    ((state, metrics),) = steps(t, number=1)
    books = state.buffers[MODEL]["codebook"], *state.buffers["other_codebooks"]
    assert np.abs(books[0] - books[1]).max() > 0.1
    assert np.isfinite(metrics["loss"])
    got = terms_of(t, state.params, state.buffers, batch())
    halves = [{name: x[rows] for name, x in batch().items()} for rows in np.split(np.arange(B), 2)]
    want = [
        terms_of(task(), {**state.params, "codebook": book}, {}, half)
        for book, half in zip(books, halves, strict=True)
    ]
    for name in ("reconstruct", "quantize"):
        np.testing.assert_allclose(got[name], want[0][name] + want[1][name], rtol=1e-5)


def test_evaluation_takes_the_models_parameters_alone(want):
    t, state = task(), want[1][0]
    params = whole(state.params, state.buffers)
    terms = terms_of(t, params, {}, batch())
    training = terms_of(t, state.params, state.buffers, batch())
    assert set(terms) == {"reconstruct", "quantize"}
    for name in terms:
        np.testing.assert_allclose(terms[name], training[name], rtol=1e-6)
    back = apart(params, state.buffers)
    jax.tree.map(np.testing.assert_array_equal, back, (state.params, state.buffers))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"decay": 1.0}, "decay=1.0 must be 0 or more, and less than 1"),
        ({"rounds": -1}, "rounds and restart must not be negative"),
        ({"restart": 0.1, "ranks": 2}, "restart is for one codebook; set ranks=1"),
    ],
)
def test_losses_that_cannot_be_are_refused(loss, message):
    with pytest.raises(UserError, match=message):
        VqkdTask.build({"preset": "tiny"}, loss)


def test_without_a_decoder_there_is_nothing_to_learn():
    with pytest.raises(UserError, match=r"config.model.features=0: without a decoder nothing"):
        VqkdTask.build({"preset": "tiny", "features": 0}, {})


def tower(**changes) -> BeitConfig:
    """A teacher without head: ten numbers a patch."""
    given = {"image_size": (9, 9), "patch": 3, "positions": ("absolute",), "codes": 0}
    return BeitConfig(replace(ENCODER, biases="qkv"), **(given | changes))


def constant(source: Pretrained) -> Constant:
    return Constant(source.tree, source.model, source.pixels.statistics)


def test_targets_are_the_teachers_patches():
    t, source = VqkdTask(replace(CONFIG, features=10), VqkdLoss()), trained(tower())
    rows = {name: x for name, x in batch().items() if name != "target"}
    prepared, _ = t.prepare({}, {}, rows, 0, None, {"teacher": constant(source)})
    want = constant(source)("patch_features", rows["image"])
    np.testing.assert_array_equal(prepared["target"], want)
    assert want.shape == (B, P, 10)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DVAE, "holds a Dvae, which has no vectors of patches; name a CLIP"),
        (tower(image_size=(12, 12)), r"looks at 12 x 12 pixels, the model at 9 x 9; set config"),
        (tower(patch=4), "has 4 patches, the model 9; set config.model.patch to the teacher's"),
        (tower(), "vectors of 10 numbers, the model predicts 7; set config.model.features=10"),
        (
            ClipConfig(replace(small.coca().vision, image_size=(9, 9)), small.TEXT, 10),
            "pooling='cascade' makes no vectors of single patches",
        ),
    ],
)
def test_teachers_that_do_not_fit_are_named(config, message):
    teacher = constant(trained(config))
    with pytest.raises(UserError, match=f"config.loss.teacher.*{message}"):
        task().prepare({}, {}, {"image": batch()["image"]}, 0, None, {"teacher": teacher})
