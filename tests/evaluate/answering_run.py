"""Runs of a model whose answers are known beforehand."""

from dataclasses import dataclass
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp

from vlx.tasks.coca import CocaTask
from vlx.train.setup import Setup

from tiny_run import config, ready


class Chooser(nn.Module):
    """Answers with the sum of a text's ids, and of the red value of each picture's first pixel."""

    answers: int

    def answer(self, image, text, second_image=None):
        total = self.red(image) + jnp.sum(text, axis=1)
        if second_image is not None:
            total = total + 3 * self.red(second_image)
        return jax.nn.one_hot(total.astype(jnp.int32) % self.answers, self.answers)

    def red(self, image):
        return jnp.round((image[:, 0, 0, 0] + 1) * 127.5)


@dataclass(frozen=True)
class AnsweringTask(CocaTask):
    """A task of other fields, around a model that learns nothing."""

    answers: int = 0
    fields: tuple[str, ...] = ("image", "text", "answer_scores", "weight")
    pixels: str = "inception"  # -1 to 1

    @property
    def model(self) -> Chooser:
        return Chooser(self.answers)


def answering(folder: Path, data: dict, answers: int, devices: int = 1, **changes) -> Setup:
    """A run on these data, of a model with so many answers; `changes` of the task, or groups."""
    groups = {name: changes.pop(name, {}) for name in ("evaluate", "model", "tokenizer")}
    groups["evaluate"] = {"batch_size": 8} | groups["evaluate"]
    given = config(folder, data={"resize_mode": "squash"} | data, **groups)
    setup = ready(folder / "run", given, devices)
    task = setup.task
    vars(setup)["task"] = AnsweringTask(task.config, task.loss, answers=answers, **changes)
    return setup
