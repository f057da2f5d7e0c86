"""What each stage of each system optimises."""

from collections.abc import Mapping
from typing import Any

from vlx.config import nearest
from vlx.errors import UserError
from vlx.tasks import coca, vlmo
from vlx.tasks.task import Batch, Choice, LayerGroups, Outputs, Task, Terms

__all__ = [
    "TASKS",
    "Batch",
    "Choice",
    "LayerGroups",
    "Outputs",
    "Task",
    "Terms",
    "build_task",
]

TASKS = {"coca": coca.CocaTask, "vlmo": vlmo.VlmoTask}


def build_task(name: str, model: Mapping[str, Any], loss: Mapping[str, Any]) -> Task:
    """The task of a run's `task`, `model` and `loss` settings."""
    if name not in TASKS:
        raise UserError(f"config.task={name!r} is unknown; {nearest(name, TASKS)}")
    return TASKS[name].build(model, loss)
