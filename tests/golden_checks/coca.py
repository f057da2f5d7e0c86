"""Checks of the CoCa and CLIP cases (open_clip)."""

import re

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.interop import clip as clip_format
from vlx.interop import open_clip_coca, open_clip_state
from vlx.interop.open_clip_config import read_config
from vlx.interop.positions import resize_grid, resize_length
from vlx.interop.table import to_official, to_vlx
from vlx.models.clip import Clip
from vlx.models.coca import CONFIGS, Coca, CocaConfig
from vlx.objectives.captioning import captioning
from vlx.objectives.contrastive import contrastive, contrastive_by_rank, distillation, sigmoid
from vlx.objectives.ranks import means
from vlx.tasks.coca import NO_DECAY, CocaLoss, CocaTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.schedule import ScheduleConfig, learning_rate
from vlx.train.state import create
from vlx.train.step import make_step

from golden_checks.case import Case, Ratios

MODEL_KEYS = {
    "embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "multimodal_cfg", "init_logit_bias",
    "init_logit_scale", "nonscalar_logit_scale", "pad_id", "custom_text",
}  # fmt: skip


def model_config(config: dict):
    """The vlx config of a case; what is not about the model is left out."""
    return read_config({k: v for k, v in config.items() if k in MODEL_KEYS})


def table_of(config, official) -> list:
    if isinstance(config, CocaConfig):
        return open_clip_coca.table(config)
    separate = any(name.startswith("text.") for name in official)
    return clip_format.table(config, "text." if separate else "")


def load_params(table, official: dict) -> dict:
    return unflatten_dict(to_vlx(table, official), sep="/")


def official_names(table, params: dict) -> dict:
    """Parameters or gradients under their official names."""
    return to_official(table, flatten_dict(params, sep="/"))


def nhwc(image: np.ndarray) -> np.ndarray:
    return image.transpose(0, 2, 3, 1)


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


def round_trip(table, official: dict) -> Ratios:
    """Official to vlx and back is the identity; as ratios, 0 or infinity."""
    back = to_official(table, to_vlx(table, official))
    same = set(back) == set(official) and all(
        np.allclose(back[name], official[name], rtol=0, atol=1e-6) for name in official
    )
    return {"round_trip": 0.0 if same else np.inf}


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


def check_loss(case: Case) -> Ratios:
    inputs, config = case.group("in"), case.config
    ones = jnp.ones(len(inputs["image_features"]))

    def coca(x):
        scale = jnp.exp(x["log_logit_scale"])
        words = (inputs["labels"] != config["pad_id"]).astype(jnp.float32)
        total, count = captioning(x["logits"], inputs["labels"], words)
        caption = config["caption_loss_weight"] * total / count
        weight = config["contrastive_loss_weight"]
        compare = jnp.zeros(())
        if weight:
            total, count = contrastive(x["image_features"], x["text_features"], scale, ones)
            compare = weight * total / count
        return {"contrastive_loss": compare, "caption_loss": caption, "loss": compare + caption}

    def clip(x):
        scale = jnp.exp(x["log_logit_scale"])
        total, count = contrastive(
            x["image_features"], x["text_features"], scale, ones, x.get("logit_bias")
        )
        return {"loss": total / count}

    def siglip(x):
        total, count = sigmoid(
            x["image_features"],
            x["text_features"],
            jnp.exp(x["log_logit_scale"]),
            ones,
            x["logit_bias"],
            config["negative_only"],
        )
        return {"loss": total / count}

    def distill(x):
        scale = jnp.exp(x["log_logit_scale"])
        total, count = contrastive(x["image_features"], x["text_features"], scale, ones)
        student = scale * x["image_features"] @ x["text_features"].T
        teacher = inputs["teacher_logit_scale"] * (
            inputs["teacher_image_features"] @ inputs["teacher_text_features"].T
        )
        rows, n = distillation(student, teacher, ones)
        columns, _ = distillation(student.T, teacher.T, ones)
        terms = {"contrastive_loss": total / count, "distill_loss": (rows + columns) / n / 2}
        return terms | {"loss": sum(terms.values())}

    objective = {"coca": coca, "clip": clip, "siglip": siglip, "distill": distill}[config["loss"]]
    live = {k: inputs[k] for k in inputs if f"grad/{k}" in case.tensors}

    @jax.jit
    def run(live):
        def loss(x):
            got = objective(x)
            return got["loss"], got

        (_, got), gradient = jax.value_and_grad(loss, has_aux=True)(live)
        return got, gradient

    got, gradient = run(live)
    return case.compare(got) | case.compare_gradients(gradient)


def check_loss_by_rank(case: Case) -> Ratios:
    """The losses of W processes, computed from the global batch on one device."""
    inputs, config = case.group("in"), case.config
    ranks, params = config["world_size"], case.group("param")

    def project(name, proj):
        x = inputs[f"{name}_input"] @ proj
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

    def by_rank(image, text, scale, bias, logits):
        """Losses of each rank: {name: [W]}; scale and bias may differ by rank: [W]."""
        flat = [x.reshape(-1, x.shape[-1]) for x in (image, text)]
        ones = jnp.ones(len(flat[0]))
        if config["loss"] == "siglip":
            return {
                "loss": jax.vmap(siglip_of_rank(flat[1]))(image, scale, bias, jnp.arange(ranks))
            }
        options = {
            "local_loss": config["local_loss"],
            "gather_with_grad": config["gather_with_grad"],
        }
        compare = contrastive_by_rank(*flat, scale, ones, ranks=ranks, **options)
        if config["loss"] == "clip":
            return {"loss": compare}
        labels = inputs["labels"].reshape(-1, inputs["labels"].shape[-1])
        words = (labels != config["pad_id"]).astype(jnp.float32)
        tokens = token_losses(logits.reshape(*labels.shape, -1), labels)
        caption = config["caption_loss_weight"] * means(tokens, words, ranks)
        compare = config["contrastive_loss_weight"] * compare
        return {"contrastive_loss": compare, "caption_loss": caption, "loss": compare + caption}

    def siglip_of_rank(texts):
        """Own block with its positives, the other ranks' texts as negatives only."""

        def loss(image, scale, bias, rank):
            logits = scale * image @ texts.T + bias
            own = jnp.arange(len(texts)) == (rank * len(image) + jnp.arange(len(image)))[:, None]
            return -jnp.sum(jax.nn.log_sigmoid(jnp.where(own, logits, -logits))) / len(image)

        return loss

    def features(params):
        image, text = project("image", params["image_proj"]), project("text", params["text_proj"])
        logits = inputs["decoder_hidden"] @ params["vocab_proj"] if "vocab_proj" in params else None
        return image, text, logits

    @jax.jit
    def run(params):
        scale = jnp.full(ranks, jnp.exp(inputs["log_logit_scale"]))
        bias = jnp.full(ranks, inputs.get("logit_bias", 0.0))
        image, text, logits = features(params)

        def total(image, text, scale, bias, logits):
            terms = by_rank(image, text, scale, bias, logits)
            return jnp.sum(terms["loss"]), terms

        gradient, terms = jax.grad(
            total, argnums=(0, 1, 2, 3, 4) if logits is not None else (0, 1, 2, 3), has_aux=True
        )(image, text, scale, bias, logits)
        return image, text, terms, gradient, scale

    image, text, terms, gradient, scale = run(params)
    to_image, to_text, to_scale, to_bias = gradient[:4]
    got = {"image_features": image, "text_features": text}
    got |= {f"{name}_per_rank": value for name, value in terms.items()}
    grads = {
        "image_features": to_image,
        "text_features": to_text,
        "log_logit_scale": to_scale * scale,
    }
    back = {"image_proj": ("image", to_image), "text_proj": ("text", to_text)}
    for name, (side, cotangent) in back.items():
        grads[f"{name}_per_rank"] = per_rank_gradient(
            lambda proj, side=side: project(side, proj), params[name], cotangent, ranks
        )
    if "vocab_proj" in params:
        hidden, to_logits = inputs["decoder_hidden"], gradient[4]
        grads["vocab_proj_per_rank"] = jnp.einsum("RBTD,RBTV->RDV", hidden, to_logits)
    if "grad/logit_bias" in case.tensors:
        grads["logit_bias"] = to_bias
    mean = {name.removesuffix("_per_rank"): jnp.mean(g, axis=0) for name, g in grads.items()}
    mean = {name: g for name, g in mean.items() if f"grad_mean/{name}" in case.tensors}
    grads = {name: g for name, g in grads.items() if f"grad/{name}" in case.tensors}
    ratios = case.compare(got) | case.compare_gradients(grads)
    return ratios | case.compare_gradients(mean, "grad_mean")


def token_losses(logits, labels):
    return (
        jax.nn.logsumexp(logits, axis=-1)
        - jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    )


def per_rank_gradient(function, parameter, cotangent, ranks: int):
    """What each rank's rows send back to a shared parameter: [W, ...]."""
    _, back = jax.vjp(function, parameter)
    own = jnp.eye(ranks)[:, :, None, None]
    return jnp.stack([back(cotangent * own[r])[0] for r in range(ranks)])


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


def coca_task(case: Case) -> CocaTask:
    weights = case.config
    loss = CocaLoss(
        contrastive=weights["contrastive_loss_weight"], captioning=weights["caption_loss_weight"]
    )
    return CocaTask(model_config(case.config), loss)


def coca_batch(case: Case, image, text) -> dict:
    return {
        "image": nhwc(image),
        "text": text,
        "text_mask": (text != case.config["pad_id"]).astype(np.float32),
        "weight": np.ones(len(text), np.float32),
    }


def check_train_steps(case: Case) -> Ratios:
    """Three updates by the training step that users run."""
    config, inputs = case.config, case.group("in")
    task, official = coca_task(case), case.group("param")
    table = table_of(task.config, official)
    params = load_params(table, official)
    low, high = config["logit_scale_clamp"]
    rules = OptimizerConfig(
        lr=config["lr"],
        b1=config["betas"][0],
        b2=config["betas"][1],
        eps=config["eps"],
        weight_decay=config["weight_decay"],
        no_decay=NO_DECAY[config["weight_decay_rule"]],
        clip=config["grad_clip_norm"] or 0.0,
        limits=(("logit_scale", low, high),),
        schedule=ScheduleConfig(config["schedule"], warmup=config["warmup"]),
    )
    assert undecayed(table, params, rules.no_decay) == set(config["no_decay"])
    part = partition(params, task.left_out, ())
    shapes = {path: x.shape for path, x in flatten_dict(params, sep="/").items()}
    scales = optimizer.rate_scales(rules, part, shapes, task.layer_groups)
    transformation = optimizer.build(rules, part)
    step = jax.jit(make_step(task, transformation, rules, part, scales))
    state = create(params, {}, transformation, part, averaged=False)
    got, ratios = {}, {}
    for i in range(len(config["lrs"])):
        rate = learning_rate(rules.schedule, rules.lr, config["total_steps"], i)
        np.testing.assert_allclose(rate, config["lrs"][i], rtol=1e-9)
        batch = coca_batch(case, inputs[f"image_{i}"], inputs[f"text_{i}"])
        state, metrics = step(state, batch, np.float32(rate), jax.random.key(0))
        got[f"contrastive_loss_{i}"] = config["contrastive_loss_weight"] * metrics["contrastive"]
        got[f"caption_loss_{i}"] = config["caption_loss_weight"] * metrics["captioning"]
        got[f"loss_{i}"] = metrics["loss"]
        got[f"logit_scale_param_{i}"] = state.params["logit_scale"]
        if i == 0:
            ratios |= compare_after(case, table, state.params, "after_step1")
    return ratios | case.compare(got) | compare_after(case, table, state.params, "after")


def compare_after(case: Case, table, params, prefix: str) -> Ratios:
    """Parameters after updates; key biases are rounding noise and are left out (README)."""
    got, want = official_names(table, params), case.group(prefix)
    for name in want:
        if name.endswith("in_proj_bias"):
            width = len(want[name]) // 3
            got[name] = np.array(got[name])
            got[name][width : 2 * width] = want[name][width : 2 * width]
    return case.compare(got, prefix)


def undecayed(table, params, patterns) -> set[str]:
    """Official names of the parameters that the patterns keep from decay."""
    flat = flatten_dict(params, sep="/")
    marks = {
        path: jnp.full(x.shape, any(re.fullmatch(p, path) for p in patterns))
        for path, x in flat.items()
    }
    return {name for name, mark in to_official(table, marks).items() if np.all(mark)}


def check_loss_accum(case: Case) -> Ratios:
    """Gradients of micro-batches equal those of the whole batch."""
    inputs, official = case.group("in"), case.group("param")
    pieces, task = case.config["accum_freq"], coca_task(case)
    table = table_of(task.config, official)
    params = load_params(table, official)
    # Piece j of the step takes every k-th row, so the rows are interleaved.
    image, text = (
        np.stack([inputs[f"{name}_{i}"] for i in range(pieces)], axis=1).reshape(
            -1, *inputs[f"{name}_0"].shape[1:]
        )
        for name in ("image", "text")
    )
    part = partition(params, task.left_out, ())
    rules = OptimizerConfig(name="sgd", b1=0.0)
    transformation = optimizer.build(rules, part)
    scales = dict.fromkeys(part.trained, 1.0)
    step = jax.jit(make_step(task, transformation, rules, part, scales, micro_batches=pieces))
    state = create(params, {}, transformation, part, averaged=False)
    batch = coca_batch(case, image, text)
    after, metrics = step(state, batch, np.float32(1), jax.random.key(0))
    gradient = official_names(table, jax.tree.map(jnp.subtract, params, after.params))
    true_scale = {"logit_scale": gradient["logit_scale"]}
    # The official loop counts the scale once for every micro-batch; vlx does not.
    gradient["logit_scale"] = gradient["logit_scale"] * pieces
    got = {
        "contrastive_loss": case.config["contrastive_loss_weight"] * metrics["contrastive"],
        "caption_loss": case.config["caption_loss_weight"] * metrics["captioning"],
        "loss": metrics["loss"],
    }
    ratios = case.compare(got) | case.compare_gradients(gradient)
    return ratios | case.compare_gradients(true_scale, "grad_full_batch")


def check_schedules(case: Case) -> Ratios:
    names = {"cosine": "cosine", "const": "constant", "const-cooldown": "constant"}
    ratios = {}
    for i, (given, want) in enumerate(zip(case.meta["inputs"], case.meta["outputs"], strict=True)):
        c = ScheduleConfig(
            names[given["schedule"]],
            warmup=given["warmup"],
            cooldown=given.get("cooldown_steps", 0),
            end=given.get("end_lr", 0.0),
            power=given.get("power", 1.0),
        )
        got = [learning_rate(c, given["base_lr"], given["steps"], s) for s in range(len(want))]
        ratios[f"schedule_{i}"] = np.max(np.abs(np.array(got) - want) / (1e-9 * np.abs(want)))
    return ratios


def check_param_groups(case: Case) -> Ratios:
    given = case.meta["inputs"]
    c = model_config(given["config"])
    task = CocaTask(c, CocaLoss())
    params = jax.eval_shape(lambda key: task.init(key)[0], jax.random.key(0))
    shapes = {path: x.shape for path, x in flatten_dict(params, sep="/").items()}
    part = partition(params, (), ())
    table, ratios = open_clip_coca.table(c), {}
    for i, (option, want) in enumerate(zip(given["options"], case.meta["outputs"], strict=True)):
        decays = {"image": "image_layer_decay", "text": "text_layer_decay"}
        rules = OptimizerConfig(
            no_decay=NO_DECAY[option["rule"]],
            layer_decay={name: option[key] for name, key in decays.items() if key in option},
        )
        kept = undecayed(table, {path: np.zeros(s) for path, s in shapes.items()}, rules.no_decay)
        scales = optimizer.rate_scales(rules, part, shapes, task.layer_groups)
        full = {path: np.broadcast_to(scales[path], shape) for path, shape in shapes.items()}
        got = {name: (name not in kept, x.flat[0]) for name, x in to_official(table, full).items()}
        assert {name: decayed for name, (decayed, _) in got.items()} == {
            name: decayed for name, (decayed, _) in want.items()
        }
        for name, (_, scale) in want.items():
            ratios[f"{i}/{name}"] = abs(got[name][1] - scale) / 1e-6
    return ratios


def check_facts(case: Case) -> Ratios:
    """Initial values of the full-size model: mean, deviation and bounds, by official name."""
    c = CONFIGS[case.meta["inputs"]["model"]]
    task = CocaTask(c, CocaLoss())
    table = open_clip_coca.table(c)
    params = jax.jit(lambda key: task.init(key)[0])(jax.random.key(0))
    official = official_names(table, jax.tree.map(np.asarray, params))
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
    "loss": check_loss,
    "loss_2rank": check_loss_by_rank,
    "loss_3rank": check_loss_by_rank,
    "loss_accum": check_loss_accum,
    "manifest": check_manifest,
    "param_groups": check_param_groups,
    "schedules": check_schedules,
    "train_steps": check_train_steps,
}
