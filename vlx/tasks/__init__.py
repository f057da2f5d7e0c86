"""What each stage of each system optimises."""

from collections.abc import Mapping
from typing import Any

from vlx.config import nearest
from vlx.errors import UserError
from vlx.tasks import beit, beit3, beit3_pretraining, coca, dvae, segmentation, vlmo, vqkd
from vlx.tasks.task import (
    Batch,
    Choice,
    Constant,
    LayerGroups,
    Outputs,
    Task,
    Terms,
    apart,
    whole,
)

__all__ = [
    "TASKS",
    "Batch",
    "Choice",
    "Constant",
    "LayerGroups",
    "Outputs",
    "Task",
    "Terms",
    "apart",
    "build_task",
    "whole",
]

TASKS = {
    "beit": beit.BeitTask,
    "beit3": beit3.Beit3Task,
    "beit3_pretraining": beit3_pretraining.MaskedTask,
    "coca": coca.CocaTask,
    "dvae": dvae.DvaeTask,
    "segmentation": segmentation.SegmentationTask,
    "vlmo": vlmo.VlmoTask,
    "vqkd": vqkd.VqkdTask,
}


def build_task(name: str, model: Mapping[str, Any], loss: Mapping[str, Any]) -> Task:
    """The task of a run's `task`, `model` and `loss` settings."""
    if name not in TASKS:
        raise UserError(f"config.task={name!r} is unknown; {nearest(name, TASKS)}")
    return TASKS[name].build(model, loss)
