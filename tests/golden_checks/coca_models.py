"""Checks of CoCa and CLIP models: outputs, gradients, manifests, initial values, old files."""

import re

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from vlx.interop import open_clip_coca, open_clip_state
from vlx.interop.positions import resize_grid, resize_length
from vlx.interop.table import to_official, to_vlx
from vlx.models.clip import Clip
from vlx.models.coca import CONFIGS, Coca, CocaConfig
from vlx.objectives.captioning import captioning
from vlx.objectives.contrastive import contrastive, sigmoid
from vlx.tasks.coca import CocaLoss, CocaTask

from golden_checks.case import Case, Ratios
from golden_checks.official import (
    load_params,
    model_config,
    nhwc,
    official_names,
    round_trip,
    table_of,
)


def losses(case_config: dict, out, text) -> dict:
    """The weighted CoCa losses of a model output."""
    words = (text[:, 1:] != case_config["pad_id"]).astype(jnp.float32)
    total, count = captioning(out.logits[:, :-1], text[:, 1:], words)
    caption = case_config["caption_loss_weight"] * total / count
    compare = jnp.zeros(())
    if case_config["contrastive_loss_weight"]:
        ones = jnp.ones(len(text))
        total, count = contrastive(out.image, out.text, out.scale.scale, ones)
        compare = case_config["contrastive_loss_weight"] * total / count
    return {"contrastive_loss": compare, "caption_loss": caption, "loss": compare + caption}


def check_forward(case: Case) -> Ratios:
    c = model_config(case.config)
    official = case.group("param")
    table, inputs = table_of(c, official), case.group("in")
    model = Coca(c)

    @jax.jit
    def run(params, image, text, noise):
        def loss(params):
            out = model.apply({"params": params}, image, text, noise)
            terms = losses(case.config, out, text)
            return terms["loss"], (out, terms)

        (_, aux), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return *aux, gradient

    noise = inputs.get("patch_rand")
    out, terms, gradient = run(
        load_params(table, official), nhwc(inputs["image"]), inputs["text"], noise
    )
    got = {
        "image_features": out.image,
        "text_features": out.text,
        "image_embs": out.image_tokens,
        "text_embs": out.text_tokens,
        "logits": out.logits,
        "logit_scale": out.scale.scale,
        **terms,
    }
    if out.scale.bias is not None:
        got["logit_bias"] = out.scale.bias
    ratios = case.compare(got) | case.compare_gradients(trainable(case, table, gradient))
    return ratios | round_trip(table, official)


def trainable(case: Case, table, gradient) -> dict:
    """Gradients under official names, without the tables that are fixed in the official model."""
    gradient = official_names(table, gradient)
    return {name: g for name, g in gradient.items() if f"grad/{name}" in case.tensors}


def check_clip_forward(case: Case) -> Ratios:
    c = model_config(case.config)
    official = case.group("param")
    table, inputs = table_of(c, official), case.group("in")
    model = Clip(c)
    of_siglip = case.config["loss"] == "siglip"

    def towers(clip, image, text):
        embedded = clip.image.embed(image)
        last = clip.image.encoder(embedded)
        return {
            "visual_embedded": embedded,
            "visual_last_block": last,
            "visual_tokens_ln_post": clip.image.norm(last),
            "image_features_unnormalised": clip.image(image)[0],
            "text_features_unnormalised": clip.text(text)[0],
        }

    @jax.jit
    def run(params, image, text):
        def loss(params):
            image_, text_, scale = model.apply({"params": params}, image, text)
            objective = sigmoid if of_siglip else contrastive
            total, count = objective(image_, text_, scale.scale, jnp.ones(len(text)), scale.bias)
            got = {"image_features": image_, "text_features": text_, "logit_scale": scale.scale}
            if scale.bias is not None:
                got["logit_bias"] = scale.bias
            return total / count, got | {"loss": total / count}

        (_, got), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        more, kept = model.apply(
            {"params": params}, image, text, method=towers, mutable=["intermediates"]
        )
        layers = kept["intermediates"]["image"]["encoder"]["layers"]["output"][0]
        return got | more, layers, gradient

    got, layers, gradient = run(load_params(table, official), nhwc(inputs["image"]), inputs["text"])
    grid = c.vision.grid
    patches = layers[-1][:, 1:].reshape(-1, *grid, layers.shape[-1])
    got["image_intermediate_nchw_last"] = patches.transpose(0, 3, 1, 2)
    ratios = case.compare(got) | case.compare_gradients(official_names(table, gradient))
    return ratios | round_trip(table, official)


def check_manifest(case: Case) -> Ratios:
    """Every official tensor and every vlx parameter of a full-size model is in the table."""
    c = model_config(case.meta["config"])
    official = {
        name: jax.ShapeDtypeStruct(tuple(shape), jnp.float32)
        for name, shape in case.meta["params"].items()
    }
    table = table_of(c, official)
    model = Coca(c) if isinstance(c, CocaConfig) else Clip(c)
    size = (1, *c.vision.image_size, 3)
    inputs = jnp.zeros(size), jnp.zeros((1, 8), jnp.int32)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), *inputs)["params"])
    params = flatten_dict(params, sep="/")
    got = jax.eval_shape(lambda x: to_vlx(table, x), official)
    assert {k: v.shape for k, v in got.items()} == {k: v.shape for k, v in params.items()}
    back = jax.eval_shape(lambda x: to_official(table, x), params)
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in official.items()}
    count = sum(np.prod(v.shape, dtype=np.int64) for v in params.values())
    assert count == case.meta["num_params"]
    return {"shapes": 0.0}


def check_facts(case: Case) -> Ratios:
    """Initial values of the full-size model: mean, deviation and bounds, by official name."""
    c = CONFIGS[case.meta["inputs"]["model"]]
    task = CocaTask(c, CocaLoss())
    table = open_clip_coca.table(c)
    params = jax.jit(lambda key: task.init(key)[0])(jax.random.key(0, impl="rbg"))
    official = official_names(table, params)
    ratios = {}
    for name, fact in case.meta["outputs"].items():
        pattern = re.compile(re.escape(name).replace(r"\*", r"\d+"))
        arrays = [x for key, x in official.items() if pattern.fullmatch(key)]
        assert len(arrays) == fact["count"], name
        assert list(arrays[0].shape) == fact["shape"], name
        if "mean" in fact:
            ratios[name] = initial_error(arrays, fact)
        else:  # uninitialised in the official code; its intended rule
            width = fact["shape"][0]
            ratios[name] = abs(np.std(arrays[0]) / width**-0.5 - 1) / 0.01
    return ratios


def initial_error(arrays, fact: dict) -> float:
    """How far a random initialisation is from the official one, over what chance allows."""
    size = sum(x.size for x in arrays)
    mean, std = np.mean([x.mean() for x in arrays]), np.mean([x.std() for x in arrays])
    if fact["std"] == 0:
        return max(abs(mean - fact["mean"]), std) / 1e-4
    chance = 6 / np.sqrt(size)  # six standard errors of either side
    ratio = max(
        abs(mean - fact["mean"]) / (chance * fact["std"]), abs(std / fact["std"] - 1) / chance
    )
    if fact["rule"].startswith("uniform"):  # bounds are exact; those of a normal draw are chance
        bound = max(abs(fact["min"]), abs(fact["max"]))
        largest = max(np.abs(x).max() for x in arrays)
        ratio = max(ratio, abs(largest / bound - 1) / max(0.005, 20 / size))
    return float(ratio)


def check_load(case: Case) -> Ratios:
    return check_load_keys(case) if case.path.suffix == ".json" else check_load_positions(case)


def check_load_positions(case: Case) -> Ratios:
    inputs, got = case.group("in"), {}
    for item in case.config["cases"]:
        name = item["name"]
        grid = tuple(item["grid_to"])
        visual = resize_grid(inputs[f"{name}/visual"], grid, extra=1)
        got |= {
            f"{name}/visual": visual,
            f"{name}/text": resize_length(inputs[f"{name}/text"], item["text_to"]),
        }
    return case.compare(got)


def check_load_keys(case: Case) -> Ratios:
    """Old files: which tensor ends up under which name."""
    for given, want in zip(case.meta["inputs"], case.meta["outputs"], strict=True):
        rng = np.random.default_rng(0)
        file = {
            name: rng.normal(size=shape).astype(np.float32) for name, shape in given["keys"].items()
        }
        wrapped = {"state_dict": file, "epoch": 1} if given["wrapped_in_state_dict"] else file
        targets = given["target_shapes"]
        got = open_clip_state.clean(wrapped, {name: tuple(s) for name, s in targets.items()})
        assert set(got) == set(want["loaded_from"])
        for name, source in want["loaded_from"].items():
            value = np.zeros(targets[name]) if source is None else file[source]
            np.testing.assert_array_equal(got[name], value.reshape(targets[name]))
    return {"names": 0.0}


CHECKS = {
    "clip_forward": check_clip_forward,
    "facts": check_facts,
    "forward": check_forward,
    "load": check_load,
    "manifest": check_manifest,
}
