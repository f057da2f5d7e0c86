"""Second looks at the best candidates: by hand, against the whole matrix, and in a run."""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from data.pictures import encoded, picture, write_jsonl
from evaluate.meshes import mesh, unit

from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.ranks import ranks
from vlx.evaluate.reranking import best, reranked
from vlx.evaluate.retrieval import recall, recall_reranked
from vlx.tasks.coca import CocaTask

from small_models import parameters
from tiny_run import config, ready, write_pictures


@pytest.mark.parametrize("devices", [1, 8])
def test_the_best_are_found_in_order(devices):
    queries, candidates = unit(21, 7), unit(150, 7, seed=1)
    candidates[40] = candidates[90]  # equals: the earlier first
    place, similarity = best(queries, candidates, 150, mesh(devices))
    want = np.argsort(-similarity_of(queries, candidates), axis=1, kind="stable")
    equal = np.isin(place, (40, 90))
    np.testing.assert_array_equal(
        np.where(equal, 0, place), np.where(np.isin(want, (40, 90)), 0, want)
    )
    assert (place[equal].reshape(-1, 2) == (40, 90)).all()
    np.testing.assert_allclose(
        similarity, np.take_along_axis(queries @ candidates.T, place, 1), atol=1e-6
    )


def similarity_of(queries, candidates):
    return queries.astype(np.float64) @ candidates.astype(np.float64).T


def test_few_candidates_are_all_the_best():
    place, _ = best(unit(3, 5), unit(2, 5, seed=1), 9, mesh())
    assert place.shape == (3, 2)


def test_by_hand():
    """Four queries of three best: one rises, one falls, one is not among them, one is undefined."""
    similarity = np.tile([0.9, 0.5, 0.1], (4, 1))
    logit = np.array([[0, 0, 5], [0, 1, 2], [3, 2, 1], [0, np.nan, 0]])
    right = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]], bool)
    got = reranked(np.array([2, 0, 7, 0]), similarity, logit, right)
    np.testing.assert_array_equal(got, [0, 2, 7, 1])


def test_equals_keep_their_order():
    same = np.zeros((1, 3))
    got = [
        reranked(np.array([n]), same, same, np.eye(3, dtype=bool)[n : n + 1])[0] for n in range(3)
    ]
    assert got == [0, 1, 2]


@pytest.mark.parametrize("most", [1, 4, 17])
@pytest.mark.parametrize("devices", [1, 8])
def test_it_is_the_order_of_the_whole_matrix(most, devices):
    """Logit and similarity for the best; for all others -100 and similarity."""
    images, owner = unit(11, 6), np.random.default_rng(0).integers(0, 11, 17)
    texts = unit(17, 6, seed=1)
    logits = 3 * np.random.default_rng(2).standard_normal((11, 17))
    asked = []

    def match(pairs):
        asked.append(len(pairs))
        return logits[pairs[:, 0], pairs[:, 1]]

    got = recall_reranked(images, texts, owner, match, most, mesh(devices))
    assert asked == [11 * most, 17 * min(most, 11)]
    cosine, wanted = images @ texts.T, np.arange(11)[:, None] == owner
    for way, order, both, right in (
        ("image_to_text", cosine, logits, wanted),
        ("text_to_image", cosine.T, logits.T, wanted.T),
    ):
        inside = np.argsort(np.argsort(-order, axis=1), axis=1) < most
        score = np.where(inside, both, -100) + order
        hits = [np.mean([r[np.argsort(-s)[:k]].any() for s, r in zip(score, right, strict=True)])
                for k in (1, 5, 10)]  # fmt: skip
        values = [got[f"{way}_r{k}_reranked"] for k in (1, 5, 10)]
        assert values == pytest.approx(hits)


def test_a_matcher_that_says_nothing_changes_nothing():
    images, texts = unit(30, 5), unit(30, 5, seed=1)
    plain = recall(images, texts, np.arange(30), mesh())
    again = recall_reranked(images, texts, np.arange(30), lambda p: np.zeros(len(p)), 8, mesh())
    assert {f"{name}_reranked": x for name, x in plain.items() if name != "chance"} == again
    image = np.arange(30)
    assert (ranks(images, image, texts, image, mesh()) >= 8).any()  # some are not looked at again


class Matcher(nn.Module):
    """Embeddings of random directions, and a matcher that knows which text is which picture's."""

    def setup(self):
        self.image = nn.Dense(6)
        self.text = nn.Embed(64, 6)

    def encode_image(self, image):
        return unit_length(self.image(image.mean(axis=1).reshape(len(image), -1)))

    def encode_text(self, text):
        return unit_length(self.text(text).mean(axis=1))

    def match(self, image, text):
        number = jnp.round((image[:, 0, 0, 0] + 1) * 127.5)
        return jnp.where(jnp.sum(text == number[:, None].astype(int), axis=1) > 0, 9.0, -9.0)

    def __call__(self, image, text):
        return self.encode_image(image), self.encode_text(text), self.match(image, text)


def unit_length(x):
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


@dataclass(frozen=True)
class MatchingTask(CocaTask):
    pixels: str = "inception"

    @property
    def model(self):
        return Matcher()


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    """Measures a run whose text number n holds a token n, the red value of its picture."""
    folder = tmp_path_factory.mktemp("reranking")
    rows = []
    for n in range(40, 53):
        (folder / f"{n}.png").write_bytes(encoded(picture(n, 16, 16)))
        rows += [{"image": f"{n}.png", "text": f"words about picture {n}", "split": split}
                 for split in ("train", "val")]  # fmt: skip
    write_jsonl(folder / "list.jsonl", rows)

    def measure(devices: int = 1, **evaluate):
        data = {"source": "jsonl", "path": str(folder), "threads": 0}
        settings = {"names": ("retrieval",), "batch_size": 8} | evaluate
        setup = ready(folder / "run", config(folder, data=data, evaluate=settings), devices)
        vars(setup)["task"] = MatchingTask(setup.task.config, setup.task.loss)
        vars(setup)["tokenizer"] = Numbered(setup.tokenizer)
        image, text = jnp.zeros((1, 16, 16, 3)), jnp.zeros((1, 12), jnp.int32)
        return build_evaluators(setup)["retrieval"](parameters(setup.task.model, image, text))

    return measure


class Numbered:
    """A tokenizer whose first token is the last word, a number."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)

    def encode(self, text, length):
        ids = np.full(length, self._tokenizer.pad, np.int32)
        ids[0] = int(text.split()[-1])
        return ids


@pytest.mark.parametrize("devices", [1, 8])
def test_a_run_is_matched(measure, devices):
    result = measure(devices, rerank=13)
    assert result["image_to_text_r1"] < 1
    for way in ("image_to_text", "text_to_image"):
        assert result[f"{way}_r1_reranked"] == result[f"{way}_mean_reranked"] == 1
        assert f"{way}_r1_reranked" in result.intervals
    few = measure(devices, rerank=5)
    assert few["image_to_text_r1_reranked"] == pytest.approx(result["image_to_text_r5"])
    assert not any("reranked" in name for name in measure(devices))


def test_a_model_that_matches_nothing_is_refused(tmp_path):
    settings = {"names": ("retrieval",), "batch_size": 8, "rerank": 3}
    setup = ready(tmp_path / "run", config(write_pictures(tmp_path), evaluate=settings), 1)
    with pytest.raises(
        UserError, match=r"evaluate.rerank=3 needs a model that matches .*Coca does"
    ):
        build_evaluators(setup)["retrieval"](None)
    with pytest.raises(UserError, match="rerank=-1 must be 0 or more"):
        config(tmp_path, evaluate={"rerank": -1})
