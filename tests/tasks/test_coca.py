"""CoCa's task: what its loss reads, and its settings."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest
from tasks.reading import named_left_out, not_read

from vlx.errors import UserError
from vlx.layers.bert import BertConfig, BertTextConfig
from vlx.models.coca import CONFIGS, DecoderConfig
from vlx.tasks import build_task
from vlx.tasks.coca import CocaLoss, CocaTask, configure
from vlx.train.partition import flatten

import small_models as small

BERT = BertTextConfig(
    BertConfig(small.VOCABULARY, width=10, layers=2, heads=2, hidden=7, positions=11), length=5
)
AFTER = replace(small.PAPER["pooler"], norm_after=True)
BEFORE = replace(small.PAPER["pooler"], norm_after=False)


def vision(pooling, **changes):
    return {"vision": replace(small.VISION, pooling=pooling, **{"pooler": AFTER} | changes)}


def no_class(**changes):
    return {"text": replace(small.TEXT, mask="none", pooling="argmax", **changes)}


MODELS = {
    "cascade": {},
    "cascade, norms before": vision("cascade", pooler=BEFORE),
    "parallel": vision("parallel"),
    "parallel, norms before": vision("parallel", pooler=BEFORE),
    "shared queries": vision("shared_queries"),
    "class token": vision("tok", input_norm=False),
    "class token, norm after": vision("tok", norm_after_pooling=True),
    "mean": vision("avg"),
    "no projections": vision("avg", projection=False)
    | {"text": replace(small.TEXT, projection=False)},
    "argmax": no_class(),
    "argmax, tokens normalised": no_class(norm_tokens=True),
    "class token, tokens normalised": {"text": replace(small.TEXT, norm_tokens=True)},
    "bert": {"text": BERT},
    "tied": {"decoder": DecoderConfig(small.TOWER, small.VOCABULARY, tie_embeddings=True)},
    "with bias": {"logit_bias": 0.0},
    "separate": {"decoder": DecoderConfig(small.TOWER, small.VOCABULARY, "separate_mlp")},
}
LOSSES = {
    "both": CocaLoss(),
    "captioning": CocaLoss(0.0, 1.0),
    "contrastive": CocaLoss(1.0, 0.0),
    "sigmoid": CocaLoss(form="sigmoid"),
    "two ranks": CocaLoss(ranks=2),
    "two ranks, captioning": CocaLoss(0.0, 1.0, ranks=2),
}
CASES = [
    (model, loss)
    for model in MODELS
    for loss in LOSSES
    if (model == "with bias" or loss in ("captioning", "contrastive", "both"))
    and not (loss == "both" and model in ("separate", "tied"))
]


BATCH = small.pairs(2)


@pytest.mark.parametrize(("model", "loss"), CASES, ids=lambda x: x)
def test_left_out_is_exactly_what_the_loss_does_not_read(model, loss):
    task = CocaTask(small.coca(**MODELS[model]), LOSSES[loss])
    assert named_left_out(task) == not_read(task, BATCH)


def test_layer_groups_cover_the_towers_but_poolers():
    task = CocaTask(small.coca(vision=small.VISION), CocaLoss())
    paths = flatten(jax.eval_shape(task.init, jax.random.key(0))[0])
    for name, groups in task.layer_groups.items():
        patterns = (groups.embeddings, groups.stack, groups.last, groups.head)
        for path in (p for p in paths if p.startswith(f"{name}/")):
            assert sum(bool(re.fullmatch(q, path)) for q in patterns) == 1, path


class TestTerms:
    task = CocaTask(small.coca(), CocaLoss(), pixels="inception")
    params = small.parameters(task.model, small.pixels(1), small.words(1))
    batch = small.pairs(5)

    def terms(self, batch):
        @jax.jit
        def run(params, batch):
            out = self.task.embed(params, {}, batch, 0, {})
            return out.terms | self.task.couple(params, {}, out.coupled, 0, jax.random.key(0))[0]

        return run(self.params, batch)

    def same(self, got, want):
        for name in ("contrastive", "captioning"):
            np.testing.assert_allclose(got[name], want[name], rtol=1e-5)

    def test_bytes_and_their_normalised_pixels_are_alike(self):
        floats = (self.batch["image"] / np.float32(255) - 0.5) / 0.5
        self.same(self.terms(self.batch | {"image": floats}), self.terms(self.batch))

    def test_padding_changes_nothing(self):
        more = {name: np.concatenate([x, x[:2]]) for name, x in self.batch.items()}
        more["weight"] = np.float32([1, 1, 1, 1, 1, 0, 0])
        self.same(self.terms(more), self.terms(self.batch))


def test_sections_build_the_same_task():
    task = build_task("coca", {"preset": "base", "text_length": 13}, {"captioning": 0.5})
    again = build_task("coca", **task.sections())
    assert again == task
    assert (again.text_length, again.weights["captioning"]) == (13, 0.5)


def test_short_names_reach_every_place():
    c = configure({"preset": "tiny", "image_size": 32, "vocabulary": 500, "text_length": 7})
    assert (c.vision.image_size, c.text.length) == ((32, 32), 7)
    assert (c.text.vocabulary, c.decoder.vocabulary) == (500, 500)
    assert configure({"preset": "tiny"}) == CONFIGS["tiny"]


def test_the_vocabulary_is_what_both_ends_take():
    assert build_task("coca", {"preset": "coca_roberta-ViT-B-32"}, {}).vocabulary == 49408


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        ({"preset": "bsae"}, {}, "config.model.preset='bsae' is unknown; did you mean 'base'"),
        ({"preset": "tiny", "heads": 2}, {}, "config.model.heads is unknown"),
        ({"preset": "tiny"}, {"captoning": 1.0}, "did you mean 'captioning'"),
        ({"preset": "tiny"}, {"form": "hinge"}, "form='hinge': choose from .*softmax.*sigmoid"),
        ({"preset": "tiny"}, {"negatives": "local"}, "needs ranks > 1"),
        (
            {"preset": "tiny"},
            {"negatives": "local", "ranks": 2, "form": "sigmoid"},
            "sigmoid loss has no local negatives",
        ),
        ({"preset": "tiny"}, {"form": "sigmoid"}, "needs a bias: set config.model.logit_bias=-10"),
        (
            {"preset": "tiny"},
            {"contrastive": 0.0, "captioning": 0.0},
            "config.loss: contrastive and captioning are both 0",
        ),
    ],
)
def test_refuses(model, loss, message):
    with pytest.raises(UserError, match=message):
        build_task("coca", model, loss)


def test_an_unknown_task_suggests_the_nearest():
    with pytest.raises(UserError, match=r"config.task='cocoa' is unknown; did you mean 'coca'\?"):
        build_task("cocoa", {}, {})
