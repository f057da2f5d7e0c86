"""Examples hold what a task asks for; what a record cannot give is told with its place."""

from dataclasses import replace

import numpy as np
import pytest
from data.pictures import encoded, picture

from vlx.data import (
    Answers,
    DataConfig,
    TokenizerConfig,
    build_transforms,
    evaluation_batches,
    train_batches,
)
from vlx.data.augment import evaluation_resize
from vlx.data.masks import PatchMaskConfig
from vlx.data.tokenizers import ClipTokenizer, WordPieceTokenizer
from vlx.data.views import training_views
from vlx.errors import UserError

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", "dog", "##s", "is", "blue"]
CONFIG = DataConfig(flip=True, target_size=5, patch_mask=PatchMaskConfig(5, 2), threads=0)
LENGTH, SIZE, GRID = 11, 13, (3, 5)
FIELDS = {
    "image": ("uint8", (13, 13, 3)),
    "second_image": ("uint8", (13, 13, 3)),
    "target_image": ("uint8", (5, 5, 3)),
    "text": ("int32", (11,)),
    "text_mask": ("bool", (11,)),
    "masked_text": ("int32", (11,)),
    "masked": ("bool", (11,)),
    "patch_mask": ("bool", (15,)),
    "label": ("int32", ()),
    "answer_scores": ("float32", (3,)),
    "weight": ("float32", ()),
}


ANSWERS = Answers(("yes", "no", "two"))


class Records:
    """As many records as there are numbers, each of two pictures."""

    class_names = ()

    def __init__(self, *left_out):
        self.left_out = left_out

    def __len__(self):
        return 7

    def __getitem__(self, index):
        record = {
            "image": picture(index, 19, 23),
            "second_image": encoded(picture(index + 50, 17, 29)),
            "captions": ("a man is a dog", "men is a blue dogs"),
            "answers": ("yes", "yes", "no", "maybe"),
            "label": index,
            "id": f"records.json line {index + 1}",
        }
        return {key: value for key, value in record.items() if key not in self.left_out}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("".join(f"{piece}\n" for piece in PIECES))
    return WordPieceTokenizer(str(path))


@pytest.fixture
def transforms(tokenizer):
    def build(*fields, **settings):
        lengths = TokenizerConfig(length=LENGTH)
        config = replace(CONFIG, **settings)
        return build_transforms(config, lengths, tokenizer, SIZE, fields, GRID, ANSWERS)

    return build


def described(example):
    return {name: (value.dtype.name, value.shape) for name, value in example.items()}


def test_every_field_is_as_documented(transforms):
    train, evaluate = transforms(*FIELDS)
    assert described(train(Records()[3], np.random.default_rng(0))) == FIELDS
    assert described(evaluate(Records()[3])) == FIELDS


@pytest.mark.parametrize("field", FIELDS)
def test_training_makes_the_wanted_fields_alone(transforms, field):
    train, evaluate = transforms(field)
    example = train(Records()[3], np.random.default_rng(0))
    assert example.keys() == {field, "weight"}
    assert evaluate(Records()[3]).keys() == {field, "weight", "label"}


def test_values_are_those_of_the_record(transforms, tokenizer):
    example = transforms(*FIELDS)[1](Records()[3])
    first = evaluation_resize(picture(3, 19, 23), SIZE)
    np.testing.assert_array_equal(example["image"], first)
    second = evaluation_resize(picture(53, 17, 29), SIZE)
    np.testing.assert_array_equal(example["second_image"], second)
    target = evaluation_resize(picture(3, 19, 23), 5, interpolation="lanczos")
    np.testing.assert_array_equal(example["target_image"], target)
    np.testing.assert_array_equal(example["text"], tokenizer.encode("a man is a dog", LENGTH))
    np.testing.assert_array_equal(example["text_mask"], example["text"] != tokenizer.pad)
    np.testing.assert_array_equal(example["answer_scores"], np.float32([0.6, 0.3, 0]))
    assert (example["label"], example["weight"]) == (3, 1)
    kept = ~example["masked"]
    np.testing.assert_array_equal(example["masked_text"][kept], example["text"][kept])


def test_caption_and_picture_are_drawn_before_all_else(transforms, tokenizer):
    """A run that asked for less saw the same pixels: old runs go on as they were."""
    record = Records()[3]
    for seed in range(6):
        rng = np.random.default_rng(seed)
        caption = record["captions"][rng.integers(2)]
        (image,) = training_views(record["image"], SIZE, replace(CONFIG, target_size=0), rng)
        for fields in (("image", "text"), FIELDS):
            example = transforms(*fields)[0](record, np.random.default_rng(seed))
            np.testing.assert_array_equal(example["image"], image)
            np.testing.assert_array_equal(example["text"], tokenizer.encode(caption, LENGTH))


def test_an_examples_generator_decides_alone(transforms):
    train, _ = transforms(*FIELDS, augment="randaugment", jitter=0.4)
    first, second, other = (train(Records()[3], np.random.default_rng(n)) for n in (0, 0, 1))
    for name in FIELDS:
        np.testing.assert_array_equal(first[name], second[name])
    for name in ("image", "second_image", "target_image", "patch_mask"):
        assert not np.array_equal(first[name], other[name])


def test_evaluation_masks_depend_on_the_record_alone(transforms):
    _, evaluate = transforms("masked_text", "masked", "patch_mask")
    assert described(evaluate(Records()[0])).keys() >= {"masked_text", "patch_mask"}
    first, again = (
        [evaluate(Records()[n]) for n in order] for order in (range(7), reversed(range(7)))
    )
    for one, other in zip(first, reversed(again), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert len({example["patch_mask"].tobytes() for example in first}) > 3


def test_words_need_no_pictures_and_pictures_no_words(transforms):
    words, _ = transforms("text", "masked_text")
    got = words(Records("image", "second_image")[0], np.random.default_rng(0))
    assert got.keys() == {"text", "masked_text", "weight"}
    pictures, evaluate = transforms("image", "patch_mask")
    record = Records("captions")[0] | {"captions": ()}
    assert pictures(record, np.random.default_rng(0))["image"].shape == (SIZE, SIZE, 3)
    assert evaluate(record)["image"].shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("field", "key", "message"),
    [
        ("image", "image", "no image, which the task needs; take data with pictures"),
        ("second_image", "second_image", r"no second image, .*; .* set data\.second_image_column"),
        ("text", "captions", r"no text, which the task needs; set data\.text_column"),
        ("masked", "captions", r"no text, which the task needs; set data\.text_column"),
        ("label", "label", r"no label, which the task needs; set data\.label_column"),
        ("answer_scores", "answers", r"no answers, which the task needs; set data\.answers_column"),
    ],
)
def test_what_a_record_lacks_is_told_with_its_place(transforms, field, key, message):
    train, evaluate = transforms(field)
    place = rf"^records\.json line \d: the record has {message}"
    with pytest.raises(UserError, match=place):
        next(train_batches(Records(key), train, 2, 0, CONFIG))
    if key not in ("label", "answers"):
        with pytest.raises(UserError, match=place):
            next(evaluation_batches(Records(key), evaluate, 2, CONFIG))


def test_evaluation_goes_without_labels_that_a_split_keeps_secret(transforms):
    _, evaluate = transforms("image", "label", "answer_scores")
    assert evaluate(Records("label", "answers")[0]).keys() == {"image", "weight"}


@pytest.mark.parametrize(
    ("fields", "settings", "message"),
    [
        (("target_image",), {"target_size": 0}, r"data\.target_size=0, but the task reads second"),
        (("patch_mask",), {"patch_mask": PatchMaskConfig(15)}, "patches=15 .* 3 x 5 .*; 6 are 40"),
    ],
)
def test_what_settings_cannot_give_is_refused_at_once(transforms, fields, settings, message):
    with pytest.raises(UserError, match=message):
        transforms(*fields, **settings)


def test_a_vocabulary_without_mask_is_refused_at_once():
    tokenizer, lengths = ClipTokenizer("any"), TokenizerConfig("clip_bpe", length=LENGTH)
    with pytest.raises(UserError, match=r"tokenizer\.name='clip_bpe' has no mask token"):
        build_transforms(CONFIG, lengths, tokenizer, SIZE, ("masked_text",))


def test_batches_of_all_fields_are_stacked_and_padded(transforms):
    _, evaluate = transforms(*FIELDS)
    with evaluation_batches(Records(), evaluate, 4, CONFIG) as batches:
        last = list(batches)[-1]
    assert last["weight"].tolist() == [1, 1, 1, 0]
    assert described(last) == {n: (kind, (4, *shape)) for n, (kind, shape) in FIELDS.items()}
