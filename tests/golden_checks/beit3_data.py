"""Checks of what BEiT-3 reads: texts, masked captions, annotated items, pictures."""

import json
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from vlx.data import DataConfig, build_answers, build_source
from vlx.data.augment import evaluation_resize
from vlx.data.fields import maskable, token_budget
from vlx.data.masks import TextMaskConfig, choose_tokens, replace_masked
from vlx.data.operations import OVERFLOWING
from vlx.data.random_augment import POOL, apply, draw_random_augment
from vlx.data.records import Record
from vlx.data.tokenizers import XlmRobertaTokenizer
from vlx.layers.pixels import normalise

from golden_checks.beit3_recipes import check_constants
from golden_checks.case import Case, Ratios, load
from golden_checks.vlmo_answers import write_questions
from golden_checks.vlmo_data import WARPS, exact

TINY = "b3_tiny.spm"
SPECIALS = {"bos": "start", "pad": "pad", "eos": "end", "unk": "unknown", "mask": "mask",
            "cls": "start", "sep": "end", "vocab_size": "vocab_size"}  # fmt: skip
PICTURES = ("image", "second_image")
GREY_LEVELS = 2  # that warps may differ by between versions of OpenCV, as the case says
WARPED = 0.1  # grey levels, the same on average
TOLERANCE = 1e-6  # of scores


def tokenizer_of(case: Case, name: str = TINY) -> XlmRobertaTokenizer:
    return XlmRobertaTokenizer(str(case.path.parent / name))


def check_text(case: Case) -> Ratios:
    inputs, outputs = case.meta["inputs"], case.meta["outputs"]
    tokenizer = tokenizer_of(case, inputs["spm_file"])
    want = outputs["special_ids_tiny"]
    ratios = {name: exact(getattr(tokenizer, SPECIALS[name]), want[name]) for name in SPECIALS}
    for text, example in zip(inputs["texts"], outputs["examples"], strict=True):
        assert text == example["text"]
        ratios[f"{text!r} ids"] = exact(tokenizer.pieces(text), example["ids"])
        for length, segment in example["segments"].items():
            ids = tokenizer.encode(text, int(length))
            padding = ids == tokenizer.pad
            ratios[f"{text!r} {length}"] = max(
                exact(ids, segment["tokens"]),
                exact(padding, segment["padding_mask"]),
                exact(len(ids) - padding.sum(), segment["num_tokens"]),
            )
        said = tokenizer.decode(tokenizer.encode(text, 64))
        ratios[f"{text!r} decoded"] = exact(said, example["decoded_skip_special"])
    return ratios


def check_caption_masking(case: Case) -> Ratios:
    tokenizer, ratios = tokenizer_of(case), {}
    cases = zip(case.meta["inputs"], case.meta["outputs"], strict=True)
    for n, (inputs, want) in enumerate(cases):
        hidden, masked = replayed(tokenizer, inputs)
        ratios[f"{n} ids"] = exact(hidden, want["masked_tokens"])
        ratios[f"{n} masked"] = exact(masked, want["masked_pos"])
    return ratios


def replayed(tokenizer: XlmRobertaTokenizer, inputs: dict) -> tuple[np.ndarray, np.ndarray]:
    """A masked caption from official draws: places one by one, and what becomes of each."""
    ids, count = np.array(inputs["tokens"], np.int32), inputs["num_tokens"]
    config = TextMaskConfig(share=inputs["mask_prob"], unit="caption")
    places = np.flatnonzero(maskable(ids, tokenizer, config.unit))
    words = np.setdiff1d(
        np.arange(tokenizer.vocab_size), (tokenizer.start, tokenizer.pad, tokenizer.end)
    )
    assert [places[0], places[-1], len(places)] == [1, count - 1, count - 1]
    order, draw, swapped = [], np.ones(len(ids)), np.zeros(len(ids), int)
    for kind, *drawn in inputs["draws"]:
        if kind == "random":
            (draw[order[-1]],) = drawn
        elif drawn[:2] == [1, count - 1]:
            order += [place for place in drawn[2:] if place not in order]
        else:
            assert drawn[:2] == [words[0], words[-1]]
            swapped[order[-1]] = drawn[2]
    assert len(order) == token_budget(config, len(places))
    masked = choose_tokens(np.array(order), len(order), len(ids))
    hide, swap = draw < config.hidden, draw >= 1 - config.random
    return replace_masked(ids, masked, hide, swap, swapped, tokenizer.mask), masked


def check_items(case: Case) -> Ratios:
    with tempfile.TemporaryDirectory() as folder:
        return check_statements(case, Path(folder)) | check_questions(case, Path(folder))


def check_statements(case: Case, folder: Path) -> Ratios:
    inputs, wanted = case.meta["inputs"], case.meta["outputs"]["nlvr2_items"]
    tokenizer, ratios = tokenizer_of(case), {}
    file = folder / "statements.json"
    config = DataConfig(
        source="nlvr2", path=str(file), image_folder=str(folder / inputs["nlvr2_prefix"])
    )
    for line, want in zip(inputs["nlvr2_lines"], wanted, strict=True):
        file.write_text(json.dumps(line) + "\n")
        paths = [want["image_path"], want["image2_path"]]
        put_pictures(folder, paths)
        record = build_source(config, "")[0]
        ratios[f"statement {want['identifier']}"] = max(
            exact([record[name].decode() for name in PICTURES], paths),
            exact(tokenizer.pieces(record["captions"][0]), want["text_segment"]),
            exact(record["label"], want["label"]),
        )
    return ratios


def check_questions(case: Case, folder: Path) -> Ratios:
    inputs, want = case.meta["inputs"], case.meta["outputs"]
    tokenizer, items = tokenizer_of(case), want["vqa_train_items"]
    for split in ("train", "val"):
        asked = inputs.get(f"vqa_questions_{split}")
        write_questions(folder, split, inputs[f"vqa_annotations_{split}"], asked)
    config = DataConfig(source="vqa_v2", path=str(folder), answer_split="train+val")
    answers = build_answers(config, str(folder), lambda split: build_source(config, split))
    numbered = sorted(want["answer2label"], key=lambda entry: entry["label"])
    ratios = {"answers": exact(answers.answers, [entry["answer"] for entry in numbered])}
    put_pictures(folder, [item["image_path"] for item in items])
    source = build_source(config, "train", answers=answers)
    records = {record["question_id"]: record for record in (source[n] for n in range(len(source)))}
    ratios["questions"] = exact(sorted(records), [item["qid"] for item in items])
    for item in items:
        record, scores = records[item["qid"]], np.zeros(len(answers), np.float32)
        scores[item["labels"]] = item["scores"]
        error = np.max(np.abs(answers.scores(record["answers"]) - scores)) / TOLERANCE
        ratios[f"question {item['qid']}"] = max(error, same_question(tokenizer, record, item))
    item = want["vqa_test_item_example"]
    asked = {
        "question_id": item["qid"],
        "image_id": int(Path(item["image_path"]).stem.split("_")[-1]),
        "question": tokenizer.decode(item["text_segment"]),
    }
    file = folder / "v2_OpenEnded_mscoco_test2015_questions.json"
    file.write_text(json.dumps({"questions": [asked]}))
    put_pictures(folder, [item["image_path"]])
    record = build_source(config, "test", answers=answers)[0]
    assert "answers" not in record
    assert not item["labels"]
    return ratios | {"test": same_question(tokenizer, record, item)}


def same_question(tokenizer: XlmRobertaTokenizer, record: Record, item: dict) -> float:
    return max(
        exact(record["image"].decode(), item["image_path"]),
        exact(tokenizer.pieces(record["captions"][0]), item["text_segment"]),
        exact(record["question_id"], item["qid"]),
    )


def put_pictures(folder: Path, paths: list[str]) -> None:
    """Files whose content is their path, to know which is read."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def check_image(case: Case) -> Ratios:
    """Transforms of evaluation, and every operation at a level, in both directions."""
    c, image, ratios = case.config, case.tensors["in/image"], {}
    squash = pixels(evaluation_resize(image, c["vl_eval_size"], "squash"), "inception")
    side = c["imagenet_eval_size"]
    cut = pixels(evaluation_resize(image, side, "shortest"), "imagenet")
    for path, want in case.group("out/op").items():
        name, _, way = path.partition("/")
        operation = OVERFLOWING[name]
        value = (operation.amount(c["level"]),) if operation.amount else ()
        got = operation.apply(image, *(-x for x in value) if way == "neg" else value)
        worst = np.abs(got.astype(int) - want).max() / GREY_LEVELS
        ratios[path] = worst if name in WARPS else exact(got, want)
    transformed = {"eval_vl": squash, f"eval_imagenet_{side}": cut}
    rest = {f"out/{name}": case.tensors[f"out/{name}"] for name in transformed}
    assert len(ratios) + len(rest) == len(case.group("out"))
    return ratios | Case(case.path, case.meta, rest).compare(transformed)


def pixels(image: np.ndarray, statistics: str) -> np.ndarray:
    """As a model reads them: float32 [3, H, W]."""
    return np.asarray(normalise(jnp.asarray(image), statistics)).transpose(2, 0, 1)


def check_draws(case: Case) -> Ratios:
    """NumPy's old generator, from which the official draws came, drives our policy."""
    inputs, ratios = case.meta["inputs"], {}
    neighbour = inputs["image"].split()[-1]
    image = load(case.path.parent / f"{neighbour}.safetensors").tensors["in/image"]
    assert inputs["ops_list"] == list(POOL)
    for entry in case.meta["outputs"]:
        rng = np.random.RandomState(entry["numpy_seed"])
        steps = draw_random_augment(rng, inputs["N"], inputs["M"])
        assert [level for _, _, level in entry["ops"]] == [inputs["M"]] * inputs["N"]
        left = iter(name for name, _, _ in entry["ops"])
        ratios[f"{entry['numpy_seed']} names"] = exact(all(x[0] in left for x in steps), True)
        error = abs(int(apply(image, steps, OVERFLOWING).sum()) - entry["image_sum"])
        warped = {x[0] for x in steps} & set(WARPS)
        tolerance = WARPED * image.size if warped else np.finfo(float).tiny
        ratios[f"{entry['numpy_seed']} sum"] = error / tolerance
    return ratios


PARTS = {
    "b3_preprocess_text": check_text,
    "b3_preprocess_caption_masking": check_caption_masking,
    "b3_preprocess_items": check_items,
    "b3_preprocess_image": check_image,
    "b3_preprocess_randaug_draws": check_draws,
    "b3_preprocess_constants": check_constants,
}


def check_preprocess(case: Case) -> Ratios:
    return next(check for name, check in PARTS.items() if case.meta["name"].startswith(name))(case)


CHECKS = {"b3_preprocess": check_preprocess}
