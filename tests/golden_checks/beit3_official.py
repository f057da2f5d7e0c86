"""BEiT-3 cases: models and batches from their official configs and tensors."""

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from vlx.interop import unilm_beit3
from vlx.interop.table import to_official, to_vlx
from vlx.interop.unilm_beit3_config import prefix_of, read_config
from vlx.models.beit3 import Beit3Config
from vlx.tasks.beit3 import Beit3Loss, Beit3Task
from vlx.train.partition import flatten, partition

from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc


def load(case: Case, *heads: str) -> tuple[Beit3Config, list, dict]:
    """Config, table and parameters of a case."""
    c, official = read_config(case.config, heads), case.group("param")
    table = unilm_beit3.table(c, prefix_of(official))
    return c, table, unflatten_dict(to_vlx(table, official), sep="/")


def task_of(c: Beit3Config, **loss) -> Beit3Task:
    return Beit3Task(c, Beit3Loss(**loss))


def official_names(table, params: dict) -> dict:
    """Parameters or gradients under their official names."""
    return to_official(table, flatten(jax.device_get(params)))


def batch_of(inputs: dict) -> dict:
    """A batch from official inputs, of which there are some."""
    names = {"image": "image", "image_a": "image", "image_b": "second_image"}
    batch = {ours: nhwc(inputs[name]) for name, ours in names.items() if name in inputs}
    batch["weight"] = np.ones(len(batch["image"]), np.float32)
    if "text_ids" in inputs:
        batch["text"] = inputs["text_ids"].astype(np.int32)
        batch["text_mask"] = inputs["text_padding"] == 0
    if "masked_text_ids" in inputs:
        batch["masked_text"] = inputs["masked_text_ids"].astype(np.int32)
        batch["masked"] = inputs["masked_pos"].astype(np.float32)
    if "label" in inputs:
        batch["label"] = inputs["label"].astype(np.int32)
    for name in ("labels", "soft_target"):
        if name in inputs:
            batch[{"labels": "answer_scores", "soft_target": "class_shares"}[name]] = inputs[name]
    return batch


def round_trip(case: Case, table) -> Ratios:
    """Official to vlx and back is the identity; as ratios, 0 or infinity."""
    official = case.group("param")
    back = to_official(table, to_vlx(table, official))
    same = set(back) == set(official) and all(
        np.array_equal(np.asarray(back[name]), official[name]) for name in official
    )
    return {"round_trip": 0.0 if same else np.inf}


def untrained(task, table, params) -> set[str]:
    """Official names of the parameters that a stage does not train."""
    trained = partition(params, task.left_out, ()).trained
    marks = {path: np.full(x.shape, path in trained) for path, x in flatten(params).items()}
    names = to_official(table, marks)
    assert all(x.all() or not x.any() for x in names.values())
    return {name for name, mark in names.items() if not mark.all()}
