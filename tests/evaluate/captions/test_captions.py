"""Caption metrics together: from written captions to one value an image."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from vlx.errors import UserError
from vlx.evaluate.captions import DEFAULT, METRICS, score_captions, score_tokenized, tokenize

CANDIDATES = ["A dog, running.", "Two cats sleep!", "A red bus"]
REFERENCES = [["A dog runs.", "The dog's running."], ["Two cats; asleep"], ["It's a red bus."]]


def test_written_captions_are_tokenised_first():
    got = score_captions(CANDIDATES, REFERENCES)
    want = score_tokenized(tokenize(CANDIDATES), [tokenize(texts) for texts in REFERENCES])
    assert list(got) == [*(f"bleu_{k}" for k in (1, 2, 3, 4)), "rouge_l", "cider_d"]
    for name, score in got.items():
        assert score.corpus == want[name].corpus
        np.testing.assert_array_equal(score.each, want[name].each)


def test_values_go_with_their_images():
    got = score_captions(CANDIDATES, REFERENCES)
    other = score_captions(CANDIDATES[::-1], REFERENCES[::-1])
    for name, score in got.items():
        assert score.corpus == pytest.approx(other[name].corpus)
        np.testing.assert_allclose(score.each, other[name].each[::-1])


def test_only_what_is_asked_for_is_computed():
    assert list(score_captions(CANDIDATES, REFERENCES, ["rouge_l"])) == ["rouge_l"]


def test_java_is_not_needed_by_default():
    assert set(METRICS) - set(DEFAULT) == {"meteor", "spice"}


def test_an_unknown_metric_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"'cider'; did you mean 'cider_d'\?"):
        score_captions(CANDIDATES, REFERENCES, ["cider"])


@pytest.mark.parametrize("count", [0, 2])
def test_one_caption_an_image_is_asked_for(count):
    with pytest.raises(UserError, match=rf"{count} captions .* 3 images; give one caption for"):
        score_captions(CANDIDATES[:count], REFERENCES)


def test_an_image_without_references_is_named():
    with pytest.raises(UserError, match=r"Image 1 has no reference .* give one, or leave"):
        score_captions(CANDIDATES, [["a"], [], ["b"]])


@pytest.mark.parametrize("metric", ["meteor", "spice"])
def test_java_metrics_ask_for_java(metric, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=rf"{metric} is a Java program, .* install a Java runtime"):
        score_captions(CANDIDATES, REFERENCES, [metric])


@pytest.mark.skipif(not shutil.which("java"), reason="Java is asked for first")
@pytest.mark.skipif(find_spec("pycocoevalcap") is not None, reason="the package is there")
@pytest.mark.parametrize("metric", ["meteor", "spice"])
def test_java_metrics_ask_for_their_package(metric):
    with pytest.raises(UserError, match=rf"{metric} needs .* pip install 'vlx\[captions\]', or"):
        score_captions(CANDIDATES, REFERENCES, [metric])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exception ignored")  # the package leaves its pipes open
def test_meteor_is_that_of_the_official_evaluation():
    pytest.importorskip("pycocoevalcap")
    path = Path(__file__).parents[2] / "golden" / "metrics" / "captions_small.json"
    case = json.loads(path.read_text())
    inputs, want = case["inputs"], case["outputs"]["meteor"]
    got = score_captions(inputs["candidates"], inputs["references"], ["meteor"])["meteor"]
    np.testing.assert_allclose(got.each, want["each"], rtol=1e-6)
    assert got.corpus == pytest.approx(want["corpus"], rel=1e-6)


def test_spice_asks_for_its_parser():
    package = pytest.importorskip("pycocoevalcap")
    if any((Path(package.__path__[0]) / "spice/lib").glob("stanford-corenlp-*-models.jar")):
        pytest.skip("the parser is there")
    with pytest.raises(UserError, match=r"Stanford parser; fetch it .* or leave the metric out"):
        score_captions(CANDIDATES, REFERENCES, ["spice"])
