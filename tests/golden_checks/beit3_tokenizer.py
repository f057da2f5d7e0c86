"""Checks of VQ-KD: the quantizer by itself, a step of training, tokens, the full-size files."""

import re

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from vlx.interop import dino, unilm_beit2_vqkd
from vlx.interop.open_clip_blocks import vision
from vlx.interop.table import to_official, to_vlx
from vlx.layers.attention import unit
from vlx.layers.multiway import MultiwayConfig
from vlx.layers.pixels import STATISTICS
from vlx.layers.quantizer import add_up, follow, kmeans, quantize
from vlx.layers.transformer import TransformerConfig
from vlx.layers.vision import VisionConfig, VisionTransformer
from vlx.models import parameter_shapes
from vlx.models.beit import Beit, BeitConfig
from vlx.models.vqkd import Vqkd, VqkdConfig
from vlx.tasks import apart, whole
from vlx.tasks.task import MODEL
from vlx.tasks.vqkd import VqkdLoss, VqkdTask
from vlx.train.partition import flatten

from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc

ROUNDS = 10  # of k-means, where a case does not say


def check_forward(case: Case) -> Ratios:
    return check_training(case) if "encoder" in case.config else check_quantizer(case)


def rows_of(z) -> jax.Array:
    """[b, c, h, w] -> [b, h w, c], of unit length."""
    return unit(z.reshape(*z.shape[:2], -1).swapaxes(1, 2))


def channels_first(vectors, like) -> jax.Array:
    """[b, h w, c] -> [b, c, h, w], of the shape of `like`."""
    return vectors.swapaxes(1, 2).reshape(like.shape)


def check_quantizer(case: Case) -> Ratios:
    """Some steps on one rank or on several, each with a codebook of its own."""
    settings = case.config
    ranks = settings.get("world_size", 1)
    places = [f"rank{r}/" for r in range(ranks)] if ranks > 1 else [""]
    evaluation = re.search(r"(\d+) eval", settings.get("steps", ""))
    codes, kmeans_counts = _first_codes(case, places)
    usage, got = jnp.zeros(settings["n_codes"]), {}
    steps = len({re.search(r"step(\d+)/", name)[1] for name in case.group("in") if "step" in name})
    for step in range(steps):
        z = _given(case, places, f"step{step}/z")
        weighed = case.tensors.get(f"in/{places[0]}step{step}/weight", np.zeros_like(z))
        z_q, q, gradient, moved, usage = _step(z, weighed, codes, usage, settings)
        if not (evaluation and int(evaluation[1]) == step):
            codes = moved
        for r, place in enumerate(places):
            own = slice(r * len(z) // ranks, (r + 1) * len(z) // ranks)
            values = {
                "cluster_size": usage,
                "codebook": codes[r],
                "indices": q.index[own].reshape(-1),
                "loss": settings["beta"] * jnp.mean(q.error[own]),
                "z_q": z_q[own],
                "grad_z": gradient[own],
                "kmeans_cluster_size": kmeans_counts[r],
            }
            named = {f"{place}step{step}/{name}": x for name, x in values.items()}
            got |= {name: x for name, x in named.items() if f"out/{name}" in case.tensors}
    return case.compare(got)


def _given(case: Case, places: list[str], name: str) -> np.ndarray:
    """The batches of all ranks, one after the other."""
    return np.concatenate([case.tensors[f"in/{place}{name}"] for place in places])


def _first_codes(case: Case, places: list[str]) -> tuple[jax.Array, jax.Array]:
    """The codebook of each rank, and the sizes of its clusters."""
    if f"in/{places[0]}kmeans_start_rows" not in case.tensors:
        codes = jnp.stack([case.tensors["param/embedding.weight"]] * len(places))
        return codes, jnp.zeros(codes.shape[:2])
    rounds = case.config.get("kmeans_iters", ROUNDS)

    def start(z, chosen):
        rows = rows_of(z).reshape(-1, z.shape[1])
        return kmeans(rows, jnp.ones(len(rows)), rows[chosen], rounds)

    started = [
        jax.jit(start)(
            case.tensors[f"in/{place}step0/z"], case.tensors[f"in/{place}kmeans_start_rows"]
        )
        for place in places
    ]
    return tuple(map(jnp.stack, zip(*started, strict=True)))


def _step(z, weighed, codes, usage, settings):
    """Codes of z, what follows from them, and the gradient of the loss and the weighed codes."""

    @jax.jit
    def run(z, codes, usage):
        def loss(z):
            q = quantize(rows_of(z), codes)
            z_q = channels_first(q.vectors, z)
            return settings["beta"] * jnp.mean(q.error) + jnp.sum(z_q * weighed), (z_q, q)

        (_, (z_q, q)), gradient = jax.value_and_grad(loss, has_aux=True)(z)
        sums = add_up(rows_of(z), q.index, jnp.ones(q.index.shape), len(usage))
        return z_q, q, gradient, *follow(codes, usage, *sums, settings["decay"])

    return run(z, codes, usage)


def load(case: Case) -> tuple[VqkdConfig, list, dict]:
    """Config, table and parameters of a case, which may be a tokenizer without decoder."""
    state = case.group("param") | case.group("buffer")
    features = case.config["decoder_out_dim"] if "decoder.cls_token" in state else 0
    c = unilm_beit2_vqkd.read_config({**case.config, "decoder_out_dim": features})
    table = unilm_beit2_vqkd.table(c)
    shapes = jax.eval_shape(lambda x: to_official(table, x), parameter_shapes(Vqkd(c)))
    given = unilm_beit2_vqkd.clean(state, {name: x.shape for name, x in shapes.items()})
    return c, table, unflatten_dict(to_vlx(table, given), sep="/")


def in_model_range(image: np.ndarray) -> np.ndarray:
    """The official range rule, which vlx does not need: its images are bytes."""
    return (image * 255 if np.max(image) <= 1 else image) / 127.5 - 1


def check_training(case: Case) -> Ratios:
    c, table, tree = load(case)
    settings = case.config
    image = in_model_range(case.tensors["in/image"])
    target = teacher_target(case, nhwc(np.clip((image + 1) / 2, 0, 1)))
    loss = VqkdLoss(quantize=settings["beta"], decay=settings["decay"], teacher="given")
    task = VqkdTask(c, loss)
    usage = case.tensors["buffer/quantize.cluster_size"]
    params, buffers = apart(tree, {MODEL: {"codebook": tree["codebook"]}, "usage": usage})
    batch = {"image": nhwc(image), "target": target, "weight": np.ones(len(image), np.float32)}

    @jax.jit
    def run(params, buffers):
        prepared, held = task.prepare(params, buffers, batch, 0, jax.random.key(0), {})

        def total(params):
            out = task.embed(params, held, prepared, 0, {})
            means = {name: x / count for name, (x, count) in out.terms.items()}
            return sum(task.weights[name] * x for name, x in means.items()), (means, out)

        (value, (means, out)), gradient = jax.value_and_grad(total, has_aux=True)(params)
        statistics = {"embed": out.statistics}
        after = task.advance(params, held, out.coupled, statistics, 0)
        return value, means, gradient, after

    value, means, gradient, after = run(params, buffers)

    @jax.jit
    def inside(params):
        z, states = task.model.apply(
            {"params": params},
            batch["image"],
            method="code_vectors",
            capture_intermediates=lambda module, name: name in ("__call__", "patch_features"),
        )
        q = quantize(z, params["codebook"][None])
        made = task.model.apply({"params": params}, q.vectors, method="decode")
        return states["intermediates"], q, made

    states, q, made = inside(whole(params, buffers))
    z_q = np.moveaxis(q.vectors.reshape(len(image), *c.grid, -1), -1, 1)
    got = {
        "encoder_features": states["encoder"]["patch_features"][0],
        "indices": q.index.reshape(-1),
        "loss": value,
        "pre_processed": image,
        "quant_loss": settings["beta"] * means["quantize"],
        "rec": made,
        "rec_loss": means["reconstruct"],
        "teacher_target": target,
        "to_quantizer": states["code_head"]["__call__"][0],
        "z_q": z_q,
    }
    changed = {
        "quantize.cluster_size": after["usage"],
        "quantize.embedding.weight": after[MODEL]["codebook"],
    }
    gradient = to_official(table, flatten(jax.device_get(whole(gradient, buffers))))
    gradient = {name: x for name, x in gradient.items() if not name.startswith("quantize.")}
    compared = case.compare(got) | case.compare(changed, "after")
    return compared | case.compare_gradients(gradient)


def teacher_target(case: Case, image: np.ndarray) -> jax.Array:
    """What the case's teacher sees; image: 0..1."""
    sizes = case.config["teacher_config"]
    state = {
        name.removeprefix("teacher_model."): x
        for name, x in case.group("param").items()
        if name.startswith("teacher_model.")
    }
    if case.config["teacher"] == "clip":
        hidden = len(state["visual.transformer.resblocks.0.mlp.c_fc.bias"])
        tower = TransformerConfig(
            sizes["width"], sizes["layers"], sizes["heads"], hidden, activation="quick_gelu"
        )
        patch = state["visual.conv1.weight"].shape[-1]
        c = VisionConfig(image.shape[1:3], patch, tower)
        params = to_vlx(vision(c, sizes["out"]), state)
        params = {path.removeprefix("image/"): x for path, x in params.items()}
        model, statistics = VisionTransformer(c, sizes["out"], BeitConfig.compute), "clip"
    else:
        encoder = MultiwayConfig(
            sizes["embed_dim"], sizes["depth"], sizes["heads"], 1, experts=("image",)
        )
        like = BeitConfig(encoder, image.shape[1:3], codes=0)
        c = dino.describe(state, like)
        params, model = to_vlx(dino.table(c), state), Beit(c)
        statistics = c.pixels
    mean, deviation = (np.asarray(x, np.float32) for x in STATISTICS[statistics])
    seen, tree = (image - mean) / deviation, unflatten_dict(params, sep="/")
    return jax.jit(lambda p: model.apply({"params": p}, seen, method="patch_features"))(tree)


def check_tokens(case: Case) -> Ratios:
    c, _, params = load(case)
    model = Vqkd(c)
    tokens = jax.jit(lambda x: model.apply({"params": params}, x, method="tokens"))
    got = {}
    for name, image in case.group("in").items():
        seen, kind = in_model_range(image), name.removeprefix("image_")
        got |= {f"input_img_{kind}": seen, f"tokens_{kind}": tokens(nhwc(seen))}
    return case.compare(got)


def check_manifest(case: Case) -> Ratios:
    """The full-size model under official names has these shapes and no others."""
    c = unilm_beit2_vqkd.PRESETS[case.meta["model"]]
    settings = case.config
    assert (c.encoder.layers, c.decoder.layers) == (
        settings["encoder_depth"],
        settings["decoder_depth"],
    )
    shapes = parameter_shapes(Vqkd(c))
    got = jax.eval_shape(lambda x: to_official(unilm_beit2_vqkd.table(c), x), shapes)
    want = {**case.meta["params"], **case.meta["buffers"]}
    assert set(got) == set(want), sorted(set(got) ^ set(want))
    assert sum(int(np.prod(s)) for s in case.meta["params"].values()) == case.meta["num_params"]
    told = unilm_beit2_vqkd.describe({n: np.broadcast_to(0, shape) for n, shape in want.items()})
    assert told == c, "the file alone tells the model"
    return {name: 0.0 if list(got[name].shape) == want[name] else np.inf for name in want}


CHECKS = {"b2_vqkd_forward": check_forward, "b2_tokens": check_tokens}
