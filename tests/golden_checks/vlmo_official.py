"""VLMo cases: models and batches from their official configs and tensors."""

import re

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.interop import unilm_vlmo
from vlx.interop.table import to_official, to_vlx, with_computed
from vlx.interop.unilm_vlmo_config import read_config
from vlx.models.vlmo import Vlmo, VlmoConfig
from vlx.tasks.vlmo import VlmoLoss, VlmoTask

from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc


def load(case: Case) -> tuple[VlmoConfig, list, dict]:
    """Config, table and parameters of a case."""
    c = read_config(case.config)
    table = unilm_vlmo.table(c)
    state = with_computed(table, case.group("param"))
    return c, table, unflatten_dict(to_vlx(table, state), sep="/")


def model_of(c: VlmoConfig) -> Vlmo:
    return Vlmo(c)


def task_of(c: VlmoConfig, **loss) -> VlmoTask:
    return VlmoTask(c, VlmoLoss(**loss))


def official_names(table, params: dict) -> dict:
    """Parameters or gradients under their official names, without the buffer."""
    official = to_official(table, flatten_dict(jax.device_get(params), sep="/"))
    official.pop(unilm_vlmo.POSITION_IDS)
    return official


def batch_of(inputs: dict) -> dict:
    """A batch from official inputs, of which there are some."""
    names = {"image": "image", "image_0": "image", "image_1": "second_image"}
    batch = {ours: nhwc(inputs[name]) for name, ours in names.items() if name in inputs}
    masks = inputs["text_masks"] > 0
    batch |= {"text_mask": masks, "weight": np.ones(len(masks), np.float32)}
    if "text_ids_mlm" in inputs:
        label = inputs["text_labels_mlm"]
        batch |= {"masked_text": inputs["text_ids_mlm"].astype(np.int32), "masked": label != -100}
        batch["text"] = np.where(label != -100, label, inputs["text_ids_mlm"]).astype(np.int32)
    if "text_ids" in inputs:
        batch["text"] = inputs["text_ids"].astype(np.int32)
    if "vqa_targets" in inputs:
        batch["answer_scores"] = inputs["vqa_targets"].astype(np.float32)
    if "answers" in inputs:
        batch["label"] = inputs["answers"].astype(np.int32)
    return batch


def round_trip(case: Case, table) -> Ratios:
    """Official to vlx and back is the identity; as ratios, 0 or infinity."""
    official = with_computed(table, case.group("param"))
    back = to_official(table, to_vlx(table, official))
    same = set(back) == set(official) and all(
        np.array_equal(np.asarray(back[name]), official[name]) for name in official
    )
    return {"round_trip": 0.0 if same else np.inf}


def loss_and_gradient(task: VlmoTask, params, batch, chosen=None):
    """(loss, terms, coupled), gradient of a task's loss, with the given rows as negatives."""

    def loss(params):
        own = task.embed(params, {}, batch, 0, {})
        joint, _ = task.couple(params, {}, own.coupled, 0, jax.random.key(0))
        last = task.finish(params, {}, batch, chosen, 0, {})
        terms = {**own.terms, **joint, **last.terms}
        means = {name: total / count for name, (total, count) in terms.items()}
        total = sum(task.weights[name] * mean for name, mean in means.items())
        return total, (means, own.coupled)

    (total, (means, coupled)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    return total, means, coupled, gradient


def compare_pooled(official: dict, want: dict) -> Ratios:
    """Fresh parameters beside the statistics of the official ones; blocks may be pooled."""
    pooled, ratios = {}, {}
    for name, x in official.items():
        name = name if name in want else re.sub(r"blocks\.\d+", "blocks.*", name)
        pooled.setdefault(name, []).append(np.ravel(x))
    for name, statistics in want.items():
        compared = _compare_draws(np.concatenate(pooled[name]), statistics)
        ratios |= {f"{name}/{k}": ratio for k, ratio in compared.items()}
    return ratios


def _compare_draws(x: np.ndarray, want: dict) -> Ratios:
    """Two samples of one distribution: sizes, means, deviations."""
    assert x.size == want["n"]
    if want["std"] < 1e-7:
        return {"constant": float(np.max(np.abs(x - want["mean"])) / 1e-6)}
    error = want["std"] / np.sqrt(want["n"])
    return {
        "mean": float(abs(x.mean() - want["mean"]) / (6 * error)),
        "std": float(abs(x.std() / want["std"] - 1) / (6 / np.sqrt(2 * want["n"]))),
    }
