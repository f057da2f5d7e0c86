"""VLMo's task: what its losses read, negatives, and its settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tasks.reading import named_left_out, not_read
from tasks.stepping import KEY, RATE, assert_same, prepared, step_once

from vlx.errors import UserError
from vlx.layers.stack import Compute
from vlx.models.vlmo_config import HEADS
from vlx.parallel.mesh import MeshConfig, make_mesh
from vlx.tasks import build_task
from vlx.tasks.vlmo import FROZEN_BY_TEXTS, VlmoLoss, VlmoTask
from vlx.train import flops, optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition

import small_models as small

LOSSES = {
    "pairs": VlmoLoss(contrastive=1.0, matching=1.0, words=0.25),
    "contrastive": VlmoLoss(contrastive=1.0),
    "retrieval": VlmoLoss(contrastive=1.0, pair_branch=False),
    "matching": VlmoLoss(matching=1.0),
    "words": VlmoLoss(words=1.0),
    "texts": VlmoLoss(text_words=1.0),
    "answers": VlmoLoss(answers=1.0),
    "truth": VlmoLoss(truth=1.0),
    "two ranks": VlmoLoss(contrastive=1.0, matching=1.0, words=0.25, ranks=2),
}
BATCH = small.questions(2)
CHOSEN = {"image": {"image": BATCH["image"]}, "text": BATCH}


@pytest.mark.parametrize(
    ("loss", "positions"), [*((loss, "relative") for loss in LOSSES), ("pairs", "absolute")]
)
def test_left_out_is_exactly_what_the_loss_does_not_read(loss, positions):
    task = VlmoTask(small.vlmo(heads=HEADS, positions=positions), LOSSES[loss])
    batch = {name: BATCH[name] for name in task.fields}  # which are all that it reads
    assert named_left_out(task) == not_read(task, batch, CHOSEN)


def ready(batch=8, **settings):
    """A small task, parameters that are far from zero, and a batch."""
    changes = {"heads": HEADS} | settings.pop("model", {})
    task = VlmoTask(small.vlmo(**changes), VlmoLoss(**settings))
    shapes = jnp.zeros((1, 6, 9, 3)), jnp.zeros((1, small.LENGTH), jnp.int32)
    batch = {name: x for name, x in small.questions(batch).items() if name in task.fields}
    return task, small.parameters(task.model, *shapes), batch


PAIRS = {"contrastive": 1.0, "matching": 1.0, "words": 0.25}


def run(pieces=1, mesh=None, **settings):
    """Gradients and metrics of one step."""
    return step_once(*ready(**settings), pieces, mesh)


@pytest.fixture(scope="module")
def whole():
    return run(**PAIRS)


@pytest.mark.slow
def test_eight_devices_draw_the_same_negatives_and_find_the_same_gradient(whole):
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    assert_same(run(mesh=mesh, **PAIRS), whole, PAIRS)


def test_micro_batches_choose_from_the_whole_batch(whole):
    assert_same(run(pieces=4, **PAIRS), whole, PAIRS)


def test_unrolled_layers_train_alike(whole):
    assert_same(run(model={"compute": Compute(scan=False)}, **PAIRS), whole, PAIRS)


def test_frozen_parameters_cost_no_weight_gradients():
    """The language stage: attention and what images use stay, their gradients are not computed."""

    def cost(frozen):
        step, state, batch = prepared(*ready(text_words=1.0), frozen=frozen)
        return flops.count(step, state, batch, RATE, KEY)

    free, frozen = cost(()), cost(FROZEN_BY_TEXTS)
    tokens, width, layers = 8 * small.LENGTH, 10, 3
    assert free - frozen == 2 * tokens * 4 * width**2 * layers  # of query, key, value and out


def test_frozen_parameters_have_no_optimizer_memory():
    _, state, _ = prepared(*ready(text_words=1.0), frozen=FROZEN_BY_TEXTS)
    part = partition(state.params, (), FROZEN_BY_TEXTS)
    moments = optimizer.build(OptimizerConfig(), part).init(part.split(state.params)[0])
    paths = {str(path) for path, _ in jax.tree_util.tree_leaves_with_path(moments)}
    assert any("text/mlp" in path for path in paths)
    assert not any("attention/" in path or "image/" in path for path in paths)


def test_padding_changes_nothing():
    task = VlmoTask(small.vlmo(heads=HEADS), VlmoLoss(contrastive=1.0, words=1.0, answers=1.0))
    shapes = jnp.zeros((1, 6, 9, 3)), jnp.zeros((1, small.LENGTH), jnp.int32)
    params, batch = small.parameters(task.model, *shapes), small.questions(5)
    more = {name: np.concatenate([x, x[:2]]) for name, x in batch.items()}
    more["weight"] = np.float32([1, 1, 1, 1, 1, 0, 0])

    @jax.jit
    def terms(batch):
        own = task.embed(params, {}, batch, 0, {})
        return own.terms | task.couple(params, {}, own.coupled, 0, KEY)[0]

    got, want = terms(more), terms(batch)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5)


def test_shorter_texts_need_no_padding():
    task = VlmoTask(small.vlmo(heads=HEADS), VlmoLoss(answers=1.0))
    shapes = jnp.zeros((1, 6, 9, 3)), jnp.zeros((1, small.LENGTH), jnp.int32)
    params, batch = small.parameters(task.model, *shapes), small.questions(3)
    text = np.where(np.arange(small.LENGTH) < 3, batch["text"], 0)
    image = batch["image"].astype(np.float32) / 255

    @jax.jit
    def answer(text):
        return task.model.apply({"params": params}, image, text, method="answer")

    np.testing.assert_allclose(answer(text[:, :3]), answer(text), rtol=1e-4, atol=1e-5)


def test_sections_build_the_same_task():
    task = build_task("vlmo", {"preset": "large", "image_size": 384}, {"truth": 1.0})
    assert build_task("vlmo", **task.sections()) == task
    assert (task.image_size, task.config.heads) == ((384, 384), ("truth",))


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        ({"preset": "bsae"}, {"words": 1.0}, "config.model.preset='bsae' is unknown; did you mean"),
        ({"preset": "base"}, {}, "all weights are 0; give one of contrastive, matching"),
        ({"preset": "base"}, {"word": 1.0}, "did you mean 'words'"),
        ({"preset": "base", "heads": ("words",)}, {"answers": 1.0}, "needs the heads answers; add"),
        ({"preset": "base", "heads": ("word",)}, {"words": 1.0}, "heads: .'word'. unknown"),
        ({"preset": "base", "positions": "sine"}, {"words": 1.0}, "positions='sine': choose from"),
        ({"preset": "base", "text_length": 200}, {"words": 1.0}, "text_length=200 exceeds longest"),
        ({"preset": "base"}, {"contrastive": 1.0, "exchange": "mail"}, "exchange='mail'"),
    ],
)
def test_refuses(model, loss, message):
    with pytest.raises(UserError, match=message):
        build_task("vlmo", model, loss)


def test_matching_needs_another_example():
    with pytest.raises(UserError, match=r"needs negatives: set batch.size=2"):
        run(batch=1, **PAIRS)
