"""BEiT-3's tasks: what their losses read, groups of a batch, hard captions, and their settings."""

import jax.numpy as jnp
import numpy as np
import pytest
from tasks.reading import named_left_out, not_read
from tasks.stepping import assert_same, step_once

from vlx.errors import UserError
from vlx.models.beit3_config import HEADS
from vlx.objectives.masked_captions import smoothed_divergence, without_worst
from vlx.parallel.mesh import MeshConfig, make_mesh
from vlx.tasks import build_task
from vlx.tasks.beit3 import TERMS, Beit3Loss, Beit3Task
from vlx.tasks.beit3_pretraining import MaskedLoss, MaskedTask

import small_models as small

PATCHES, CODES = 6, 8
# What runs and is not read does decay: the last norm of the tokens that no head looks at.
UNREAD = {
    "captions": {"norm/image/scale", "norm/image/bias"},
    "pair_words": {"norm/image/scale", "norm/image/bias"},
    "pair_codes": {"norm/text/scale", "norm/text/bias"},
}


def masked(batch: int, seed: int) -> dict:
    """A batch with gaps in images and texts, and the codes of patches."""
    rng = np.random.default_rng(seed)
    hidden = rng.random((batch, PATCHES)) < 0.4
    hidden[:, 0] = True
    codes = rng.integers(0, CODES, (batch, PATCHES)).astype(np.int32)
    return small.questions(batch, seed) | {"patch_mask": hidden, "codes": codes}


def groups(sizes: dict, task) -> dict:
    """A batch of the task's groups, with codes in place of what a tokenizer sees."""
    found = {}
    for seed, (name, size) in enumerate(sizes.items()):
        fields = {*task.parts[name].fields, "codes"} - {"target_image"}
        found[name] = {x: value for x, value in masked(size, seed).items() if x in fields}
    return found


def pretraining(apart=True, **weights) -> MaskedTask:
    config = small.beit3(apart, heads=("words", "codes"), codes=CODES)
    return MaskedTask(config, MaskedLoss(**weights))


def parameters(task):
    inputs = jnp.zeros((1, 6, 9, 3)), jnp.zeros((1, small.LENGTH), jnp.int32)
    return small.parameters(task.model, *inputs)


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("term", TERMS)
def test_left_out_is_exactly_what_never_runs(term, apart):
    final = term not in ("answers", "classes")
    config = small.beit3(apart, heads=HEADS, codes=CODES, classes=5, answers=4, final_norm=final)
    task = Beit3Task(config, Beit3Loss(**{term: 1.0}))
    batch = masked(2, 0)
    runs_unread = UNREAD.get(term, set()) if apart else set()
    fields = {name: batch[name] for name in task.fields}
    assert named_left_out(task) == not_read(task, fields) - runs_unread


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(
    "terms",
    [("text_words",), ("pair_words",), ("pair_codes",), ("image_codes", "text_words"), ()],
    ids=lambda terms: "+".join(terms) or "all",
)
def test_left_out_of_pretraining_is_what_no_group_reads(terms, apart):
    weights = {name: 0.0 for name in ("image_codes", "text_words", "pair_codes", "pair_words")}
    task = pretraining(apart, **(weights | dict.fromkeys(terms, 1.0) if terms else {}))
    batch = groups(dict.fromkeys(task.parts, 2), task)
    runs_unread = UNREAD.get(terms[0], set()) if terms and apart else set()
    assert named_left_out(task) == not_read(task, batch) - runs_unread


SIZES = {"image": 8, "text": 16, "pair": 8}
NAMES = ("image_codes", "text_words", "pair_codes", "pair_words")


@pytest.fixture(scope="module")
def whole():
    task = pretraining()
    return step_once(task, parameters(task), groups(SIZES, task))


def test_eight_devices_take_the_same_step_over_groups(whole):
    task, mesh = pretraining(), make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    assert_same(step_once(task, parameters(task), groups(SIZES, task), mesh=mesh), whole, NAMES)


def test_groups_are_cut_into_micro_batches_each_by_itself(whole):
    task = pretraining()
    assert_same(step_once(task, parameters(task), groups(SIZES, task), 4), whole, NAMES)


def test_divergence_from_smoothed_labels():
    """As defined, in float64; zero where the model says just that."""
    rng = np.random.default_rng(0)
    logits, label = rng.standard_normal((3, 7)), np.array([0, 6, 2])
    target = np.full((3, 7), 0.1 / 6)
    target[np.arange(3), label] = 0.9
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    want = np.sum(target * np.log(target / share), axis=1)
    np.testing.assert_allclose(smoothed_divergence(logits, label, 0.1), want, rtol=1e-5)
    least = smoothed_divergence(np.log(target), label, 0.1)
    np.testing.assert_allclose(least, 0, atol=1e-6)


@pytest.mark.parametrize("ratio", [0.2, 0.5])
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_largest_losses_are_dropped(ratio, ranks):
    rng = np.random.default_rng(1)
    loss, counted = rng.random((4, 6)).astype(np.float32), rng.random((4, 6)) < 0.7

    def mean(rows):
        values = np.sort(loss[rows][counted[rows]])
        return values[: int(len(values) * (1 - ratio))].mean()

    want = np.mean([mean(rows) for rows in np.split(np.arange(4), ranks)])
    total, count = without_worst(loss, counted, ratio, jnp.asarray(True), ranks)
    assert total / count == pytest.approx(want, rel=1e-6)
    total, count = without_worst(loss, counted, ratio, jnp.asarray(False), 1)
    assert total / count == pytest.approx(loss[counted].mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("task", "loss", "message"),
    [
        ("beit3", {}, "all weights are 0; give one of contrastive, captions"),
        ("beit3", {"answers": 1.0, "truth": 1.0}, "answers, truth do not go together"),
        ("beit3", {"captions": 1.0, "drop_worst": 1.0}, "drop_worst and label_smoothing must be"),
        ("beit3_pretraining", dict.fromkeys(NAMES, 0.0), "all weights are 0"),
    ],
)
def test_what_cannot_be_trained_is_refused(task, loss, message):
    with pytest.raises(UserError, match=message):
        build_task(task, {"preset": "tiny"}, loss)


def test_heads_that_a_loss_needs_are_asked_for():
    with pytest.raises(UserError, match=r"needs the heads captions; add them to config.model"):
        build_task("beit3", {"preset": "tiny", "heads": ("answers",)}, {"captions": 1.0})


def test_a_head_that_norms_by_itself_has_no_norm_before_it():
    made = {
        term: build_task("beit3", {"preset": "tiny"}, {term: 1.0}).config.final_norm
        for term in TERMS
    }
    assert made == {
        "contrastive": True, "captions": True, "answers": False, "truth": True, "classes": False,
    }  # fmt: skip
