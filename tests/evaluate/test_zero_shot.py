"""Zero-shot classification: closed forms, ties, class names and prompts of a run."""

import numpy as np
import pytest
from evaluate.meshes import mesh

from vlx.errors import UserError
from vlx.evaluate import build_evaluators
from vlx.evaluate.zero_shot import accuracy, classifier

from tiny_run import NAMES, config, fresh_params, ready, write_pictures


def test_accuracy_counts_first_and_first_five():
    """Image i lies nearest to class 0, then 1, and so on."""
    classes, images = np.eye(7), np.tile(np.linspace(1, 0, 7), (7, 1))
    result = accuracy(images, classes, np.arange(7), mesh(2))
    assert result == {"top1": pytest.approx(1 / 7), "top5": pytest.approx(5 / 7), "chance": 1 / 7}


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_a_collapsed_model_is_no_better_than_guessing(value):
    same, classes = np.full((20, 3), value), np.full((10, 3), value)
    result = accuracy(same, classes, np.arange(20) % 10, mesh(8))
    assert result["top1"] <= 1 / 10
    assert result["top5"] <= 5 / 10


def test_a_class_is_the_mean_of_its_prompts_and_of_unit_length():
    prompts = np.array([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], float)
    np.testing.assert_allclose(classifier(prompts), [[0.5**0.5, 0.5**0.5], [0, 1]])


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zero_shot")
    pictures = write_pictures(folder / "pictures")

    def measure(**evaluate):
        evaluate = {"names": ("zero_shot",), "batch_size": 16} | evaluate
        setup = ready(folder / "run", config(pictures, evaluate=evaluate), devices=1)
        return build_evaluators(setup)["zero_shot"](fresh_params(setup))

    return measure


def test_prompts_and_names_are_those_of_the_data_unless_named(measure, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    (tmp_path / "prompts.txt").write_text("a photo of a {}.\n")
    same = measure(
        templates=(str(tmp_path / "prompts.txt"),), class_names=str(tmp_path / "names.txt")
    )
    assert same == measure()
    assert measure(templates=("simple",)).keys() == same.keys()


def test_names_that_do_not_fit_the_labels_are_refused(measure, tmp_path):
    (tmp_path / "names.txt").write_text("frog\nship\n")
    with pytest.raises(UserError, match=r"zero_shot has 2 class names, but .* the label [234];"):
        measure(class_names=str(tmp_path / "names.txt"))
