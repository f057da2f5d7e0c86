"""Checks of VLMo's training: ranks, steps, groups and rates, manifests, initial values."""

import hashlib
import re
from dataclasses import dataclass

import jax
import numpy as np

from vlx.interop import unilm_vlmo
from vlx.interop.table import to_official
from vlx.interop.unilm_vlmo_config import describe, read_config
from vlx.layers import relative
from vlx.layers.dropout import depth_rates
from vlx.layers.relative import RelativeBias
from vlx.models import parameter_shapes
from vlx.models.vlmo import Vlmo
from vlx.tasks.task import Choice
from vlx.tasks.vlmo import NO_DECAY, VlmoTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.schedule import ScheduleConfig, learning_rate
from vlx.train.state import create
from vlx.train.step import make_step

from golden_checks import vlmo_images
from golden_checks.case import Case, Ratios
from golden_checks.official import undecayed
from golden_checks.vlmo_answers import FACTS
from golden_checks.vlmo_models import LOSSES, negatives
from golden_checks.vlmo_official import (
    batch_of,
    compare_pooled,
    load,
    loss_and_gradient,
    official_names,
    task_of,
)


def check_distributed(case: Case) -> Ratios:
    """One global step as several processes of the official code do it."""
    ranks, rows = case.config["world_size"], case.config["per_rank_batch"]
    c, table, params = load(case)
    own = [case.group(f"in/rank{r}") for r in range(ranks)]
    inputs = {name: np.concatenate([x[name] for x in own]) for name in own[0]}
    order = [[r, *[x for x in range(ranks) if x != r]] for r in range(ranks)]  # a rank's view
    for name in ("neg_image_idx", "neg_text_idx"):
        if name in inputs:
            inputs[name] = np.concatenate(
                [
                    np.asarray(order[r])[x[name] // rows] * rows + x[name] % rows
                    for r, x in enumerate(own)
                ]
            )
    on = {name for name, used in case.config["loss_names"].items() if used}
    weights = {name: w for kind in on for name, w in LOSSES[kind].items()}
    task, batch = task_of(c, **weights, ranks=ranks), batch_of(inputs)
    chosen = negatives(batch, inputs)
    total, means, coupled, gradient = loss_and_gradient(task, params, batch, chosen)
    gradient = official_names(table, gradient)
    want = case.group("grad")
    assert all(not gradient.pop(name).any() for name in set(gradient) - set(want))
    ratios = case.compare_gradients(gradient)
    view = [np.concatenate([np.arange(rows) + rows * x for x in o]) for o in order]
    scale = np.exp(params["logit_scale"])
    logits = scale * coupled["image"] @ coupled["text"].T
    losses = np.mean([case.tensors[f"out/rank{r}/loss"] for r in range(ranks)])
    ratios["out/loss"] = abs(float(total) - losses) / (case.meta["atol"] + 1e-3 * abs(losses))
    for r in range(ranks):
        got = {"itc_loss": means["contrastive"]}
        got["itc_i2t_logits"] = logits[view[r]][:, view[r]]
        for way, x in (("i2t", logits), ("t2i", logits.T)):
            share = np.array(jax.nn.softmax(x[view[r]][:rows][:, view[r]], axis=1))
            np.fill_diagonal(share, 0)
            got[f"weights_{way}"] = share
        out = case.group(f"out/rank{r}")
        for name in set(got) & set(out):
            tolerance = case.meta["atol"] + case.meta["rtol"] * np.abs(out[name])
            error = np.max(np.abs(got[name] - out[name]) / tolerance)
            ratios[f"out/rank{r}/{name}"] = float(error)
    return ratios


@dataclass(frozen=True)
class GivenNegatives(VlmoTask):
    """The task with negatives that the batch names."""

    def embed(self, params, buffers, batch, step, rngs):
        own = super().embed(params, buffers, batch, step, rngs)
        drawn = {name: batch[name] for name in ("neg_image_idx", "neg_text_idx")}
        return own.replace(coupled=own.coupled | drawn)

    def couple(self, params, buffers, coupled, step, rng):
        terms, choices = super().couple(params, buffers, coupled, step, rng)
        drawn = {"image": coupled["neg_image_idx"], "text": coupled["neg_text_idx"]}
        return terms, {n: Choice(drawn[n], choice.fields) for n, choice in choices.items()}


def rules_of(settings: dict) -> OptimizerConfig:
    power = settings["decay_power"]
    return OptimizerConfig(
        name="adamw_transformers",
        lr=settings["learning_rate"],
        b1=settings["betas"][0],
        b2=settings["betas"][1],
        eps=settings["eps"],
        weight_decay=settings["weight_decay"],
        no_decay=NO_DECAY,
        schedule=schedule_of(settings["warmup_steps"], power, settings["end_lr"]),
    )


def schedule_of(warmup, power, end) -> ScheduleConfig:
    """The official cosine knows no final rate."""
    if power == "cosine":
        return ScheduleConfig("cosine", warmup=warmup, first="zero")
    return ScheduleConfig("polynomial", warmup=warmup, first="zero", power=power, end=end)


def check_train_steps(case: Case) -> Ratios:
    """Updates by the training step that users run."""
    settings = case.config["optimizer"]
    c, table, params = load(case)
    task = GivenNegatives(c, task_of(c, **LOSSES["vl_total"]).loss)
    rules = rules_of(settings)
    part = partition(params, task.left_out, ())
    transformation = optimizer.build(rules, part)
    scales = dict.fromkeys(part.trained, 1.0)
    step = jax.jit(make_step(task, transformation, rules, part, scales))
    state = jax.jit(lambda p: create(p, {}, transformation, part, averaged=False))(params)
    losses, rates, ratios = [], [], {}
    want = case.group("out")
    for i in range(len(want["lrs"])):
        inputs = case.group(f"in/step{i}")
        batch = batch_of(inputs)
        batch |= {name: inputs[name] for name in ("neg_image_idx", "neg_text_idx")}
        rate = learning_rate(rules.schedule, rules.lr, settings["max_steps"], i)
        state, metrics = step(state, batch, np.float32(rate), jax.random.key(0))
        losses.append(metrics["loss"])
        rates.append(rate)
        if i == 1:
            after = official_names(table, state.params)
            names = case.group("after2")
            ratios |= case.compare({name: after[name] for name in names}, "after2")
    ratios |= case.compare({"losses": np.stack(losses), "lrs": np.array(rates)})
    return ratios | case.compare(official_names(table, state.params), "after")


def check_param_groups(case: Case) -> Ratios:
    """Every trained parameter is in one of four groups, by decay and by rate."""
    wrong = {}
    for i, (given, want) in enumerate(zip(case.meta["inputs"], case.meta["outputs"], strict=True)):
        c = read_config(given)
        table = unilm_vlmo.table(c)
        shapes = {path: np.zeros(x.shape) for path, x in parameter_shapes(Vlmo(c)).items()}
        kept = undecayed(table, shapes, NO_DECAY)
        factor = given["lr_mult"]
        heads = partition(shapes, (), ())
        rules = OptimizerConfig(lr_scale=((HEADS, factor),))
        scales = optimizer.rate_scales(rules, heads, {p: x.shape for p, x in shapes.items()}, {})
        full = {path: np.full(x.shape, scales[path]) for path, x in shapes.items()}
        rates = to_official(table, full)
        rates.pop(unilm_vlmo.POSITION_IDS)
        got = {name: x.flat[0] * given["learning_rate"] for name, x in rates.items()}
        for group in want:
            for name in group["params"]:
                decay = 0.0 if name in kept else given["weight_decay"]
                same = decay == group["weight_decay"] and abs(got[name] / group["lr"] - 1) < 1e-9
                wrong[f"{i}/{name}"] = 0.0 if same else np.inf
        assert {name for group in want for name in group["params"]} == set(got)
    return wrong


HEADS = r"(answer|truth)_head/.*"  # whose rate is multiplied


def check_schedule(case: Case) -> Ratios:
    ratios = {}
    for i, (given, want) in enumerate(zip(case.meta["inputs"], case.meta["outputs"], strict=True)):
        total = given["trainer_max_steps"]
        if total in (-1, None):
            total = given["loader_len"] * given["max_epochs"] // given["accumulate"]
        c = schedule_of(given["warmup_steps"], given["decay_power"], given["end_lr"])
        got = [learning_rate(c, given["learning_rate"], total, s) for s in range(len(want))]
        error = np.abs(np.array(got) - want) / (1e-9 * np.abs(want) + 1e-20)
        ratios[f"schedule_{i}"] = float(np.max(error))
    return ratios


def check_manifest(case: Case) -> Ratios:
    """The full-size model under official names has these shapes and no others."""
    if "arch" not in case.config:
        return vlmo_images.check_manifest(case)
    c = read_config(case.config)
    shapes = parameter_shapes(Vlmo(c))
    got = jax.eval_shape(lambda x: to_official(unilm_vlmo.table(c), x), shapes)
    want = {**case.meta["params"], **case.meta["buffers"]}
    ratios = {name: 0.0 if list(got[name].shape) == want[name] else np.inf for name in want}
    assert set(got) == set(want), sorted(set(got) ^ set(want))
    count = sum(int(np.prod(s)) for s in case.meta["params"].values())
    assert count == case.meta["num_params"]
    told = describe({name: np.broadcast_to(0, shape) for name, shape in want.items()})
    assert parameter_shapes(Vlmo(told)) == shapes, "the file alone tells the model"
    return ratios


def check_facts(case: Case) -> Ratios:
    """Several files are of this kind."""
    return (FACTS | {"facts": check_initial})[case.meta["name"]](case)


def check_initial(case: Case) -> Ratios:
    """Fresh parameters have the official code's means and deviations."""
    inputs, outputs = case.meta["inputs"], case.meta["outputs"]
    c = read_config(inputs["vlmo"])
    image = np.zeros((1, *c.image_size, 3), np.float32)
    text = np.zeros((1, c.text_length), np.int32)
    params = jax.jit(Vlmo(c).init)(jax.random.key(0, impl="rbg"), image, text)["params"]
    official = official_names(unilm_vlmo.table(c), params)
    want = dict(outputs["init_vlmo"])
    row = want.pop("text_embeddings.word_embeddings.weight[pad row 0]")
    got = np.std(official["text_embeddings.word_embeddings.weight"][0])
    ratios = {"padding": abs(got / row["std"] - 1) / 0.5} | compare_pooled(official, want)
    ratios |= vlmo_images.initial(inputs["stage1"], outputs)
    return ratios | drop_path_rates(outputs["drop_path_rates"])


def drop_path_rates(want: dict) -> Ratios:
    """Named by depth and rate."""
    ratios = {}
    for name, rates in want.items():
        layers, rate = re.fullmatch(r"depth(\d+)_rate(.*)", name).groups()
        error = np.abs(depth_rates(float(rate), int(layers)) - np.array(rates))
        ratios[name] = float(np.max(error) / 1e-7)
    return ratios


def check_relative_index(case: Case) -> Ratios:
    ratios = {}
    for i, given in enumerate(case.config["cases"]):
        longest, length = given["max_text_len_of_initckpt"], given["max_text_len"]
        made = indices(tuple(given["window"]), longest, length)
        for name, x in made.items():
            same = np.array_equal(x, case.tensors[f"out/{i}/{name}"])
            ratios[f"{i}/{name}"] = 0.0 if same else np.inf
    last = case.config["cases"][case.config["table_case"]]
    index = made["text_imag_relative_position_index"]
    assert last is given
    layers, table = case.config["table_layers"], case.tensors["in/table"]
    table = table.reshape(len(table), layers, -1)
    for layer in range(layers):
        params = {"params": {"embedding": table[:, layer]}}
        got = RelativeBias(len(table), table.shape[-1]).apply(params, index)
        same = np.array_equal(got, case.tensors[f"out/bias_layer{layer}"])
        ratios[f"bias_layer{layer}"] = 0.0 if same else np.inf
    return ratios


def indices(grid, longest, length) -> dict[str, np.ndarray]:
    """What the official code keeps in buffers, under its names."""
    image = relative.image_rows(grid)
    rows = relative.table_rows(grid, longest)
    return {
        "sizes": np.array([image, 2 * longest, rows]),
        "relative_position_index": relative.image_index(grid),
        "text_relative_position_index": relative.text_index(grid, longest, length),
        "text_imag_relative_position_index": relative.pair_index(grid, longest, length),
    }


def check_relative_index_full(case: Case) -> Ratios:
    longest, ratios = case.meta["inputs"]["max_text_len_of_initckpt"], {}
    for want in case.meta["outputs"]:
        side = want["image_size"] // want["patch_size"]
        made = indices((side, side), longest, want["max_text_len"])
        sizes = made.pop("sizes").tolist() == want["sizes"]
        for name, x in made.items():
            digest = hashlib.sha256(x.astype("<i8").tobytes()).hexdigest()
            same = sizes and digest == want[name]["sha256_int64_le"]
            ratios[f"{want['image_size']}/{want['max_text_len']}/{name}"] = 0.0 if same else np.inf
    return ratios


CHECKS = {
    "distributed": check_distributed,
    "train_steps": check_train_steps,
    "param_groups": check_param_groups,
    "schedule": check_schedule,
    "manifest": check_manifest,
    "facts": check_facts,
    "relative_position_index": check_relative_index,
    "relative_position_index_full": check_relative_index_full,
}
