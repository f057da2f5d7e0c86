"""Batches of several groups: what a config says of each."""

from vlx.config import build
from vlx.errors import UserError
from vlx.tasks import Task
from vlx.train.config import GroupConfig, RunConfig


def groups_of(config: RunConfig, task: Task) -> dict[str, GroupConfig]:
    """The groups of a batch, in the task's order. Raises UserError unless they are the task's."""
    if set(config.groups) != set(task.parts):
        wanted, given = (", ".join(x) or "none" for x in (task.parts, config.groups))
        raise UserError(
            f"config.groups are {given}, and the task's, by its losses, {wanted}; give each of "
            "those a size."
        )
    return {
        name: build(GroupConfig, config.groups[name], f"config.groups.{name}")
        for name in task.parts
    }
