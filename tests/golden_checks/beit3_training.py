"""Checks of BEiT-3's optimisation, of how it starts, and of its full-size files."""

import re
from dataclasses import replace

import jax
import numpy as np

from vlx.interop import unilm_beit3, unilm_beit3_config
from vlx.interop.table import to_official
from vlx.models import parameter_shapes
from vlx.models.beit3 import CONFIGS, Beit3, fresh_params
from vlx.tasks.beit3 import NO_DECAY
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.state import create
from vlx.train.step import make_step

from golden_checks import beit2, beit3_tokenizer
from golden_checks.beit2 import compare_groups
from golden_checks.beit3_official import batch_of, load, official_names, task_of
from golden_checks.case import Case, Ratios

HEAD = r"(class|answer|truth)_(head|norm)/.*"  # what the official code calls `head`
TASKS = {
    "imageclassification": "classes",
    "vqav2": "answers",
    "nlvr2": "truth",
    "captioning": "captions",
    "retrieval": "contrastive",
}


def check_train_steps(case: Case) -> Ratios:
    """Updates by the training step that users run."""
    settings, want = case.config, case.group("out")
    term = "classes" if "in/step0/soft_target" in case.tensors else "answers"
    c, table, params = load(case, term)
    task = task_of(c, **{term: 1.0})
    rules = OptimizerConfig(
        b1=settings["betas"][0],
        b2=settings["betas"][1],
        eps=settings["eps"],
        weight_decay=settings["weight_decay"],
        clip=settings["clip_grad"] or 0.0,
        no_decay=NO_DECAY,
        layer_decay={"all": settings["layer_decay"]} if "layer_decay" in settings else {},
        lr_scale=((HEAD, settings.get("task_head_lr_weight", 1.0)),),
    )
    part = partition(params, task.left_out, ())
    transformation = optimizer.build(rules, part)
    shapes = {path: x.shape for path, x in parameter_shapes(task.model).items()}
    scales = optimizer.rate_scales(rules, part, shapes, task.layer_groups)
    step = jax.jit(make_step(task, transformation, rules, part, scales))
    state = jax.jit(lambda p: create(p, {}, transformation, part, averaged=False))(params)
    losses, norms = [], []
    for i, rate in enumerate(settings["lr_values"]):
        batch = batch_of(case.group(f"in/step{i}"))
        if term == "classes":
            batch["label"] = np.zeros(len(batch["image"]), np.int32)
        state, metrics = step(state, batch, np.float32(rate), jax.random.key(0))
        losses.append(metrics["loss"])
        norms.append(metrics["gradient_norm"])
    got = {"losses": np.stack(losses), "grad_norms": np.stack(norms)}
    ratios = case.compare({name: got[name] for name in want})
    after = official_names(table, state.params)
    return ratios | case.compare({name: after[name] for name in case.group("after")}, "after")


def registered(name: str):
    """The config of a registered model: size, pixels and task are in its name."""
    found = re.fullmatch(r"beit3_(base|large)_(?:itc_)?patch16_(\d+)(?:_(\w+))?", name)
    size, pixels, task = found.groups()
    heads = (TASKS[task],) if task else ("contrastive",) if "_itc_" in name else ()
    side = int(pixels)
    return replace(CONFIGS[size], image_size=(side, side), heads=heads, final_norm=None)


def check_layer_decay(case: Case) -> Ratios:
    given = case.meta["inputs"]
    config = registered(given["model"])
    (term,) = config.heads
    task = task_of(config, **{term: 1.0})
    rules = OptimizerConfig(
        no_decay=NO_DECAY,
        layer_decay={"all": given["ld"]} if "ld" in given else {},
        lr_scale=((HEAD, float(given.get("headw", 1.0))),),
    )
    return compare_groups(case, task, unilm_beit3.table(config), rules, given["wd"])


def check_manifest(case: Case) -> Ratios:
    """The registered model under official names has these shapes and no others."""
    config, want = registered(case.meta["model"]), case.meta["params"]
    shapes = parameter_shapes(Beit3(config))
    got = jax.eval_shape(lambda x: to_official(unilm_beit3.table(config), x), shapes)
    assert set(got) == set(want), sorted(set(got) ^ set(want))
    assert sum(int(np.prod(s)) for s in want.values()) == case.meta["num_params"]
    told = unilm_beit3_config.describe({n: np.broadcast_to(0, shape) for n, shape in want.items()})
    assert parameter_shapes(Beit3(told)) == shapes, "the file alone tells the model"
    return {name: 0.0 if list(got[name].shape) == want[name] else np.inf for name in want}


def check_facts(case: Case) -> Ratios:
    """How models of fine-tuning start, and the sizes of the published ones."""
    facts, ratios = case.meta, {}
    base = CONFIGS["base"]
    small = replace(
        base,
        encoder=replace(base.encoder, width=96, heads=4, hidden=384),
        image_size=(64, 64),
        vocabulary=500,
        sub_norm_scale=False,
    )
    kinds = {"": "truth", "_vqa": "answers", "_imagecls": "classes", "_retrieval": "contrastive"}
    kinds["_captioning"] = "captions"
    for i, (ending, head) in enumerate(kinds.items()):
        c = replace(small, heads=(head,), final_norm=None)
        params = jax.jit(lambda key, c=c: fresh_params(Beit3(c), key))(jax.random.key(i))
        official = official_names(unilm_beit3.table(c), params)
        want = dict(facts[f"init_finetune_heads{ending}"])
        scale = want.pop("logit_scale", None)
        if scale is not None:
            ratios["logit_scale"] = abs(float(official["logit_scale"]) - scale) / 1e-6
        if not i:
            want |= facts["init_finetune_wrapper_D96_L12"]
        for name, statistics in want.items():
            drawn = compare_draws(np.asarray(official[name]), statistics)
            ratios |= {f"{name}/{what}": ratio for what, ratio in drawn.items()}
    ratios["sub_norm"] = abs(sub_norm_factor(small) - facts["subln_scale"]["L12"]) / 1e-6
    return ratios | sizes(facts)


def compare_draws(x: np.ndarray, want: dict) -> Ratios:
    """Two samples of one distribution; the official numbers are rounded to six decimals."""
    error, rounding = want["std"] / np.sqrt(x.size), 6e-7
    return {
        "mean": float(abs(x.mean() - want["mean"]) / (6 * error + rounding)),
        "std": float(abs(x.std() - want["std"]) / (6 * error / np.sqrt(2) + rounding)),
    }


def sub_norm_factor(config) -> float:
    """How much larger what follows inner norms starts."""
    deviations = []
    for scaled in (True, False):
        c = replace(config, heads=(), sub_norm_scale=scaled)
        params = jax.jit(lambda key, c=c: fresh_params(Beit3(c), key))(jax.random.key(0))
        deviations.append(
            np.std(params["encoder"]["lower"]["layers"]["image"]["mlp"]["up"]["kernel"])
        )
    return float(deviations[0] / deviations[1])


def sizes(facts: dict) -> Ratios:
    """Parameters of every registered model, and of the parts of the paper's giant one."""

    def count(shapes: dict, pattern: str = ".*") -> int:
        return sum(int(np.prod(x.shape)) for p, x in shapes.items() if re.fullmatch(pattern, p))

    got = {}
    for name in facts["num_params"]:
        model, _, part = name.partition(" ")
        heads = {"encoder": (), "encoder+text head+image head": ("words", "codes")}
        config = registered(model)
        config = replace(config, heads=heads[part]) if part else config
        got[name] = count(parameter_shapes(Beit3(config)))
    want, giant = dict(facts["num_params"]), facts["giant_breakdown"]
    patterns = {
        "V_FFN": r"encoder/.*/image/mlp/(up|down)/.*",
        "L_FFN": r"encoder/.*/text/mlp/(up|down)/.*",
        "VL_FFN_top3": r"encoder/.*/pair/mlp/(up|down)/.*",
        "shared_attention": r"encoder/.*/attention/(query|key|value|out)/.*",
    }
    shapes = parameter_shapes(Beit3(CONFIGS["giant"]))
    for name, pattern in patterns.items():
        got[name], want[name] = count(shapes, pattern), giant[name]
    return {name: 0.0 if got[name] == want[name] else np.inf for name in want}


MANIFESTS = {
    "beit2": beit2.check_manifest,
    "beit3": check_manifest,
    "vqkd": beit3_tokenizer.check_manifest,
}

CHECKS = {
    "b3_layer_decay": check_layer_decay,
    "b3_train_steps": check_train_steps,
    "facts": check_facts,
    "manifest": lambda case: MANIFESTS[case.meta["model"].partition("_")[0]](case),
}
