"""What evaluators share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from vlx.config import build
from vlx.data import Batch, EvalTransform, Source, evaluation_batches
from vlx.decode import DecodeOptions, Writer
from vlx.evaluate.encode import Encoder
from vlx.evaluate.remembered import Remembered
from vlx.layers.attention import READ
from vlx.layers.pixels import normalise
from vlx.parallel.compiled import compiled
from vlx.train.setup import Setup

PICTURES = ("image", "second_image")  # fields of a batch
LONGEST = 30  # tokens of a caption, where nothing else is said


@dataclass
class Moment:
    """When an evaluation takes place."""

    step: int | None = None  # of the run; None: not known, or there are no steps


@dataclass(frozen=True)
class Context:
    """The run, its split, and what is asked of its model; compiled where it is used."""

    setup: Setup
    split: str
    encoder: Encoder
    kept_as: str  # what files of examples are called by: the split, or a name for other data
    moment: Moment = field(default_factory=Moment)

    @cached_property
    def parts(self) -> tuple["Context", ...]:
        """One for each group of the run's batches, or this one alone."""
        parts = self.setup.parts.values()
        return tuple(
            replace(self, setup=part, split=part.config.data.eval_split) for part in parts
        ) or (self,)

    @cached_property
    def remembered(self) -> Remembered:
        """What evaluators of the same parameters share."""
        return Remembered()

    @cached_property
    def source(self) -> Source:
        """The split's records; large annotation files are read once for all evaluations."""
        return self.setup.source(self.split)

    @cached_property
    def writer(self) -> Writer:
        """Writes captions by the options `evaluate.decode`; compiled once for all evaluations."""
        setup = self.setup
        c, task = setup.config.evaluate, setup.task
        given = {"max_length": min(LONGEST, task.text_length)} | dict(c.decode)
        options = build(DecodeOptions, given, "config.evaluate.decode")
        parts = task.model, task.pixels, setup.tokenizer, options, setup.mesh
        return Writer(*parts, c.caption_prefix)

    @property
    def likelihood(self) -> Callable:
        """Log-likelihoods of texts: (params, uint8 [B, H, W, 3], int32 [B, T]) -> [B]."""
        return self._calling(_of_pairs, method="rank")

    @property
    def attended(self) -> Callable:
        """What is read of each patch: (params, images, texts) -> [B, T, rows, columns]."""
        return self._calling(_of_pairs, method="attended", mutable=(READ,))

    @property
    def match(self) -> Callable:
        """Logits of belonging together: (params, uint8 [B, H, W, 3], int32 [B, T]) -> [B]."""
        return self._calling(_of_pairs, method="match")

    @property
    def answer(self) -> Callable:
        """Logits of answers: (params, fields of a batch) -> float32 [B, A]."""
        return self._calling(_answer)

    @property
    def segment(self) -> Callable:
        """Logits of classes of pixels: (params, uint8 [B, H, W, 3]) -> float32 [B, h, w, K]."""
        return self._calling(_segment)

    def _calling(self, function: Callable, **static) -> Callable:
        task = self.setup.task
        return compiled(function, self.setup.mesh, model=task.model, pixels=task.pixels, **static)

    def asked(self, *fields: str) -> EvalTransform:
        """Examples of these fields alone."""
        transform = self.setup.transforms[1]
        return replace(transform, wanted=replace(transform.wanted, fields=fields))

    def batches(
        self, source: Source, most: int, transform: EvalTransform | None = None
    ) -> Iterator[Batch]:
        """This host's rows of the padded batches of at most so many examples; 0: all.

        The field `index`, int [B], says where in the source an example stands.
        """
        c = self.setup.config
        size, most = c.evaluate.batch_size, most or len(source)
        transform = transform or self.setup.transforms[1]
        host, hosts = jax.process_index(), jax.process_count()
        own = np.arange(size // hosts) + host * (size // hosts)  # this host's rows of a batch
        with evaluation_batches(source, transform, size, c.data, host, hosts) as batches:
            for first, batch in zip(range(0, most, size), batches, strict=False):
                batch["weight"][first + own >= most] = 0
                batch["index"] = first + own
                yield batch


def _of_pairs(params, image, text, *, model, pixels, method, mutable=()):
    pair = normalise(image, pixels), text
    result, _ = model.apply({"params": params}, *pair, method=method, mutable=list(mutable))
    return result.astype(jnp.float32)


def _answer(params, batch, *, model, pixels):
    images = [normalise(batch[name], pixels) for name in PICTURES if name in batch]
    inputs = images[0], batch["text"], *images[1:]
    return model.apply({"params": params}, *inputs, method="answer").astype(jnp.float32)


def _segment(params, image, *, model, pixels):
    image = normalise(image, pixels)
    return model.apply({"params": params}, image, method="segment").astype(jnp.float32)
