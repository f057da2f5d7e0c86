"""Checks of training steps, accumulation, schedules and parameter groups."""

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from vlx.interop import open_clip_coca
from vlx.interop.table import to_official
from vlx.tasks.coca import NO_DECAY, CocaLoss, CocaTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.schedule import ScheduleConfig, learning_rate
from vlx.train.state import create
from vlx.train.step import make_step

from golden_checks.case import Case, Ratios
from golden_checks.official import (
    coca_batch,
    coca_task,
    load_params,
    model_config,
    official_names,
    table_of,
    undecayed,
)


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
    state = jax.jit(lambda p: create(p, {}, transformation, part, averaged=False))(params)
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
    state = jax.jit(lambda p: create(p, {}, transformation, part, averaged=False))(params)
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


CHECKS = {
    "loss_accum": check_loss_accum,
    "param_groups": check_param_groups,
    "schedules": check_schedules,
    "train_steps": check_train_steps,
}
