"""Policies of random augmentation: how often, how much, and what a training view becomes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from data.pictures import picture
from PIL import Image

from vlx.data import DataConfig
from vlx.data.augment import crop_and_resize, draw_box
from vlx.data.operations import OPERATIONS
from vlx.data.picture_operations import INCREASING_OPERATIONS, PICTURE_OPERATIONS
from vlx.data.random_augment import (
    AUGMENTATIONS,
    POOL,
    apply,
    draw_increasing_augment,
    draw_jitter,
    draw_picture_augment,
    draw_random_augment,
)
from vlx.data.views import training_views
from vlx.errors import UserError

DRAWS = 4000
PLAIN = DataConfig(crop_scale=(0.3, 1.0), flip=True)


def many(draw, *arguments):
    rng = np.random.default_rng(0)
    return [draw(rng, *arguments) for _ in range(DRAWS)]


def within(count: int, share: float, of: int) -> bool:
    """Five standard errors of a binomial."""
    return abs(count - share * of) < 5 * np.sqrt(share * (1 - share) * of)


def test_half_of_the_drawn_operations_are_done():
    draws = many(draw_random_augment, 2, 7)
    assert within(sum(map(len, draws)), 0.5, 2 * DRAWS)
    assert Counter(map(len, draws)).keys() == {0, 1, 2}
    names = Counter(step[0] for steps in draws for step in steps)
    assert names.keys() == set(POOL)
    assert all(within(count, 0.05, 2 * DRAWS) for count in names.values())


def test_amounts_are_those_of_the_level_and_of_both_signs():
    values = {}
    for steps in many(draw_random_augment, 2, 7):
        for name, *value in steps:
            values.setdefault(name, []).extend(value)
    for name, found in values.items():
        operation = OPERATIONS[name]
        if operation.amount is None:
            assert not found
            continue
        wanted = {operation.amount(7)} | ({-operation.amount(7)} if operation.sign else set())
        assert set(found) == wanted
        if operation.sign:
            assert within(sum(value > 0 for value in found), 0.5, len(found))


def test_every_picture_operation_is_done():
    draws = many(draw_picture_augment, 3, 9)
    assert {len(steps) for steps in draws} == {3}
    names = Counter(name for steps in draws for name, _ in steps)
    share = 1 / len(PICTURE_OPERATIONS)
    assert all(within(names[name], share, 3 * DRAWS) for name in PICTURE_OPERATIONS)
    negative = {name for steps in draws for name, value in steps if value < 0}
    assert negative == {name for name, x in PICTURE_OPERATIONS.items() if x.signed}


def test_jitter_is_uniform_and_in_any_order():
    draws = many(draw_jitter, 0.4)
    assert all(sorted(name for name, _ in x) == ["Brightness", "Color", "Contrast"] for x in draws)
    assert len({tuple(name for name, _ in x) for x in draws}) == 6
    for kind in ("Brightness", "Color", "Contrast"):
        factors = [dict(steps)[kind] for steps in draws]
        assert 0.6 <= min(factors) < 0.61
        assert 1.39 < max(factors) <= 1.4
        assert abs(np.mean(factors) - 1) < 5 * 0.8 / np.sqrt(12 * DRAWS)
    assert min(factor for x in many(draw_jitter, 3.0) for _, factor in x) >= 0  # never negative


def test_steps_are_done_in_their_order():
    image = picture(1, 11, 13)
    want = OPERATIONS["Equalize"].apply(OPERATIONS["Rotate"].apply(image, -21.0))
    np.testing.assert_array_equal(
        apply(image, [("Rotate", -21.0), ("Equalize",)], OPERATIONS), want
    )
    assert apply(image, [], OPERATIONS) is image


def views(config, seed=0, size=17):
    return training_views(picture(1, 37, 53), size, config, np.random.default_rng(seed))


def test_a_plain_view_is_a_box_then_perhaps_its_mirror_image():
    """The order of draws that runs are continued with."""
    image = picture(1, 37, 53)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        box = draw_box(37, 53, rng, PLAIN.crop_scale, PLAIN.crop_ratio)
        want = crop_and_resize(image, box, 17)
        want = want[:, ::-1] if rng.random() < 0.5 else want
        (got,) = views(PLAIN, seed)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_augmentation_leaves_box_and_mirroring_as_they_were(augment):
    nothing = replace(PLAIN, augment=augment, augment_count=0)
    full = replace(PLAIN, augment=augment)
    np.testing.assert_array_equal(views(nothing)[0], views(PLAIN)[0])
    changed = [not np.array_equal(views(full, s)[0], views(PLAIN, s)[0]) for s in range(12)]
    assert any(changed)
    np.testing.assert_array_equal(views(full, 5)[0], views(full, 5)[0])


def test_pixelbert_augments_the_whole_picture():
    config, rng = replace(PLAIN, augment="pixelbert", augment_level=9.0), np.random.default_rng(3)
    box = draw_box(37, 53, rng, PLAIN.crop_scale, PLAIN.crop_ratio)
    mirrored = rng.random() < 0.5
    steps = draw_picture_augment(rng, 2, 9.0)
    want = crop_and_resize(apply(picture(1, 37, 53), steps, PICTURE_OPERATIONS), box, 17)
    np.testing.assert_array_equal(views(config, 3)[0], want[:, ::-1] if mirrored else want)


def test_both_views_show_the_same_box_in_the_same_colours():
    config = replace(PLAIN, jitter=0.4, target_size=9)
    rng = np.random.default_rng(4)
    box = draw_box(37, 53, rng, PLAIN.crop_scale, PLAIN.crop_ratio)
    mirrored = rng.random() < 0.5
    jittered = apply(picture(1, 37, 53), draw_jitter(rng, 0.4), PICTURE_OPERATIONS)
    first, second = (crop_and_resize(jittered, box, *how) for how in ((17,), (9, "lanczos")))
    got = views(config, 4)
    np.testing.assert_array_equal(got[0], first[:, ::-1] if mirrored else first)
    np.testing.assert_array_equal(got[1], second[:, ::-1] if mirrored else second)


def test_lanczos_is_pillows():
    image = picture(1, 37, 53)
    want = Image.fromarray(image).resize((9, 9), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(crop_and_resize(image, (0, 0, 37, 53), 9, "lanczos"), want)


def test_augmentation_leaves_the_second_view_alone():
    plain, augmented = (
        [views(replace(PLAIN, target_size=9, augment=augment), seed)[1] for seed in range(8)]
        for augment in ("", "randaugment")
    )
    np.testing.assert_array_equal(augmented, plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": "randaugmnt"}, r"data\.augment='randaugmnt' is unknown; did you mean 'rand"),
        ({"augment": "randaugment", "augment_level": 11.0}, r"augment_level=11\.0 must be 0 to 10"),
        ({"augment": "pixelbert", "augment_level": 31.0}, r"augment_level=31\.0 must be 0 to 30"),
        ({"augment_count": -1}, r"data\.augment_count=-1 must be 0 or more"),
        ({"jitter": -0.1}, r"data\.jitter=-0\.1 must be 0 or more"),
        ({"target_size": -1}, r"data\.target_size=-1 must be 0 or more"),
        ({"target_interpolation": "cubic"}, r"target_interpolation='cubic'.*'bicubic'"),
        ({"eval_part": 0.0}, r"data\.eval_part=0\.0 must be above 0 and at most 1"),
        ({"eval_part": 0.5, "resize_mode": "squash"}, r"eval_part=0\.5 is for .*'squash' here"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        DataConfig(**settings)


def test_increasing_operations_are_kept_by_half_at_levels_around_the_given_one():
    draws = many(draw_increasing_augment, 2, 9)
    assert within(sum(map(len, draws)), 0.5, 2 * DRAWS)
    names = Counter(name for steps in draws for name, _ in steps)
    assert all(within(names[x], 0.5 / 15, 2 * DRAWS) for x in INCREASING_OPERATIONS)
    assert len(INCREASING_OPERATIONS) == 15
    turns = np.array([value for steps in draws for name, value in steps if name == "Rotate"])
    assert within(sum(turns > 0), 0.5, len(turns))
    levels = np.abs(turns) / 30 * 10
    assert levels.max() == 10  # where the normal distribution is cut
    assert abs(np.median(levels) - 9) < 5 * 1.2533 * 0.5 / np.sqrt(len(levels))


@pytest.mark.parametrize("name", INCREASING_OPERATIONS)
def test_increasing_operations_do_more_at_higher_levels(name):
    """At level 0 they are the identity, or an operation without levels."""
    slope = np.add.outer(5 * np.arange(24), 3 * np.arange(32))
    steps = 30 * (np.add.outer(np.arange(24) // 12, np.arange(32) // 16) % 2)
    image = np.uint8((slope + steps)[..., None] + [0, 7, 3])
    operation = INCREASING_OPERATIONS[name]
    changes = [
        np.abs(operation.apply(image, operation.amount(3 * level)).astype(int) - image).mean()
        for level in (0, 5, 10)
    ]
    if name in ("AutoContrast", "Equalize", "Invert"):
        assert len(set(changes)) == 1
    elif name == "Posterize":  # four bits are the most that it keeps
        assert 0 < changes[0] < changes[1] < changes[2]
    else:
        assert changes[0] == 0
        assert changes[0] < changes[1] < changes[2]


def test_increasing_operations_have_their_closed_forms():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    apply_one = {n: x.apply for n, x in INCREASING_OPERATIONS.items()}
    np.testing.assert_array_equal(apply_one["Invert"](image, 0), 255 - image)
    np.testing.assert_array_equal(apply_one["Posterize"](image, 3.6), image & 128)
    np.testing.assert_array_equal(
        apply_one["Solarize"](image, 230.4), np.where(image < 26, image, 255 - image)
    )
    np.testing.assert_array_equal(
        apply_one["SolarizeAdd"](image, 99.0), np.where(image < 128, image + 99, image)
    )
    moved = apply_one["TranslateX"](image, 0.25)
    np.testing.assert_array_equal(moved[:, :12], image[:, 4:])
    assert (moved[:, -1] == (124, 116, 104)).all()


def test_second_views_are_resized_as_the_tokenizer_saw_pictures():
    image, kinds = picture(2, 60, 80), ("bicubic", "lanczos")
    views = [
        training_views(image, 24, replace(PLAIN, target_size=24, target_interpolation=x), rng)
        for x, rng in ((x, np.random.default_rng(1)) for x in kinds)
    ]
    np.testing.assert_array_equal(views[0][0], views[0][1])
    np.testing.assert_array_equal(views[0][0], views[1][0])
    assert (views[0][1] != views[1][1]).any()
