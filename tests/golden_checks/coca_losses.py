"""Checks of the losses of CoCa, CLIP and SigLIP, on one and on several ranks."""

import jax
import jax.numpy as jnp

from vlx.objectives.captioning import captioning
from vlx.objectives.contrastive import contrastive, contrastive_by_rank, distillation, sigmoid
from vlx.objectives.ranks import means

from golden_checks.case import Case, Ratios


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


CHECKS = {
    "loss": check_loss,
    "loss_2rank": check_loss_by_rank,
    "loss_3rank": check_loss_by_rank,
}
