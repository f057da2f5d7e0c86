"""Checks of the CoCa and CLIP cases (open_clip)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.interop import clip as clip_format
from vlx.interop import open_clip_coca
from vlx.interop.open_clip_config import read_config
from vlx.interop.table import to_official, to_vlx
from vlx.models.clip import Clip, ClipConfig
from vlx.models.coca import Coca
from vlx.objectives.captioning import captioning
from vlx.objectives.contrastive import contrastive, contrastive_by_rank, distillation, sigmoid
from vlx.objectives.ranks import means

from golden_checks.case import Case, Ratios

MODEL_KEYS = {
    "embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "multimodal_cfg", "init_logit_bias",
    "init_logit_scale", "nonscalar_logit_scale", "pad_id", "custom_text",
}  # fmt: skip


def model_config(config: dict):
    """The vlx config of a case; what is not about the model is left out."""
    return read_config({k: v for k, v in config.items() if k in MODEL_KEYS})


def table_of(config, official) -> list:
    if isinstance(config, ClipConfig):
        separate = any(name.startswith("text.") for name in official)
        return clip_format.table(config, "text." if separate else "")
    return open_clip_coca.table(config)


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

    got, layers, gradient = run(
        load_params(table, official), nhwc(inputs["image"]), inputs["text"]
    )
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
            return {"loss": jax.vmap(siglip_of_rank(flat[1]))(image, scale, bias, jnp.arange(ranks))}
        options = {"local_loss": config["local_loss"], "gather_with_grad": config["gather_with_grad"]}
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

        gradient, terms = jax.grad(total, argnums=(0, 1, 2, 3, 4) if logits is not None else
                                   (0, 1, 2, 3), has_aux=True)(image, text, scale, bias, logits)
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
    return jax.nn.logsumexp(logits, axis=-1) - jnp.take_along_axis(
        logits, labels[..., None], axis=-1
    )[..., 0]


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
    model = Clip(c) if isinstance(c, ClipConfig) else Coca(c)
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


CHECKS = {
    "forward": check_forward,
    "clip_forward": check_clip_forward,
    "loss": check_loss,
    "loss_2rank": check_loss_by_rank,
    "loss_3rank": check_loss_by_rank,
    "manifest": check_manifest,
}
