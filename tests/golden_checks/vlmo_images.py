"""Checks of VLMo's first stage: BEiT and its visual tokenizer."""

import math
from functools import partial

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from vlx.interop import dall_e, unilm_beit
from vlx.interop.table import to_official, to_vlx, with_computed
from vlx.layers.pixels import STATISTICS
from vlx.layers.relative import image_rows
from vlx.models import parameter_shapes
from vlx.models.beit import Beit, BeitConfig, fresh_params
from vlx.models.dvae import Dvae
from vlx.tasks.beit import NO_DECAY, BeitLoss, BeitTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import flatten, partition
from vlx.train.schedule import ScheduleConfig, learning_rate

from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc, undecayed
from golden_checks.vlmo_official import compare_pooled


def load(case: Case) -> tuple[BeitConfig, list, dict]:
    """Config, table and parameters of a case."""
    c = unilm_beit.read_config(case.config)
    table = unilm_beit.table(c)
    shapes = jax.eval_shape(lambda x: to_official(table, x), parameter_shapes(Beit(c)))
    state = case.group("param") | case.group("buffer")
    given = with_computed(table, state)
    assert {name: x.shape for name, x in given.items()} == {n: x.shape for n, x in shapes.items()}
    return c, table, unflatten_dict(to_vlx(table, given), sep="/")


def official_names(table, params) -> dict:
    names = to_official(table, flatten(params))
    return {name: x for name, x in names.items() if not name.endswith(unilm_beit.INDEX)}


def loss_and_gradient(task: BeitTask, params, batch):
    def loss(params):
        (total, count) = task.embed(params, {}, batch, 0, {}).terms.popitem()[1]
        return total / count

    return jax.jit(jax.value_and_grad(loss))(params)


def check_mim(case: Case) -> Ratios:
    c, table, params = load(case)
    inputs = case.group("in")
    hidden = inputs["bool_masked_pos"] > 0
    image, codes = nhwc(inputs["image"]), inputs["visual_tokens"].astype(np.int32)
    task = BeitTask(c, BeitLoss(codes=1.0, tokenizer="given"))
    batch = {"image": image, "patch_mask": hidden, "codes": codes}
    batch["weight"] = np.ones(len(image), np.float32)
    total, gradient = loss_and_gradient(task, params, batch)
    logits = jax.jit(
        lambda p: task.model.apply({"params": p}, image, hidden, method="code_logits")
    )(params)
    chosen = np.asarray(logits)[hidden]
    got = {"loss": total, "all_logits": logits, "masked_logits": chosen}
    got["accuracy"] = np.mean(np.argmax(chosen, axis=1) == codes[hidden])
    return case.compare(got) | case.compare_gradients(official_names(table, gradient))


def check_classification(case: Case) -> Ratios:
    c, table, params = load(case)
    inputs = case.group("in")
    image = nhwc(inputs["image"])
    task = BeitTask(c, BeitLoss(classes=1.0, label_smoothing=case.config["label_smoothing"]))
    batch = {"image": image, "label": inputs["labels"].astype(np.int32)}
    batch["weight"] = np.ones(len(image), np.float32)
    total, gradient = loss_and_gradient(task, params, batch)

    @jax.jit
    def run(p):
        names = {"features": "features", "logits": "classify"}
        return {n: task.model.apply({"params": p}, image, method=m) for n, m in names.items()}

    got = run(params) | {"loss": total}
    return case.compare(got) | case.compare_gradients(official_names(table, gradient))


def check_manifest(case: Case) -> Ratios:
    """The full-size model under official names has these shapes and no others."""
    return compare_manifest(case, unilm_beit.read_config(case.config), unilm_beit.describe)


def compare_manifest(case: Case, c: BeitConfig, describe) -> Ratios:
    shapes = parameter_shapes(Beit(c))
    got = jax.eval_shape(lambda x: to_official(unilm_beit.table(c), x), shapes)
    want = {**case.meta["params"], **case.meta["buffers"]}
    assert set(got) == set(want), sorted(set(got) ^ set(want))
    assert sum(int(np.prod(s)) for s in case.meta["params"].values()) == case.meta["num_params"]
    told = describe({n: np.broadcast_to(0, shape) for n, shape in want.items()})
    assert parameter_shapes(Beit(told)) == shapes, "the file alone tells the model"
    return {name: 0.0 if list(got[name].shape) == want[name] else np.inf for name in want}


def check_dvae(case: Case) -> Ratios:
    official, image = case.group("param"), nhwc(case.tensors["in/image"])
    c = dall_e.describe(official)
    table = dall_e.table(c)
    params = unflatten_dict(to_vlx(table, official), sep="/")
    mean, deviation = (np.float32(x) for x in STATISTICS["dall_e"])
    mapped = (image - mean) / deviation
    model = Dvae(c)
    logits = jax.jit(lambda x: model.apply({"params": params}, x, method="logits"))(mapped)
    tokens = jax.jit(lambda x: model.apply({"params": params}, x, method="tokens"))(mapped)
    got = {
        "logits": np.transpose(logits, (0, 3, 1, 2)),
        "mapped": np.transpose(mapped, (0, 3, 1, 2)),
        "tokens": np.reshape(tokens, logits.shape[:3]),
    }
    back = to_official(table, flatten(params))
    assert all(np.array_equal(back[name], x) for name, x in official.items())
    return case.compare(got)


# Sizes of no consequence for a stage's groups.
SMALL = {"img_size": 32, "embed_dim": 16, "num_heads": 2, "mlp_ratio": 2, "patch_size": 16}
OPTIONS = {"qkv_bias": True, "init_values": 0.1, "use_abs_pos_emb": True}
STAGES = {
    "mim_pretraining": {"vocab_size": 9, "use_shared_rel_pos_bias": True},
    "classification_layer_decay": {"num_classes": 5, "use_rel_pos_bias": True},
}


def check_groups(case: Case) -> Ratios:
    given, outputs, ratios = case.meta["inputs"], case.meta["outputs"], {}
    for stage, want in outputs["groups"].items():
        settings = SMALL | OPTIONS | STAGES[stage] | {"depth": given["depth"]}
        c = unilm_beit.read_config(settings)
        decay = {"image": given["layer_decay"]} if "layer_decay" in stage else {}
        rules = OptimizerConfig(no_decay=NO_DECAY, layer_decay=decay)
        shapes = {path: x.shape for path, x in parameter_shapes(Beit(c)).items()}
        table = unilm_beit.table(c)
        zeros = {path: np.zeros(shape) for path, shape in shapes.items()}
        kept = undecayed(table, zeros, NO_DECAY)
        part = partition(zeros, (), ())
        scales = optimizer.rate_scales(rules, part, shapes, BeitTask.layer_groups)
        full = {path: np.broadcast_to(scales[path], shape) for path, shape in shapes.items()}
        got = {name: x.flat[0] for name, x in to_official(table, full).items()}
        got = {name: x for name, x in got.items() if not name.endswith(unilm_beit.INDEX)}
        names = set()
        for group in want:
            for name in group["params"]:
                wd = 0.0 if name in kept else given["weight_decay"]
                error = abs(got[name] / group["lr_scale"] - 1) / 1e-6
                ratios[f"{stage}/{name}"] = error if wd == group["weight_decay"] else np.inf
                names.add(name)
        assert names == set(got), sorted(names ^ set(got))
    for i, (settings, want) in enumerate(
        zip(given["schedules"], outputs["schedules"], strict=True)
    ):
        steps = settings["epochs"] * settings["niter_per_ep"]
        epochs = settings.get("warmup_epochs", 0) * settings["niter_per_ep"]
        warmup = settings.get("warmup_steps") or epochs
        end = settings["final_value"]
        c = ScheduleConfig("cosine", warmup=warmup, first="zero_to_peak", end=end)
        got = [learning_rate(c, settings["base_value"], steps, s) for s in range(steps)]
        ratios[f"schedule_{i}"] = float(np.max(np.abs(np.subtract(got, want)) / 1e-12))
    return ratios


def initial(given: dict, outputs: dict) -> Ratios:
    """Fresh parameters of both stages; of the second only the last block is told."""
    ratios = {}
    for name, stage in (
        ("pretraining", "mim_pretraining"),
        ("classification", "classification_layer_decay"),
    ):
        want = outputs[f"init_stage1_{name}"]
        sizes = {"vocab_size": "lm_head.bias", "num_classes": "head.bias"}
        sizes = {key: want[head]["n"] for key, head in sizes.items() if head in want}
        patches = want["pos_embed"]["n"] // given["embed_dim"] - 1
        side = math.isqrt(patches)
        sizes["img_size"] = side * given["patch_size"]
        table = next(x for key, x in want.items() if key.endswith(unilm_beit.TABLE))
        sizes["num_heads"] = table["n"] // image_rows((side, side))
        c = unilm_beit.read_config(SMALL | OPTIONS | STAGES[stage] | given | sizes)
        params = jax.jit(partial(fresh_params, Beit(c)))(jax.random.key(1))
        compared = compare_pooled(official_names(unilm_beit.table(c), params), want)
        ratios |= {f"{name}/{k}": ratio for k, ratio in compared.items()}
    return ratios


CHECKS = {
    "mim": check_mim,
    "image_classification": check_classification,
    "dvae_tokens": check_dvae,
    "stage1_param_groups": check_groups,
}
