"""Checks of BEiT v2: masks, pre-training with patch aggregation, fine-tuning to classes."""

import random
import re

import jax
import numpy as np

from vlx.data.masks import PatchMaskConfig, patch_mask
from vlx.interop import unilm_beit, unilm_beit2
from vlx.interop.relative import resize_relative_table, spread_offsets
from vlx.models import parameter_shapes
from vlx.models.beit import Beit
from vlx.tasks.beit import NO_DECAY, BeitLoss, BeitTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition

from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc, undecayed
from golden_checks.vlmo_data import Replay, exact
from golden_checks.vlmo_images import compare_manifest, load, official_names


class Seeded:
    """Python's generator and NumPy's old one, as the official code draws from both."""

    def __init__(self, seed: int, smallest: int):
        self.python, self.numpy = random.Random(seed), np.random.RandomState(seed)
        self.smallest = smallest

    def uniform(self, low: float, high: float) -> float:
        if high == self.smallest:  # the official limits are not sorted where room is short
            low, high = high, low
        return self.python.uniform(low, high)

    def integers(self, high: int) -> int:
        return self.python.randint(0, high - 1)

    def choice(self, a: np.ndarray, size: int, replace: bool) -> np.ndarray:
        return self.numpy.choice(a, size, replace)


class Replayed(Replay):
    """Listed draws, and NumPy's old generator for the patches that make up the number."""

    def __init__(self, draws: list, seed: int):
        super().__init__(draws)
        self.numpy = np.random.RandomState(seed)

    def choice(self, a: np.ndarray, size: int, replace: bool) -> np.ndarray:
        return self.numpy.choice(a, size, replace)


def check_block_mask(case: Case) -> Ratios:
    ratios = {}
    for n, (given, want) in enumerate(zip(case.meta["inputs"], case.meta["outputs"], strict=True)):
        least, smallest = given.get("min_aspect", 0.3), given["min_num_patches"]
        config = PatchMaskConfig(
            patches=given["num_masking_patches"],
            exact=True,
            smallest=smallest,
            largest=given.get("max_num_patches") or 0,
            aspect=(least, given.get("max_aspect") or 1 / least),
        )
        draws = (
            Replayed(given["draws"], given["numpy_seed"])
            if "draws" in given
            else Seeded(given["seed"], smallest)
        )
        grid = tuple(given["input_size"])
        rows = ["".join(map(str, row)) for row in patch_mask(grid, config, draws).reshape(grid) * 1]
        ratios[f"mask {n}"] = exact(rows, want["mask"])
    return ratios


def loss_and_gradient(task: BeitTask, params, batch):
    """The weighted sum of a task's losses, each of them, and the gradient of the sum."""

    def loss(params):
        terms = task.embed(params, {}, batch, 0, {}).terms
        means = {name: total / count for name, (total, count) in terms.items()}
        return sum(task.weights[name] * mean for name, mean in means.items()), means

    (total, means), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    return total, means, gradient


def check_pretraining(case: Case) -> Ratios:
    c, table, params = load(case)
    inputs = case.group("in")
    image, hidden, codes = nhwc(inputs["image"]), inputs["mask"], inputs["codes"]
    task = BeitTask(c, BeitLoss(codes=1.0, tokenizer="given"))
    batch = {"image": image, "patch_mask": hidden, "codes": codes.astype(np.int32)}
    batch["weight"] = np.ones(len(image), np.float32)
    total, means, gradient = loss_and_gradient(task, params, batch)

    @jax.jit
    def run(p):
        return task.model.apply({"params": p}, image, hidden, method="all_code_logits")

    logits = run(params)
    got = {"loss": total, "all_logits": logits["codes"], "logits": logits["codes"][hidden]}
    if "aggregated_codes" in logits:
        got["logits_cls_pt"] = logits["aggregated_codes"][hidden]
        got |= {"loss_1": means["codes"], "loss_2": means["aggregated_codes"]}
    return case.compare(got) | case.compare_gradients(official_names(table, gradient))


def check_finetuning(case: Case) -> Ratios:
    if "src_window" in case.config:
        return check_resize(case)
    c, table, params = load(case)
    image, target = nhwc(case.tensors["in/image"]), case.tensors["in/soft_target"]
    task = BeitTask(c, BeitLoss(classes=1.0))
    batch = {"image": image, "class_shares": target, "weight": np.ones(len(image), np.float32)}
    total, _, gradient = loss_and_gradient(task, params, batch)
    norm = "class_norm" if c.mean_pooling else "norm"

    def tokens(model: Beit, image):
        return getattr(model, norm)(model._encode(image))

    @jax.jit
    def run(p):
        methods = {"all_tokens": tokens, "logits": "classify"}
        return {n: task.model.apply({"params": p}, image, method=m) for n, m in methods.items()}

    got = run(params) | {"loss": total}
    return case.compare(got) | case.compare_gradients(official_names(table, gradient))


def check_resize(case: Case) -> Ratios:
    """A shared table of square windows, and where the old offsets lie among the new."""
    old, new = (case.config[name] for name in ("src_window", "dst_window"))
    table = resize_relative_table(case.tensors["in/table"], (old, old), (new, new))
    offsets = spread_offsets(2 * old - 1, 2 * new - 1)
    assert abs((offsets[-1] - offsets[-2]) ** (1 / (old - 2)) - case.config["q"]) < 1e-9
    return case.compare({"table": table, "source_positions": offsets})


def check_layer_decay(case: Case) -> Ratios:
    given = case.meta["inputs"]
    task = BeitTask(unilm_beit2.PRESETS[given["model"]], BeitLoss(classes=1.0))
    rules = OptimizerConfig(no_decay=NO_DECAY, layer_decay={"image": given["layer_decay"]})
    return compare_groups(case, task, unilm_beit.table(task.config), rules, given["weight_decay"])


def compare_groups(case: Case, task, table, rules: OptimizerConfig, decay: float) -> Ratios:
    """Every parameter is in the group of its decay and of its factor of the rate."""
    shapes, ratios = {path: x.shape for path, x in parameter_shapes(task.model).items()}, {}
    one = {path: np.broadcast_to(np.float32(0), shape) for path, shape in shapes.items()}
    kept = undecayed(table, one, rules.no_decay)
    scales = optimizer.rate_scales(rules, partition(one, (), ()), shapes, task.layer_groups)
    full = {path: np.broadcast_to(scales[path], shape) for path, shape in shapes.items()}
    got = official_names(table, full)
    names = set()
    for group in case.meta["outputs"]["groups"].values():
        for name in group["params"]:
            error = abs(got[name].flat[0] / group["lr_scale"] - 1)
            same = (0.0 if name in kept else decay) == group["weight_decay"]
            ratios[name] = error / 1e-9 if same else np.inf
        names |= set(group["params"])
    assert names == set(got), sorted(names ^ set(got))
    return ratios


def check_manifest(case: Case) -> Ratios:
    """The registered model under official names has these shapes and no others."""
    name = re.fullmatch(r"beit2_(pretrain|finetune)_(.*)", case.meta["model"])[2]
    settings = unilm_beit.write_config(unilm_beit2.PRESETS[name])
    settings |= {"shared_lm_head": True} | case.config
    return compare_manifest(case, unilm_beit2.read_config(settings), unilm_beit2.describe)


CHECKS = {
    "b2_block_mask": check_block_mask,
    "b2_finetune_forward": check_finetuning,
    "b2_layer_decay": check_layer_decay,
    "b2_pretrain_forward": check_pretraining,
}
