"""Checks of BEiT-3's fine-tunings: their learning rates, and recipes with what is published."""

from pathlib import Path

import numpy as np

from vlx import cli
from vlx.config import build, plain
from vlx.data.random_augment import KEPT, SPREAD
from vlx.layers.pixels import STATISTICS
from vlx.tasks.beit3 import Beit3Loss, Beit3Task
from vlx.train.config import RunConfig
from vlx.train.schedule import ScheduleConfig, learning_rate

from golden_checks.case import Case, Ratios
from golden_checks.vlmo_data import exact

FOLDER = Path(__file__).parents[2] / "configs" / "beit3"
TOLERANCE = 1e-9  # relative
# What the release calls a task: our recipe's file, and how its argument begins.
FILES = {
    "imagenet": ("imagenet", ""),
    "vqav2": ("vqa", ""),
    "nlvr2": ("nlvr2", ""),
    "coco_captioning": ("captioning", "coco_"),
    "nocaps": ("captioning", "nocaps_"),
    "coco_retrieval": ("retrieval", "coco_"),
    "flickr30k": ("retrieval", "flickr30k_"),
}
EACH_CAPTION = ("captioning", "retrieval")  # an official epoch shows all five of a picture
SCHEDULES = {"cosine": "cosine", "linear": "linear_to_end"}


def check_schedule(case: Case) -> Ratios:
    """Every step's rate; of the recipes, which are a table of the same kind, every value."""
    if case.meta["name"].startswith("b3_recipes"):
        return check_recipes(case)
    ratios = {}
    for n, (given, want) in enumerate(zip(case.meta["inputs"], case.meta["outputs"], strict=True)):
        each = given["niter_per_ep"]
        steps = given["epochs"] * each
        warmup = given.get("warmup_steps", 0)
        warmup = warmup if warmup > 0 else given["warmup_epochs"] * each
        name = SCHEDULES[given.get("sched_type", "cosine")]
        c = ScheduleConfig(name, warmup, first="zero_to_peak", end=given["final_value"])
        got = [learning_rate(c, given["base_value"], steps, s) for s in range(steps)]
        ratios[f"{n} length"] = exact(len(got), want["length"])
        scale = TOLERANCE * np.abs(want["values"]) + np.finfo(float).tiny
        ratios[f"{n}"] = float(np.max(np.abs(np.subtract(got, want["values"])) / scale))
    return ratios


def recipe(task: str, name: str) -> tuple[RunConfig, str]:
    """The recipe for an official task, and its file."""
    file, start = FILES[task]
    config = cli._load(f"{FOLDER / file}.py:{start}{name}")
    return build(RunConfig, plain(config)), file


def check_recipes(case: Case) -> Ratios:
    ratios = {}
    for official, want in case.meta["outputs"].items():
        task = next(task for task in FILES if official.startswith(f"{task}_"))
        got = values(*recipe(task, official.removeprefix(f"{task}_")))
        ratios |= {f"{official} {name}": exact(got[name], x) for name, x in want.items()}
    return ratios


def values(c: RunConfig, file: str) -> dict:
    """What a recipe says, as the release calls it."""
    o, loss = c.optimizer, build(Beit3Loss, c.loss, "loss")
    epochs = c.epochs / (5 if file in EACH_CAPTION else 1)
    warmup = o.schedule.warmup * epochs
    assert (o.schedule.name, o.schedule.first) == ("cosine", "zero_to_peak")
    return {
        "optimizer": o.name,
        "eps": o.eps,
        "betas": [o.b1, o.b2],
        "min_lr": o.schedule.end,
        "clip_grad": o.clip or None,
        "drop_path": c.model["encoder"]["drop_path"],
        "weight_decay": o.weight_decay,
        "layer_decay": o.layer_decay.get("all", 1.0),
        "task_head_lr_weight": dict(o.lr_scale).get(r"answer_head/.*", 0),
        "px": c.model["image_size"],
        "batch": c.batch.size,
        "lr": o.lr,
        "epochs": epochs,
        "warmup_epochs": round(warmup, 9),
        "max_tokens": c.tokenizer.length,
        "mask_prob": c.data.text_mask.share,
        "drop_worst_ratio": loss.drop_worst,
        "drop_worst_after": loss.drop_after,
        "label_smoothing": loss.label_smoothing,
    }


def check_constants(case: Case) -> Ratios:
    """How the recipes treat pictures and texts."""
    ratios = {}
    for task, want in case.meta["outputs"].items():
        for preset in ("base", "large"):
            got = constants(recipe(task, preset)[0])
            assert set(want) <= set(got), sorted(set(want) - set(got))
            ratios |= {f"{task} {preset} {name}": exact(got[name], x) for name, x in want.items()}
    return ratios


def constants(c: RunConfig) -> dict:
    """The pictures and texts of a recipe, as the case describes them."""
    d, size = c.data, c.model["image_size"]
    loss, pixels = (task := Beit3Task.build(c.model, c.loss)).loss, STATISTICS[task.pixels]
    how = {"interpolation": d.interpolation}
    crop = {"size": size, "scale": list(d.crop_scale), "ratio": list(d.crop_ratio), **how}
    train = {"random_resized_crop": crop, "hflip": 0.5 if d.flip else 0.0}
    common = {"train": train, "mean": list(pixels[0]), "std": list(pixels[1])}
    augment = AUGMENTS[d.augment](d)
    if not loss.classes:
        train["randaug"] = augment
        whole = {"resize": [size, size], "keep_aspect": d.resize_mode != "squash", **how}
        return common | {"eval": whole, "max_tokens": c.tokenizer.length}
    assert (d.resize_mode, d.eval_part) == ("shortest", 1.0)
    train["auto_augment"] = augment
    train["random_erasing"] = {"prob": loss.mixing.erase, "mode": "pixel", "count": 1}
    mixed = {name: getattr(loss.mixing, name) for name in ("mixup", "cutmix")}
    middle = {"resize_short_side": size, "center_crop": size, **how}
    return common | mixed | {"eval": middle, "label_smoothing": loss.label_smoothing}


AUGMENTS = {
    "": lambda d: None,
    "randaugment": lambda d: {"ops": d.augment_count, "level": int(d.augment_level), "prob": KEPT},
    "randaugment_increasing": lambda d: f"rand-m{d.augment_level:g}-mstd{SPREAD}-inc1",
}
CHECKS = {"b3_schedule": check_schedule}
