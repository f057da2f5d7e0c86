"""Checks of BEiT-3's forward passes, losses and gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vlx.interop.positions import resize_grid
from vlx.layers.pixels import normalise
from vlx.models.beit3 import Beit3
from vlx.models.beit3_config import RESERVED
from vlx.objectives.cross_entropy import cross_entropy
from vlx.tasks.beit3_pretraining import MaskedLoss, MaskedTask

from golden_checks.beit3_official import (
    batch_of,
    load,
    official_names,
    round_trip,
    task_of,
    untrained,
)
from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc
from golden_checks.vlmo_official import loss_and_gradient


def check_forward(case: Case) -> Ratios:
    c, table, params = load(case)
    model, inputs, want = Beit3(c), case.group("in"), case.group("out")
    image, text = nhwc(inputs["image"]), inputs["text_ids"].astype(np.int32)
    mask = inputs["text_padding"] == 0
    hidden, allowed, everything = None, None, np.ones_like(mask)
    if "vision_mask" in inputs:
        hidden, allowed = inputs["vision_mask"] > 0, inputs["attn_mask"] == 0

    def passes(m, names):
        kinds = {
            "pair": lambda: m._encode(image, text, mask),
            "image_only": lambda: m._encode(image),
            "image_only_masked": lambda: m._encode(image, hidden=hidden),
            "text_only": lambda: m._encode(text=text, mask=mask),
            "text_only_nopad_mask": lambda: m._encode(text=text, mask=everything),
            "text_only_hidden0": lambda: m.text(text) * mask[..., None],
            "pair_masked": lambda: m._encode(image, text, mask, hidden),
            "pair_attn_mask": lambda: m._encode(image, text, mask, allowed=allowed),
            "pair_nopad_mask": lambda: m._encode(image, text, everything),
        }
        return {name: kinds[name]() for name in names if name in kinds}

    @jax.jit
    def run(params):
        got = model.apply({"params": params}, want, method=passes)
        layers = model.apply(
            {"params": params}, None, text, mask, method="_encode", mutable=["intermediates"]
        )[1]["intermediates"]["encoder"]["lower"]["layers"]["output"][0]
        return got, layers

    got, layers = run(params)
    got |= {f"text_only_hidden{i}": x for i, x in enumerate(layers, start=1)}
    names = sorted(set(want) & {"image_only_masked", "text_only", "pair"})

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        got = model.apply({"params": params}, names, method=passes)
        weighted = (jnp.mean(got[x] * inputs[f"weight_{x}"]) for x in names)
        return sum(weighted)

    ratios = round_trip(case, table)
    if "loss" in want:
        got["loss"], gradient = loss(params)
        ratios |= case.compare_gradients(official_names(table, gradient))
    return case.compare({name: got[name] for name in want if name in got}) | ratios


# kind -> the loss that its gradient is of
LOSSES = {
    "b3_imagecls": {"classes": 1.0},
    "b3_vqa": {"answers": 1.0},
    "b3_nlvr2": {"truth": 1.0},
    "b3_captioning": {"captions": 1.0},
    "b3_retrieval": {"contrastive": 1.0},
}


def check_loss(case: Case) -> Ratios:
    (term,) = LOSSES[case.meta["kind"]]
    c, table, params = load(case, term)
    form = {
        name: case.config[official]
        for official, name in {
            "label_smoothing": "label_smoothing",
            "drop_worst_ratio": "drop_worst",
            "drop_worst_after": "drop_after",
        }.items()
        if official in case.config
    }
    task, batch = task_of(c, **{term: 1.0}, **form), batch_of(joined(case))
    total, _, coupled, gradient = loss_and_gradient(task, params, batch)
    got = outputs(task, params, batch, coupled, case) | {"loss": total}
    without = untrained(task, table, params)
    assert without == set(case.group("param")) - set(case.group("grad"))
    gradient = {n: x for n, x in official_names(table, gradient).items() if n not in without}
    return case.compare(got) | case.compare_gradients(gradient) | round_trip(case, table)


def joined(case: Case) -> dict:
    """The inputs of all ranks one after another."""
    inputs, ranks = case.group("in"), case.config.get("world_size", 1)
    if ranks == 1:
        return inputs
    own = [case.group(f"in/rank{rank}") for rank in range(ranks)]
    return {name: np.concatenate([x[name] for x in own]) for name in own[0]}


def outputs(task, params, batch, coupled, case: Case) -> dict:
    """What the official code returns beside the loss."""
    want, got = case.group("out"), {}
    if "image" in coupled:
        for rank in range(ranks := case.config.get("world_size", 1)):
            start = f"rank{rank}/" if ranks > 1 else ""
            for kind in ("image", "text"):
                got[f"{start}{kind}_feature"] = np.split(coupled[kind], ranks)[rank]
        return got | by_rank(params, coupled, ranks)
    if "losses" in coupled:
        return got | captions(task, params, batch, coupled, want)
    image, mask = task_pixels(task, batch), batch.get("text_mask")
    if task.loss.classes:
        logits = got["logits"] = task.model.apply({"params": params}, image, method="classify")
        for name, smoothing in (("label_smoothing_0.1", 0.1), ("plain_ce", 0.0)):
            got[f"loss_{name}"] = jnp.mean(cross_entropy(logits, batch["label"], smoothing))
        return got
    second = task_pixels(task, batch, "second_image") if task.loss.truth else None
    arguments = image, batch["text"], second, mask
    logits = got["logits"] = task.model.apply({"params": params}, *arguments, method="answer")
    if task.loss.answers:
        best = np.argmax(logits, axis=1)
        got["vqa_score"] = np.mean(batch["answer_scores"][np.arange(len(best)), best])
    return got


def by_rank(params, coupled, ranks: int) -> dict:
    """Each official process' own loss and its gradient to the temperature."""
    if ranks == 1:
        return {}

    def own(logarithm, rank):
        scale, losses = jnp.exp(logarithm), []
        for rows, columns in (("image", "text"), ("text", "image")):
            x = np.split(coupled[rows], ranks)[rank]
            label = rank * len(x) + np.arange(len(x))
            losses.append(jnp.mean(cross_entropy(scale * x @ coupled[columns].T, label)))
        return sum(losses) / 2

    got = {}
    for rank in range(ranks):
        value, slope = jax.value_and_grad(own)(params["logit_scale"], rank)
        got |= {f"rank{rank}/loss": value, f"rank{rank}/grad_logit_scale": slope}
    return got


def captions(task, params, batch, coupled, want) -> dict:
    """Logits at all places and at those that count, and the loss before and after words drop."""
    mask, where = batch["text_mask"], batch["masked"] > 0
    arguments = batch["image"], batch["masked_text"], mask
    logits = task.model.apply({"params": params}, *arguments, method="caption_logits")
    got = {
        "labels": batch["text"][where],
        "logits_all": logits,
        "logits_masked": logits[where],
    }
    after = task.loss.drop_after
    for name, step in (("loss_at_drop_worst_after", after), ("loss_drop_worst", after + 1)):
        total, count = task.couple(params, {}, coupled, step, None)[0]["captions"]
        got[name] = total / count
    return {name: x for name, x in got.items() if name in want}


def task_pixels(task, batch, name: str = "image"):
    return normalise(batch[name], task.pixels)


def check_resize(case: Case) -> Ratios:
    """Image positions of another grid, as `init_from` makes them."""
    (name,) = case.group("out")
    c, patch = case.config, case.config["patch_size"]
    old, new = ((c[x] // patch,) * 2 for x in ("src_img_size", "dst_img_size"))
    table = case.group("in")[name]
    return case.compare({name: resize_grid(table, new, RESERVED + 1, old, antialias=False)})


def check_masked(case: Case) -> Ratios:
    """All four terms of one step, with codes in place of a tokenizer."""
    c, table, params = load(case, "words", "codes")
    inputs, task = case.group("in"), MaskedTask(c, MaskedLoss())
    names = {
        "image": {"image_mask": "patch_mask", "image_codes": "codes"},
        "text": {"text_ids": "text", "masked_text_ids": "masked_text", "text_mask": "masked"},
    }
    names["pair"] = names["image"] | names["text"]
    batch = {}
    for group, official in names.items():
        prefix = "pair_" if group == "pair" else ""
        own = {ours: inputs[f"{prefix}{name}"].astype(np.int32) for name, ours in official.items()}
        if group != "image":
            own["text_mask"] = inputs[f"{prefix}text_padding"] == 0
        if group != "text":
            own["image"] = nhwc(inputs[f"{prefix}image"])
        batch[group] = own | {"weight": np.ones(len(next(iter(own.values()))), np.float32)}
    total, means, _, gradient = loss_and_gradient(task, params, batch)
    got = {"loss": total, "loss_image": means["image_codes"], "loss_text": means["text_words"]}
    got |= {
        f"loss_pair_{k}": means[f"pair_{v}"] for k, v in (("image", "codes"), ("text", "words"))
    }

    @jax.jit
    def outputs(params):
        run = partial(task.model.apply, {"params": params})
        image, text, pair = batch["image"], batch["text"], batch["pair"]
        text_in, pair_in = ((x["masked_text"], x["text_mask"]) for x in (text, pair))
        hidden = image["patch_mask"] > 0, pair["patch_mask"] > 0
        codes, words = run(pair["image"], hidden[1], *pair_in, method="pair_logits")
        logits = {
            "image_logits": run(image["image"], hidden[0], method="code_logits"),
            "text_logits": run(None, *text_in, method="words"),
            "pair_image_logits": codes,
            "pair_text_logits": words,
        }
        encoded = {
            "image_encoded": run(image["image"], hidden=hidden[0], method="_encode"),
            "text_encoded": run(None, *text_in, method="_encode"),
            "pair_encoded": run(pair["image"], *pair_in, hidden[1], method="_encode"),
        }
        return logits, encoded

    logits, encoded = outputs(params)
    where = {
        "image_logits": batch["image"]["patch_mask"],
        "text_logits": batch["text"]["masked"],
        "pair_image_logits": batch["pair"]["patch_mask"],
        "pair_text_logits": batch["pair"]["masked"],
    }
    got |= encoded | {name: x[where[name] > 0] for name, x in logits.items()}
    without = untrained(task, table, params)
    assert without == set(case.group("param")) - set(case.group("grad"))
    gradient = {n: x for n, x in official_names(table, gradient).items() if n not in without}
    return case.compare(got) | case.compare_gradients(gradient) | round_trip(case, table)


CHECKS = {
    "b3_forward": check_forward,
    "b3_mdm": check_masked,
    "b3_resize": check_resize,
} | dict.fromkeys(LOSSES, check_loss)
