"""Checks of VLMo's forward passes, losses and gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from vlx.interop import unilm_vlmo
from vlx.interop.table import to_official
from vlx.layers.pixels import normalise
from vlx.layers.relative import image_index, pair_index, text_index
from vlx.models.vlmo_config import IMAGE, PAD, TEXT
from vlx.tasks.vlmo import FROZEN_BY_TEXTS
from vlx.train.partition import flatten, partition

from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc
from golden_checks.vlmo_official import (
    batch_of,
    load,
    loss_and_gradient,
    model_of,
    official_names,
    round_trip,
    task_of,
)


def check_forward(case: Case) -> Ratios:
    c, table, params = load(case)
    model, inputs, want = model_of(c), case.group("in"), case.group("out")
    text, mask = inputs["text_ids"].astype(np.int32), inputs["text_masks"] > 0
    assert ((text != PAD) == mask).all(), "vlx tells padding by its id"

    def passes(m, image, text):
        pooled, tokens = m.encode_pair(image, text)
        got = {
            "pair/cls_feats": pooled,
            "pair/raw_cls_feats": tokens[:, 0],
            "pair/text_feats": tokens[:, : c.text_length],
            "pair/image_feats": tokens[:, c.text_length :],
            "visual_embed": m.image(image),
            "text_embeddings": m.text(text),
            "mlm_logits_text": m.words(None, text),
        }
        alone = {
            "image": (m.image(image) + m.types(jnp.full((1, 1), IMAGE)), None),
            "text": (m.text(text) + m.types(jnp.full((1, 1), TEXT)), (text != PAD)[:, None, None]),
        }
        for kind, (x, mask) in alone.items():
            last, (below, how) = m._alone(x, kind, mask)
            got |= {
                f"{kind}/last_hidden": last,
                f"{kind}/raw_cls_feats": last[:, 0],
                f"{kind}/feats": m.norm(last),
            }
            if c.encoder.pair_layers:
                out = m.of_image(image) if kind == "image" else m.of_text(text)
                got |= {
                    f"{kind}/cls_feats": out.vector,
                    f"{kind}/cls_vlffn_feats": out.pair_vector,
                    f"{kind}/last_vlffn_hidden": m.encoder.rise(below, (), together=True, **how),
                }
        return got

    def hidden(m, image, text):
        return m.encode_pair(image, text)[0]

    @jax.jit
    def run(params, image, text):
        apply = lambda method, **how: model.apply(  # noqa: E731
            {"params": params}, image, text, method=method, **how
        )
        _, kept = apply(hidden, mutable=["intermediates"])
        stacks = kept["intermediates"]["encoder"]
        outputs = [
            stacks[name]["layers"]["output"][0] for name in ("lower", "upper") if name in stacks
        ]
        return apply(passes), jnp.concatenate(outputs)

    got, layers = run(params, nhwc(inputs["image"]), text)
    got |= {f"pair/hidden_{i}": x for i, x in enumerate(layers)}
    got = {name: x for name, x in got.items() if name in want}
    index = {
        "relative_position_index": lambda: image_index(c.grid),
        "text_relative_position_index": lambda: text_index(c.grid, c.longest, c.text_length),
        "text_imag_relative_position_index": lambda: pair_index(c.grid, c.longest, c.text_length),
    }
    same = {
        name: 0.0 if (make() == inputs[name]).all() else np.inf
        for name, make in index.items()
        if name in inputs
    }
    return case.compare(got) | same | round_trip(case, table)


# kind -> the weights of the losses that the official code adds up
LOSSES = {
    "itc": {"contrastive": 1.0},
    "itm": {"matching": 1.0},
    "mlm": {"words": 0.25},
    "vl_total": {"contrastive": 1.0, "matching": 1.0, "words": 0.25},
    "textmlm": {"text_words": 1.0},
    "vqa": {"answers": 1.0},
    "nlvr2": {"truth": 1.0},
    "irtr": {"contrastive": 1.0, "pair_branch": False},
}


def negatives(batch: dict, inputs: dict) -> dict:
    """The rows that the official code drew."""
    if "neg_image_idx" not in inputs:
        return {}
    image, text = inputs["neg_image_idx"], inputs["neg_text_idx"]
    return {
        "image": {"image": batch["image"][image]},
        "text": {name: batch[name][text] for name in ("text", "text_mask")},
    }


def check_loss(case: Case) -> Ratios:
    kind, inputs, want = case.meta["kind"], case.group("in"), case.group("out")
    c, table, params = load(case)
    task, batch = task_of(c, **LOSSES[kind]), batch_of(inputs)
    chosen = negatives(batch, inputs)
    total, means, coupled, gradient = loss_and_gradient(task, params, batch, chosen)
    got = {"loss": total} | outputs(task, params, batch, chosen, coupled, want)
    names = {"itc_loss": "contrastive", "itm_loss": "matching"}
    got |= {name: means[term] for name, term in names.items() if name in want}
    if "mlm_loss" in want:
        got["mlm_loss"] = task.weights["words"] * means["words"]
    frozen = FROZEN_BY_TEXTS if kind == "textmlm" else ()
    without = untrained(task, table, params, frozen)
    assert without == set(case.group("param")) - set(case.group("grad"))
    gradient = {n: x for n, x in official_names(table, gradient).items() if n not in without}
    return case.compare(got) | case.compare_gradients(gradient) | round_trip(case, table)


def outputs(task, params, batch, chosen, coupled, want) -> dict:
    """What the official code returns beside losses, as far as it is wanted."""
    got = {}

    def apply(method, *arguments):
        def run(params, *arguments):
            return task.model.apply({"params": params}, *arguments, method=method)

        return jax.jit(run)(params, *arguments)

    image = batch.get("image")
    image = None if image is None else normalise(image, task.pixels)
    scales = {}
    if "contrastive" in task.config.heads:
        main, pair = apply("scales")
        scales = {"logit_scale": main, "logit_vl_scale": pair}
    vectors = {**coupled}
    if "image" in vectors and "i2t_logits" in str(want.keys()):
        logits = scales["logit_scale"] * vectors["image"] @ vectors["text"].T
        got |= {"i2t_logits": logits, "itc_i2t_logits": logits}
        share = [jax.nn.softmax(x, axis=1) * (1 - jnp.eye(len(x))) for x in (logits, logits.T)]
        got |= {"weights_i2t": share[0], "weights_t2i": share[1]}
        got |= {"image_cls_feats": vectors["image"], "text_cls_feats": vectors["text"]}
    if "pair_image" in vectors:
        got["vl_i2t_logits"] = (
            scales["logit_vl_scale"] * vectors["pair_image"] @ vectors["pair_text"].T
        )
        got |= {f"{kind}_cls_vlffn_feats": vectors[f"pair_{kind}"] for kind in ("image", "text")}
    got |= scales
    if "mlm_logits" in want:
        of = image if task.loss.words else None
        got["mlm_logits"] = apply("words", of, batch["masked_text"], batch["text_mask"])
    if "itm_logits" in want:
        other, text = chosen["image"]["image"], chosen["text"]
        images = np.concatenate([image, other, image])
        texts = [np.concatenate([batch[x], batch[x], text[x]]) for x in ("text", "text_mask")]
        got["itm_logits"] = apply("match_logits", images, *texts)
        got["itm_labels"] = np.repeat([1, 0, 0], len(image))
    if "vqa_logits" in want:
        logits = got["vqa_logits"] = apply("answer", image, batch["text"])
        best = np.argmax(logits, axis=1)
        got["vqa_score"] = np.mean(batch["answer_scores"][np.arange(len(best)), best])
    if "nlvr2_logits" in want:
        second = normalise(batch["second_image"], task.pixels)
        logits = got["nlvr2_logits"] = apply("answer", image, batch["text"], second)
        got["accuracy"] = np.mean(np.argmax(logits, axis=1) == batch["label"])
    return {name: x for name, x in got.items() if name in want}


def untrained(task, table, params, frozen) -> set[str]:
    """Official names of the parameters that a stage does not train."""
    trained = partition(params, task.left_out, frozen).trained
    marks = {path: np.full(x.shape, path in trained) for path, x in flatten(params).items()}
    names = to_official(table, marks)
    names.pop(unilm_vlmo.POSITION_IDS)
    assert all(x.all() or not x.any() for x in names.values())
    return {name for name, mark in names.items() if not mark.all()}


CHECKS = {"forward": check_forward} | dict.fromkeys(LOSSES, check_loss)
