"""Checks of what evaluation reads and counts: texts, pixels, zero-shot classes, retrieval."""

import tempfile
from pathlib import Path

import jax
import numpy as np

from vlx.data.augment import crop_and_resize, evaluation_resize
from vlx.evaluate.ranks import ranks
from vlx.evaluate.retrieval import recall
from vlx.evaluate.zero_shot import classifier
from vlx.layers.pixels import STATISTICS, normalise
from vlx.models.clip import Clip
from vlx.models.coca import Coca, CocaConfig
from vlx.parallel.mesh import MeshConfig, make_mesh

from clip_vocabulary import clip_tokenizer
from golden_checks.case import Case, Ratios
from golden_checks.official import load_params, model_config, nhwc, table_of


def check_clip_bpe(case: Case) -> Ratios:
    """Ids are equal or wrong; skipped where CLIP's vocabulary is not installed."""
    wrong, inputs = {}, case.meta["inputs"]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = clip_tokenizer(Path(folder), cleaning=inputs["clean"])
        for text, want in zip(inputs["strings"], case.meta["outputs"]["entries"], strict=True):
            got = {name: _tokenized(tokenizer, text, name, want["encode"]) for name in want}
            wrong |= {f"{text!r} {name}": np.inf for name in want if got[name] != want[name]}
    return wrong or {"ids": 0.0}


def _tokenized(tokenizer, text: str, name: str, pieces: list[int]):
    """What the case calls `encode`, `decode`, `ids_8` or `ids_76_without_trailing_zeros`."""
    if name == "encode":
        return tokenizer.pieces(text)
    if name == "decode":
        return tokenizer.spell(pieces)
    ids = tokenizer.encode(text, int(name.split("_")[1]))
    return np.trim_zeros(ids, "b").tolist() if name.endswith("zeros") else ids.tolist()


def check_preprocess(case: Case) -> Ratios:
    got = {}
    for entry in case.config["entries"]:
        image, size = case.tensors[f"in/{entry['name']}"], entry["image_size"]
        size = size if isinstance(size, int) else tuple(size)
        how = {"interpolation": entry.get("interpolation", "bicubic")}
        if "crop_box_top_left_height_width" in entry:
            image = crop_and_resize(image, entry["crop_box_top_left_height_width"], size, **how)
        else:
            how |= {
                "mode": entry.get("resize_mode", "shortest"),
                "fill": entry.get("fill_color", 0),
            }
            image = evaluation_resize(image, size, **how)
        numbers = tuple(tuple(entry.get(key, case.config[key])) for key in ("mean", "std"))
        name = next(name for name, known in STATISTICS.items() if known == numbers)
        got[entry["name"]] = normalise(jax.numpy.asarray(image), name).transpose(2, 0, 1)
    return case.compare(got)


def check_retrieval_metrics(case: Case) -> Ratios:
    inputs, mesh = case.group("in"), make_mesh(MeshConfig())
    images, texts = inputs["image_features"], inputs["text_features"]
    paired = recall(images, texts, np.arange(len(images)), mesh)
    several = recall(images, inputs["multi_text_features"], inputs["multi_text_image_index"], mesh)
    ours = {"R@1": "r1", "R@5": "r5", "R@10": "r10", "mean_rank": "mean", "median_rank": "median"}
    ways = {"text_retrieval": "image_to_text", "image_retrieval": "text_to_image"}
    got = {
        f"paired/{way}_{name}": paired[f"{way}_{ours[name]}"]
        for way in ways.values()
        for name in ours
    }
    got |= {
        f"multi/{official}_recall@{k}": several[f"{way}_r{k}"]
        for official, way in ways.items()
        for k in (1, 5, 10)
    }
    return case.compare(got)


def check_zero_shot(case: Case) -> Ratios:
    c, inputs = model_config(case.config), case.group("in")
    official = case.group("param")
    model = Coca(c) if isinstance(c, CocaConfig) else Clip(c)
    params = {"params": load_params(table_of(c, official), official)}
    tokens = inputs["token_ids"]  # class, prompt, position

    @jax.jit
    def encode(params, image, text):
        return (
            model.apply(params, image, method="encode_image"),
            model.apply(params, text, method="encode_text"),
        )

    images, texts = encode(params, nhwc(inputs["image"]), tokens.reshape(-1, tokens.shape[-1]))
    classes = classifier(np.asarray(texts).reshape(*tokens.shape[:2], -1))
    numbers, mesh = np.arange(len(classes)), make_mesh(MeshConfig())
    place = ranks(np.asarray(images), inputs["target"], classes, numbers, mesh)
    got = {
        "classifier": classes.T,
        "logits": case.config["logit_multiplier"] * images @ classes.T,
    }
    shares = {name for name in case.group("out") if name.startswith("top")}
    return case.compare(got | {name: np.mean(place < int(name[3:])) for name in shares})


CHECKS = {
    "clip_bpe": check_clip_bpe,
    "preprocess": check_preprocess,
    "retrieval_metrics": check_retrieval_metrics,
    "zero_shot": check_zero_shot,
}
