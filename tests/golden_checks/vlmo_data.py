"""Checks of augmentation, masks and WordPiece: official draws are replayed through our code."""

import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from vlx.data.augment import crop_and_resize, evaluation_resize
from vlx.data.fields import maskable, word_candidates
from vlx.data.masks import (
    PatchMaskConfig,
    choose_words,
    patch_mask,
    replace_masked,
    word_budget,
    word_groups,
)
from vlx.data.operations import FILL, OVERFLOWING
from vlx.data.picture_operations import PICTURE_OPERATIONS
from vlx.data.random_augment import apply, draw_random_augment
from vlx.data.tokenizers import WordPieceTokenizer
from vlx.layers.pixels import normalise

from golden_checks.case import Case, Ratios

IGNORED = -100  # the official label of what is not predicted
WARPS = ("ShearX", "ShearY", "Rotate")  # which may differ by rounding, as the case allows


def exact(got, want) -> float:
    return 0.0 if np.array_equal(got, want) else np.inf


def values(step: list) -> tuple:
    """An official operation's name and value; warps name their fill, which here is fixed."""
    assert all(x == list(FILL) for x in step if isinstance(x, list))
    return tuple(x for x in step if not isinstance(x, list))


def same_steps(got: list, want: list) -> float:
    got, want = ([step if len(step) > 1 else (*step, 0.0) for step in x] for x in (got, want))
    if [name for name, _ in got] != [name for name, _ in want]:
        return np.inf
    pairs = zip(got, want, strict=True)
    return max((abs(a - b) / 1e-9 for (_, a), (_, b) in pairs), default=0.0)


def check_operations(case: Case) -> Ratios:
    ratios, want = {}, case.group("out")
    for name, entry in case.config["ops"].items():
        operation, (_, *value) = OVERFLOWING[entry["op"]], values([entry["op"], *entry["args"]])
        got = operation.apply(case.tensors["in/image"], *value)
        within = np.abs(got.astype(int) - want[name]).max() / case.meta["atol"]
        ratios[name] = within if entry["op"] in WARPS else exact(got, want[name])
        if value:
            amount = operation.amount(entry["level"])
            ratios[f"{name} level"] = abs(abs(value[0]) - amount) / 1e-9
    for name in (name for name in want if name.startswith("flat_")):
        got = OVERFLOWING[name.removeprefix("flat_")].apply(case.tensors["in/flat"])
        ratios[name] = exact(got, want[name])
    assert len([name for name in ratios if "level" not in name]) == len(want)
    return ratios


def check_picture_operations(case: Case) -> Ratios:
    got, levels = {}, {}
    for name, entry in case.config["ops"].items():
        operation = PICTURE_OPERATIONS[entry["op"].removesuffix("abs")]
        got[name] = operation.apply(case.tensors["in/image"], entry["value"])
        amount = operation.amount(entry["magnitude"])
        levels[f"{name} magnitude"] = abs(abs(entry["value"]) - amount) / 1e-9
    return case.compare(got) | levels


def check_policy(case: Case) -> Ratios:
    """NumPy's old generator, from which the official draws came, drives our policy."""
    inputs = case.meta["inputs"]
    assert inputs["prob"] == 0.5
    return {
        f"seed {entry['numpy_seed']}": same_steps(
            draw_random_augment(
                np.random.RandomState(entry["numpy_seed"]), inputs["N"], inputs["M"]
            ),
            list(map(values, entry["applied"])),
        )
        for entry in case.meta["outputs"]
    }


def check_transforms(case: Case) -> Ratios:
    size, got, ratios = case.config["image_size"], {}, {}
    for k, draws in enumerate(case.config["train_draws"]):
        image = case.tensors[f"in/{k}/image"]
        steps = list(map(values, draws["ops"]))
        resized = evaluation_resize(image, size, "squash")
        trained = crop_and_resize(image, tuple(draws["crop"]), size)
        trained = trained[:, ::-1] if draws["flip"] else trained
        got |= {
            f"{k}/eval": pixels(resized),
            f"{k}/pixelbert_eval": pixels(
                evaluation_resize(image, case.config["pixelbert_size"], "pixelbert")
            ),
            f"{k}/train": pixels(apply(trained, steps, OVERFLOWING)),
        }
        bytes_ = {"eval_resized": resized, "train_after_flip": trained}
        want = {name: case.tensors[f"out/{k}/{name}_uint8"] for name in bytes_}
        ratios |= {f"{k}/{name}": exact(bytes_[name], want[name]) for name in bytes_}
        drawn = draw_random_augment(np.random.RandomState(draws["numpy_seed"]), 2, 7)
        ratios[f"{k}/steps"] = same_steps(drawn, steps)
        got |= {f"{k}/{name}_uint8": value for name, value in bytes_.items()}
    return case.compare(got) | ratios


def pixels(image: np.ndarray) -> np.ndarray:
    """As the model reads them: float32 [3, H, W]."""
    return np.asarray(normalise(jnp.asarray(image), "inception")).transpose(2, 0, 1)


class Replay:
    """Draws that were made before, in their order; other limits than theirs are an error."""

    def __init__(self, draws: list):
        self.left = list(draws)

    def uniform(self, low: float, high: float) -> float:
        return self._next("uniform", sorted((low, high)))

    def integers(self, high: int) -> int:
        return self._next("randint", [0, high - 1])

    def _next(self, kind: str, limits: list):
        was, low, high, value = self.left.pop(0)
        assert was == kind
        np.testing.assert_allclose(sorted((low, high)), limits, rtol=1e-12)
        return value


def check_block_mask(case: Case) -> Ratios:
    ratios = {}
    cases = zip(case.meta["inputs"], case.meta["outputs"]["masks"], strict=True)
    for n, (inputs, want) in enumerate(cases):
        least = inputs["min_aspect"]
        config = PatchMaskConfig(
            patches=inputs["num_masking_patches"],
            smallest=inputs["min_num_patches"],
            largest=inputs["max_num_patches"] or 0,
            aspect=(least, inputs["max_aspect"] or 1 / least),
        )
        draws, grid = Replay(inputs["draws"]), (inputs["height"], inputs["width"])
        got = patch_mask(grid, config, draws)
        ratios[f"mask {n}"] = exact(got.reshape(grid), want["mask"])
        ratios[f"count {n}"] = exact(got.sum(), want["count"])
        ratios[f"draws {n}"] = exact(draws.left, [])
    return ratios | block_statistics(case.meta["outputs"]["statistics"])


def block_statistics(want: dict) -> Ratios:
    """Masks from our own draws: five standard errors of both samples are the tolerance."""
    samples, grid = want["samples"], tuple(want["size"])
    config = PatchMaskConfig(want["num_masking_patches"], want["min_num_patches"])
    rng = np.random.default_rng(0)
    masks = np.stack([patch_mask(grid, config, rng) for _ in range(samples)])
    counts, masks = masks.sum(1), masks.reshape(samples, *grid)
    full, edge = want["frac_exact_75"], want["mean_prob_edge_row"]
    centre = masks[:, grid[0] // 2, grid[1] // 2]
    error = 5 * np.sqrt(2 / samples)
    return {
        "mean count": abs(counts.mean() - want["mean_count"]) / (error * want["std_count"]),
        "full": abs((counts == config.patches).mean() - full)
        / (error * np.sqrt(full * (1 - full))),
        "centre": abs(centre.mean() - want["mean_prob_centre"]) / (error * 0.5),
        "corner": abs(masks[:, 0, 0].mean() - want["mean_prob_corner"]) / (error * 0.2),
        "edge": abs(masks[:, 0].mean() - edge) / (error * np.sqrt(edge * (1 - edge))),
        "most": exact(counts.max(), want["max_count"]),
    }


def written(vocabulary: list[str], folder: str) -> WordPieceTokenizer:
    path = Path(folder, "vocab.txt")
    path.write_text("".join(f"{piece}\n" for piece in vocabulary), encoding="utf-8")
    return WordPieceTokenizer(str(path))


def check_text_mask(case: Case) -> Ratios:
    ratios = {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = written(case.meta["inputs"]["vocab"], folder)
        cases = zip(case.meta["inputs"]["cases"], case.meta["outputs"], strict=True)
        for n, (inputs, want) in enumerate(cases):
            for row, ids in enumerate(np.array(inputs["input_ids"], np.int32)):
                hidden, labels = replayed(tokenizer, inputs, row, ids)
                ratios[f"{n}/{row} ids"] = exact(hidden, want["input_ids_mlm"][row])
                ratios[f"{n}/{row} labels"] = exact(labels, want["labels"][row])
    return ratios


def replayed(tokenizer, inputs: dict, row: int, ids: np.ndarray):
    """Masked ids and official labels of one text, from the draws that the case made for it."""
    draws, unit = inputs["draws"], {"whole_word": "word", "token": "token"}[inputs["mode"]]
    *mask, hide, swap = (np.array(table["draw"][row], bool) for table in draws["bernoulli"])
    if unit == "word":
        groups = word_groups(word_candidates(ids, tokenizer), tokenizer.continues(ids))
        shuffled = draws["shuffles"][row]
        order = [groups[group[0]] for group in shuffled]
        assert sorted(order) == list(range(groups.max() + 1))
        assert all(np.flatnonzero(groups == groups[g[0]]).tolist() == g for g in shuffled)
        chosen = choose_words(groups, np.array(order), word_budget(inputs["mlm_prob"], len(ids)))
    else:
        (chosen,) = mask
    masked = chosen & maskable(ids, tokenizer, unit)
    words = np.array(draws["randint"][0][row])
    hidden = replace_masked(ids, masked, hide, swap, words, tokenizer.mask)
    return hidden, np.where(masked, ids, IGNORED)


def check_tokenize(case: Case) -> Ratios:
    ratios, inputs = {}, case.meta["inputs"]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = written(inputs["vocab"], folder)
        for text, want in zip(inputs["texts"], case.meta["outputs"], strict=True):
            ids = tokenizer.encode(text, inputs["max_text_len"])
            got = {
                "tokens": [inputs["vocab"][i] for i in ids],
                "input_ids": ids,
                "attention_mask": ids != tokenizer.pad,
                "special_tokens_mask": ~maskable(ids, tokenizer, "token"),
            }
            ratios |= {f"{text!r} {name}": exact(got[name], want[name]) for name in want}
    return ratios


CHECKS = {
    "augment_ops": check_operations,
    "augment_ops_pixelbert": check_picture_operations,
    "random_augment_policy": check_policy,
    "image_transforms": check_transforms,
    "block_mask": check_block_mask,
    "whole_word_mask": check_text_mask,
    "tokenize": check_tokenize,
}
