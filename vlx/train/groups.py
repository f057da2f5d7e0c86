"""Batches of several groups: what a config says of each."""

import zlib
from dataclasses import replace

from vlx.config import amend, build
from vlx.errors import UserError
from vlx.tasks import Task
from vlx.train.config import GroupConfig, RunConfig


def groups_of(config: RunConfig, task: Task) -> dict[str, GroupConfig]:
    """The groups of a batch, in the task's order. Raises UserError unless they are the task's."""
    groups = {
        name: build(GroupConfig, group, f"config.groups.{name}")
        for name, group in config.groups.items()
    }
    groups = {name: group for name, group in groups.items() if group.size}
    if set(groups) != set(task.parts):
        wanted, given = (", ".join(x) or "none" for x in (task.parts, groups))
        raise UserError(
            f"config.groups are {given}, and the task's, by its losses, {wanted}; give each of "
            "those a size, and others 0."
        )
    return {name: groups[name] for name in task.parts}


def group_configs(config: RunConfig, task: Task) -> dict[str, RunConfig]:
    """For each group the run's config with its data, its order of them and its batch size."""
    return {
        name: replace(
            config,
            # Or groups with the same data would see the same examples in the same step.
            seed=zlib.crc32(f"{config.seed}/{name}".encode()),
            data=amend(config.data, group.data, f"config.groups.{name}.data"),
            batch=replace(config.batch, size=group.size),
            groups={},
        )
        for name, group in groups_of(config, task).items()
    }
