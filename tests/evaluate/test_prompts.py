"""Prompts and class names: sentences, files, lists of vlx and of open_clip, and what is refused."""

import sys

import pytest

from vlx.errors import UserError
from vlx.evaluate import prompts
from vlx.evaluate.prompts import TEMPLATES, read_class_names, read_templates


def published(read, *names):
    try:
        return read(*names)
    except UserError as error:
        pytest.skip(str(error))


def test_sentences_lists_and_files_add_up(tmp_path):
    (tmp_path / "mine.txt").write_text("my {}\n  our {}.\n")
    got = read_templates(("a {}!", "simple", str(tmp_path / "mine.txt")))
    assert got == ("a {}!", *TEMPLATES["simple"], "my {}", "our {}.")


def test_class_names_stand_one_on_each_line(tmp_path):
    (tmp_path / "names.txt").write_text("red fox\nwhale\n")
    assert read_class_names(str(tmp_path / "names.txt")) == ("red fox", "whale")


def test_the_published_lists_are_those_of_the_package():
    templates = published(read_templates, ["openai_imagenet"])
    names = published(read_class_names, "openai_imagenet")
    assert (len(templates), len(set(templates)), len(names)) == (80, 80, 1000)
    assert templates[0] == "a bad photo of a {}."
    assert (names[0], names[-1]) == ("tench", "toilet paper")
    assert len(read_templates(["openai_imagenet_simple"])) == 7
    assert not {"open_clip", "torch"} & set(sys.modules)


def test_without_the_package_its_lists_are_refused(monkeypatch):
    monkeypatch.setattr(prompts, "_open_clip_lists", lambda: None)
    with pytest.raises(UserError, match=r"'openai_imagenet' is in the package open_clip_torch"):
        read_templates(["openai_imagenet"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a {}\na photo\n", r"a\.txt line 2: 'a photo' has no '\{\}' for the class name"),
        ("\n", r"evaluate\.templates: .*a\.txt is empty; write one on each line"),
        ("\udcff", r"evaluate\.templates: .*a\.txt cannot be read as text: "),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=message):
        read_templates([str(tmp_path / "a.txt")])


@pytest.mark.parametrize(
    ("read", "name", "message"),
    [
        (lambda x: read_templates([x]), "simpl", r"templates: .* 'simpl'; did you mean 'simple'\?"),
        (read_class_names, "imagenet", r"class_names: .* 'imagenet'; did you mean 'openai_image"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(read, name, message):
    with pytest.raises(UserError, match=message):
        read(name)
