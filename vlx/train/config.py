"""The settings of a run that belong to no single part of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vlx.data import DataConfig, TokenizerConfig
from vlx.errors import UserError
from vlx.parallel.mesh import MeshConfig
from vlx.train.optimizer import OptimizerConfig


@dataclass(frozen=True)
class BatchConfig:
    size: int = 256  # examples of a step, over all devices and hosts
    micro_batches: int = 1  # pieces that are in memory one at a time; the gradient stays exact


@dataclass(frozen=True)
class GroupConfig:
    """A part of every batch, with data of its own."""

    size: int  # examples of a step, over all devices and hosts; 0: left out
    data: Mapping[str, Any] = field(default_factory=dict)  # what differs from the run's

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(f"size={self.size} must be 0 or more.")


@dataclass(frozen=True)
class CheckpointConfig:
    every: int = 1000  # steps; the last step is always saved
    keep: int = 2  # the latest so many
    keep_every: int = 0  # also every checkpoint whose step it divides; 0: none
    best: str = ""  # also the best by this metric, such as "retrieval/image_to_text_r1"
    best_mode: str = "max"  # or "min"

    def __post_init__(self):
        if self.best_mode not in ("max", "min"):
            raise ValueError(f"best_mode={self.best_mode!r}: choose max or min.")
        if self.keep < 1:
            raise ValueError(f"keep={self.keep} must be at least 1: a run resumes from the latest.")


@dataclass(frozen=True)
class LogConfig:
    every: int = 10  # steps
    tensorboard: bool = True
    wandb: str = ""  # project; empty: off

    def __post_init__(self):
        if self.every < 1:
            raise ValueError(f"every={self.every} must be at least 1.")


@dataclass(frozen=True)
class EvaluateConfig:
    every: int = 0  # steps; 0: only after the last one
    names: tuple[str, ...] = ()  # empty: those that suit the task
    batch_size: int = 256
    examples: int = 0  # at most; 0: the whole split
    captions: int = 5  # of an image that retrieval knows, at most; COCO and Flickr30k have five
    rerank: int = 0  # retrieval: so many of each query's best are matched one by one; 0: none
    templates: tuple[str, ...] = ()  # zero_shot: sentences with {}, names of lists, or text files
    class_names: str = ""  # zero_shot: a list's name or a text file; empty: the data's names
    decode: Mapping[str, Any] = field(default_factory=dict)  # captioning: see vlx/decode/options.py
    caption_prefix: str = ""  # captioning: what every caption begins with
    caption_metrics: tuple[str, ...] = ("bleu", "rouge_l", "cider_d")  # or "meteor", "spice"
    probe_examples: int = 50_000  # of the training split, for all probes and knn; 0: all
    probe_steps: int = 2000  # of attentional_probe, each of batch_size training images
    probe_lr: float = 5e-4  # of its first step; falls to 0 as a cosine
    ema: bool = True  # evaluate the averaged parameters where there are any

    def __post_init__(self):
        if self.captions < 1:
            raise ValueError(f"captions={self.captions} must be at least 1.")
        if self.rerank < 0:
            raise ValueError(f"rerank={self.rerank} must be 0 or more.")
        if self.probe_steps < 1:
            raise ValueError(f"probe_steps={self.probe_steps} must be at least 1.")


@dataclass(frozen=True)
class ProfileConfig:
    start: int = 0  # first step of the capture
    steps: int = 0  # length; 0: none


@dataclass(frozen=True)
class RunConfig:
    """Everything that a recipe can say."""

    task: str
    steps: int = 0
    epochs: float = 0.0  # in place of steps: passes over the training data
    seed: int = 0
    model: Mapping[str, Any] = field(default_factory=dict)  # preset, and what differs from it
    loss: Mapping[str, Any] = field(default_factory=dict)  # weights and forms of the task's terms
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    batch: BatchConfig = BatchConfig()
    groups: Mapping[str, Any] = field(default_factory=dict)  # of a batch: name -> GroupConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    init_from: str = ""  # a trained model's folder, a run, or an official file, to begin with
    freeze: tuple[str, ...] = ()  # patterns of parameters that stay as they are
    mesh: MeshConfig = MeshConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()
    profile: ProfileConfig = ProfileConfig()
    max_skipped: int = 20  # steps in a row without a finite gradient that end the run
    deterministic: bool = False  # GPU: only kernels that repeat bit for bit (CPU, TPU always do)

    def __post_init__(self):
        if self.steps < 1 and not (self.steps == 0 and self.epochs > 0):
            raise UserError(
                f"config.steps={self.steps} must be at least 1; or set config.epochs instead."
            )
