"""A run made ready: everything that follows from its config and folder, before the first step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vlx.data import (
    Answers,
    CodedSource,
    EvalTransform,
    Source,
    Tokenizer,
    TrainTransform,
    build_answers,
    build_source,
    build_tokenizer,
    build_transforms,
)
from vlx.errors import UserError
from vlx.parallel.mesh import check_batch, make_mesh, place_rows
from vlx.tasks import Constant, Task, build_task
from vlx.train import agreement
from vlx.train.codes import find_codes
from vlx.train.config import RunConfig
from vlx.train.groups import group_configs, groups_of
from vlx.train.program import Program, program
from vlx.train.schedule import learning_rate
from vlx.train.state import TrainState

INIT, STEP = 0, 1  # purposes that the run's key is folded with


@dataclass(frozen=True)
class Setup:
    """Parts are made when they are asked for: an evaluation needs no training data."""

    config: RunConfig
    workdir: Path
    constants: Mapping[str, Constant] = field(default_factory=dict, kw_only=True)
    part: Task | None = field(default=None, kw_only=True)  # of the task, where the run is cut
    devices: Sequence[jax.Device] | None = field(default=None, kw_only=True)  # None: all

    def check(self) -> None:
        """Refuses, before anything is compiled, what cannot work."""
        c = self.config
        for name, part in self.parts.items():
            size, key = part.config.batch.size, f"groups.{name}.size"
            check_batch(size, c.batch.micro_batches, self.mesh, key)
        check_batch(c.batch.size, c.batch.micro_batches, self.mesh)
        for part in self.parts.values() or (self,):
            find_codes(part.config.data, part.task, self.constants)
        longest = self.task.text_length
        if longest and c.tokenizer.length > longest:
            raise UserError(
                f"tokenizer.length={c.tokenizer.length}, but the model takes texts of {longest}; "
                f"set tokenizer.length={longest} or model.text_length={c.tokenizer.length}."
            )
        learning_rate(c.optimizer.schedule, c.optimizer.lr, c.steps, 0)
        _ = self.program.transformation, self.program.scales  # which refuse what they cannot do

    def check_tokenizer(self) -> None:
        """Refuses a tokenizer with more words than the model has rows, or other special ones."""
        if self.tokenizer is not None:
            agreement.check_tokenizer(self.tokenizer, self.task)

    @cached_property
    def mesh(self) -> jax.sharding.Mesh:
        return make_mesh(self.config.mesh, self.devices)

    @cached_property
    def task(self) -> Task:
        return self.part or build_task(self.config.task, self.config.model, self.config.loss)

    @cached_property
    def parts(self) -> dict[str, "Setup"]:
        """The run of each part of the task, with its data, its order of them and its batch size."""
        configs = group_configs(self.config, self.task)
        return {
            name: replace(self, config=config, part=self.task.parts[name])
            for name, config in configs.items()
        }

    @cached_property
    def key(self) -> jax.Array:
        return jax.random.key(self.config.seed)

    @cached_property
    def program(self) -> Program:
        return program(self.config, self.task, self.mesh)

    def new_state(self) -> TrainState:
        """The state before the first step."""
        return self.program.new_state(jax.random.fold_in(self.key, INIT))

    @cached_property
    def step_key(self) -> jax.Array:
        return jax.random.fold_in(self.key, STEP)

    def rate(self, step: int) -> np.float32:
        c = self.config
        return np.float32(learning_rate(c.optimizer.schedule, c.optimizer.lr, c.steps, step))

    def flops(self, batch: Mapping[str, Any]) -> int:
        """Matrix-product FLOPs of a step, recomputation left out."""
        return self.program.flops(batch, self.constants)

    def accumulation(self, batch: Mapping[str, Any]) -> str:
        """How the gradients of micro-batches become that of the batch, in words."""
        repeated = self.program.repeated_flops(batch, self.constants)
        pieces = self.config.batch.micro_batches
        if not repeated:
            return f"{pieces} micro-batches: nothing is coupled, plain accumulation."
        return (
            f"{pieces} micro-batches: each is embedded twice, so that the gradient is that of the "
            f"whole batch (+{repeated / self.flops(batch):.0%} FLOPs)."
        )

    def place(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, jax.Array]:
        """A host's rows on the devices, cut along the batch."""
        return place_rows(dict(batch), self.mesh)

    @property
    def image_size(self) -> tuple[int, int]:
        return self.task.image_size

    def source(self, split: str) -> Source:
        """Without questions that no answer of the run's fits."""
        return build_source(self.config.data, split, self.image_size[0], self.answers)

    @cached_property
    def train_source(self) -> Source:
        """What training reads, with the codes that `data.codes` has of it."""
        source = self.source(self.config.data.train_split)
        if codes := find_codes(self.config.data, self.task, self.constants):
            source = CodedSource(source, codes)
        if "label_map" in self.task.fields:
            agreement.check_classes(source, self.task)
        return source

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """From the run's folder, which keeps it from the first time on; None for images alone."""
        if not self.task.text_length:
            return None
        folder = str(self.workdir / "tokenizer")
        texts = next((part for part in self.parts.values() if part.task.text_length), self)
        return build_tokenizer(self.config.tokenizer, folder, lambda: texts.train_source)

    @cached_property
    def answers(self) -> Answers | None:
        """Kept in the run's folder from the first time on; None if the task asks for none."""
        data, size = self.config.data, self.image_size[0]
        if "answer_scores" not in self.task.fields:
            return None
        found = build_answers(data, str(self.workdir), lambda x: build_source(data, x, size))
        agreement.check_answers(found, self.task)
        return found

    @cached_property
    def transforms(self) -> tuple[TrainTransform, EvalTransform]:
        c = self.config
        return build_transforms(
            *(c.data, c.tokenizer, self.tokenizer, self.image_size),
            fields=self.task.fields,
            grid=getattr(self.task, "grid", None),
            answers=self.answers,
        )


def count_steps(config: RunConfig, workdir: Path) -> RunConfig:
    """The config with its epochs as steps; what is left of a last batch is not trained on."""
    if config.steps:
        return config
    if config.groups:
        raise UserError("config.epochs: a run with groups has no one length; set config.steps.")
    examples = len(Setup(config, workdir).train_source)
    steps = int(config.epochs * examples) // config.batch.size
    if not steps:
        raise UserError(
            f"config.epochs={config.epochs} of {examples} examples make no batch of "
            f"{config.batch.size}; set batch.size={examples} or less, or more epochs."
        )
    return replace(config, steps=steps)


def resolved(config: RunConfig) -> RunConfig:
    """The config with its model and loss sections complete, as it is written to a run folder."""
    task = build_task(config.task, config.model, config.loss)
    if groups := groups_of(config, task):
        size = sum(group.size for group in groups.values())
        config = replace(config, batch=replace(config.batch, size=size))
    return replace(config, **task.sections())
