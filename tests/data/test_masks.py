"""Masks of words and patches: what is hidden, how often, and that draws alone decide."""

import numpy as np
import pytest

from vlx.data.config import DataConfig
from vlx.data.fields import mask_text
from vlx.data.masks import (
    NO_GROUP,
    PatchMaskConfig,
    TextMaskConfig,
    caption_budget,
    choose_words,
    patch_mask,
    replace_masked,
    word_budget,
    word_groups,
)
from vlx.data.tokenizers import WordPieceTokenizer, train_sentencepiece
from vlx.errors import UserError

LENGTH = 40
TEXT = "unbelievable dogs ride a dog, man xyz rides unbelievable man's dogs a a a dog man ride"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", "ride", "##s", "un",
          "##believ", "##able", ",", "'", "s", "dog"]  # fmt: skip
PAD, UNKNOWN, START, END, MASK = range(5)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("".join(f"{piece}\n" for piece in PIECES))
    return WordPieceTokenizer(str(path))


@pytest.fixture(scope="module")
def ids(tokenizer):
    return tokenizer.encode(TEXT, LENGTH)


def drawn(ids, tokenizer, count, **settings):
    config, rng = TextMaskConfig(**settings), np.random.default_rng(0)
    hidden, masked = zip(
        *(mask_text(ids, tokenizer, config, rng) for _ in range(count)), strict=True
    )
    return np.stack(hidden), np.stack(masked)


def test_pieces_join_the_word_before_them():
    candidate = np.array([0, 1, 1, 1, 1, 0, 1, 1], bool)
    continues = np.array([0, 1, 0, 1, 1, 1, 1, 0], bool)  # the first has no word to join
    np.testing.assert_array_equal(
        word_groups(candidate, continues), [NO_GROUP, 0, 1, 1, 1, NO_GROUP, 1, 2]
    )
    assert (word_groups(np.zeros(3, bool), np.ones(3, bool)) == NO_GROUP).all()


def test_words_that_exceed_the_budget_are_passed_over():
    groups = np.array([-1, 0, 1, 1, 1, 2, 2, 3, -1])
    chosen = choose_words(groups, np.array([0, 1, 2, 3]), 3)
    np.testing.assert_array_equal(chosen, [0, 1, 0, 0, 0, 1, 1, 0, 0])
    np.testing.assert_array_equal(choose_words(groups, np.array([1, 0, 2, 3]), 3), groups == 1)
    assert not choose_words(np.full(3, NO_GROUP), np.array([], int), 3).any()


def test_budgets_round_half_to_even():
    assert [word_budget(0.15, n) for n in (2, 10, 30, 40, 196)] == [1, 2, 4, 6, 29]
    assert [word_budget(0.5, n) for n in (3, 5)] == [2, 2]


def test_hiding_goes_before_swapping():
    ids, masked = np.array([7, 8, 9, 10, 11], np.int32), np.array([1, 1, 1, 0, 0], bool)
    hide, swap = np.array([1, 0, 0, 1, 0], bool), np.array([1, 1, 0, 0, 1], bool)
    got = replace_masked(ids, masked, hide, swap, np.full(5, 55), 4)
    np.testing.assert_array_equal(got, [4, 55, 9, 10, 11])
    assert got.dtype == np.int32


def test_words_are_hidden_whole_and_specials_never(tokenizer, ids):
    hidden, masked = drawn(ids, tokenizer, 400)
    continues = tokenizer.continues(ids)
    assert continues.sum() == 7
    for n in np.flatnonzero(continues):
        np.testing.assert_array_equal(masked[:, n], masked[:, n - 1])
    assert not masked[:, np.isin(ids, (PAD, UNKNOWN, START, END))].any()
    np.testing.assert_array_equal(hidden[~masked], np.broadcast_to(ids, hidden.shape)[~masked])


def test_padding_uses_the_budget(tokenizer):
    """So short texts are at times not masked at all, and about 15 % of tokens are on average."""
    short = tokenizer.encode("a man a dog a man", LENGTH)
    _, masked = drawn(short, tokenizer, 4000)
    counts = masked.sum(1)
    assert counts.max() <= word_budget(0.15, LENGTH) == 6
    assert 0.2 < (counts == 0).mean() < 0.45
    assert abs(masked[:, 1:7].mean() - 6 / 38) < 0.01  # 6 of all but start and end


def test_masked_tokens_are_hidden_swapped_or_left(tokenizer, ids):
    hidden, masked = drawn(ids, tokenizer, 4000)
    before, after = np.broadcast_to(ids, hidden.shape)[masked], hidden[masked]
    total, words = len(before), tokenizer.vocab_size
    # A random token is the mask or the old one once in a vocabulary.
    assert abs((after == MASK).mean() - (0.8 + 0.1 / words)) < 5 * np.sqrt(0.16 / total)
    assert abs((after == before).mean() - (0.1 + 0.1 / words)) < 5 * np.sqrt(0.09 / total)
    assert set(after) == set(range(words))


def test_tokens_are_hidden_one_by_one_and_unknown_ones_too(tokenizer, ids):
    _, masked = drawn(ids, tokenizer, 4000, unit="token", share=0.3)
    framing = np.isin(ids, (PAD, START, END))
    assert not masked[:, framing].any()
    np.testing.assert_allclose(masked[:, ~framing].mean(0), 0.3, atol=5 * np.sqrt(0.21 / 4000))
    assert masked[:, ids == UNKNOWN].any()


@pytest.mark.parametrize(("unit", "share"), [("count", 0.15), ("count", 0.5), ("caption", 0.7)])
def test_by_count_every_text_has_its_share(tokenizer, ids, unit, share):
    """Of a caption the end is one of the tokens, and the start counts but stays."""
    candidate = ~np.isin(ids, tokenizer.specials)
    if unit == "caption":
        candidate = ~np.isin(ids, (PAD, START))
        count = int(share * (candidate.sum() + 1) + 0.5)
    else:
        count = round(share * candidate.sum())
    hidden, masked = drawn(ids, tokenizer, 4000, unit=unit, share=share)
    assert (masked.sum(1) == count).all()
    assert not masked[:, ~candidate].any()
    often = count / candidate.sum()
    error = 5 * np.sqrt(often * (1 - often) / 4000)
    np.testing.assert_allclose(masked[:, candidate].mean(0), often, atol=error)
    random = hidden[masked & (hidden != ids) & (hidden != MASK)]
    assert set(random) == set(range(tokenizer.vocab_size)) - {PAD, START, END, MASK}


def test_the_shortest_captions_have_a_token_to_predict(tokenizer):
    assert [caption_budget(0.7, n) for n in (2, 3, 9, 12)] == [1, 2, 6, 8]
    assert [caption_budget(share, 9) for share in (0.0, 0.5, 1.0)] == [1, 5, 8]
    _, masked = drawn(tokenizer.encode("", 4), tokenizer, 3, unit="caption", share=0.1)
    np.testing.assert_array_equal(masked, [[False, True, False, False]] * 3)


def test_equal_generators_give_equal_masks(tokenizer, ids):
    first, second = (drawn(ids, tokenizer, 5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_an_empty_text_masks_nothing(tokenizer):
    for unit in ("word", "token", "count"):
        _, masked = drawn(tokenizer.encode("", 2), tokenizer, 3, unit=unit)
        assert not masked.any()


def test_words_of_a_trained_vocabulary_are_hidden_whole(tmp_path):
    words = [f"the {c}ish {s}like thing" for c in ("red", "blue") for s in ("ball", "cone")]
    tokenizer = train_sentencepiece(words, str(tmp_path / "a.model"), 40)
    ids = tokenizer.encode(words[0], 31)
    starts = np.flatnonzero((ids > 4) & ~tokenizer.continues(ids))
    assert len(starts) == 4
    hidden, masked = drawn(ids, tokenizer, 50, hidden=1.0, random=0.0, share=0.3)
    assert masked.any()
    assert (hidden[masked] == tokenizer.mask).all()
    for n in np.flatnonzero(tokenizer.continues(ids)):
        np.testing.assert_array_equal(masked[:, n], masked[:, n - 1])


def patches(grid, count, **settings):
    rng = np.random.default_rng(0)
    return np.stack(
        [patch_mask(grid, PatchMaskConfig(**settings), rng) for _ in range(count)]
    ).reshape(count, *grid)


def test_published_masks_have_the_published_statistics():
    """Of 4000 official masks: mean 74.487, full 66.6 %, standard deviation 0.955."""
    counts = patches((14, 14), 4000).sum((1, 2))
    assert counts.max() == 75
    assert abs(counts.mean() - 74.487) < 5 * 0.955 * np.sqrt(2 / 4000)
    assert abs((counts == 75).mean() - 0.666) < 5 * np.sqrt(2 * 0.666 * 0.334 / 4000)


def test_masks_grow_in_blocks():
    """Most neighbours of hidden patches are hidden, which is not so of single ones."""
    masks = patches((14, 14), 100)
    beside = (masks[:, :, 1:] & masks[:, :, :-1]).sum() / masks[:, :, 1:].sum()
    assert beside > 0.7 > 2 * 75 / 196 - 0.1


@pytest.mark.parametrize("grid", [(2, 2), (5, 9), (9, 5), (1, 7)])
def test_masks_of_other_grids_stay_below_their_number(grid):
    masks = patches(grid, 50, patches=4, smallest=2)
    assert masks.shape == (50, *grid)
    assert masks.dtype == bool
    assert masks.sum((1, 2)).max() <= 4


@pytest.mark.parametrize(("grid", "settings"), [((14, 14), {}), ((5, 7), {"patches": 34})])
def test_exact_masks_all_hide_their_number(grid, settings):
    """Also where blocks alone reach it seldom, or never."""
    settings = {"patches": 75, "smallest": 16} | settings
    assert min(patches(grid, 50, **settings).sum((1, 2))) < settings["patches"]
    assert set(patches(grid, 50, exact=True, **settings).sum((1, 2))) == {settings["patches"]}


def test_exact_masks_keep_the_blocks():
    loose, exact = (patches((14, 14), 1, exact=x, patches=75) for x in (False, True))
    assert (exact >= loose).all()


def test_no_block_adds_more_than_the_largest():
    masks = patches((14, 14), 200, patches=6, smallest=3, largest=3)
    assert masks.sum((1, 2)).max() == 6
    assert patches((14, 14), 200, patches=3, smallest=3, largest=3).sum((1, 2)).max() == 3


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (TextMaskConfig, {"unit": "words"}, r"text_mask\.unit='words' is unknown; .*'word'"),
        (TextMaskConfig, {"share": 1.5}, r"data\.text_mask\.share=1\.5 must be 0 to 1"),
        (TextMaskConfig, {"hidden": 0.95}, r"hidden=0\.95 and .*random=0\.1 .* at most 1"),
        (PatchMaskConfig, {"patches": 0}, r"data\.patch_mask\.patches=0 must be 1 or more"),
        (PatchMaskConfig, {"largest": -1}, r"data\.patch_mask\.largest=-1 must be 0 or more"),
        (PatchMaskConfig, {"aspect": (2.0, 0.5)}, r"aspect=\(2\.0, 0\.5\) must be two positive"),
    ],
)
def test_settings_that_are_refused(kind, settings, message):
    with pytest.raises(UserError, match=message):
        kind(**settings)


def test_settings_are_part_of_a_runs_configuration():
    assert DataConfig().text_mask == TextMaskConfig(share=0.15, unit="word")
    assert DataConfig().patch_mask == PatchMaskConfig(patches=75, smallest=16)
