"""BEiT-3's pre-training: gaps in images, in texts and in both sides of pairs, in one step.

Paper: arXiv 2208.10442, section 3. The code was never published. The paper leaves open how the
losses are weighed; by default they count alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from vlx.config import build
from vlx.layers.pixels import normalise
from vlx.models.beit3 import Beit3Config
from vlx.objectives.cross_entropy import cross_entropy
from vlx.tasks.beit3 import OfBeit3, configure
from vlx.tasks.codes import with_codes
from vlx.tasks.joint import Joint
from vlx.tasks.task import Outputs, Task

Array = jax.Array

# Group of a batch -> the terms that it may give.
GROUPS = {
    "image": ("image_codes",),
    "text": ("text_words",),
    "pair": ("pair_codes", "pair_words"),
}
CODES = ("patch_mask", "target_image")  # fields of a batch that codes are predicted from
WORDS = ("masked_text", "masked")


@dataclass(frozen=True)
class MaskedLoss:
    """Weights of the terms, each a mean over what is masked; a group without any has no batch."""

    image_codes: float = 1.0  # of images alone
    text_words: float = 1.0  # of texts alone
    pair_codes: float = 1.0
    pair_words: float = 1.0
    tokenizer: str = ""  # a trained visual tokenizer, any folder or file that vlx reads

    def __post_init__(self):
        if not self.groups:
            raise ValueError("all weights are 0; give one of the terms a weight.")

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that a batch has."""
        return tuple(
            group for group, terms in GROUPS.items() if any(getattr(self, x) for x in terms)
        )

    @property
    def heads(self) -> tuple[str, ...]:
        """What the model must have."""
        words = self.text_words or self.pair_words
        codes = self.image_codes or self.pair_codes
        return ("words",) * bool(words) + ("codes",) * bool(codes)


@dataclass(frozen=True)
class MaskedTask(OfBeit3, Joint):
    """The losses of all groups."""

    config: Beit3Config
    loss: MaskedLoss

    @property
    def evaluators(self) -> tuple[str, ...]:
        return ("losses", "masked_patches") if "image" in self.loss.groups else ("losses",)

    @classmethod
    def build(cls, model: Mapping[str, Any], loss: Mapping[str, Any]) -> "MaskedTask":
        """The task of a run's `model` and `loss` sections."""
        loss = build(MaskedLoss, loss, "config.loss")
        return cls(configure(model, loss.heads), loss)

    @cached_property
    def parts(self) -> dict[str, Task]:
        return {name: GroupTask(self.config, self.loss, name) for name in self.loss.groups}

    @property
    def text_length(self) -> int:
        return self.config.text_length if "words" in self.loss.heads else 0

    @property
    def left_out(self) -> tuple[str, ...]:
        """What no term reads has no part in the stage."""
        groups, heads = set(self.loss.groups), set(self.loss.heads)
        apart = "" if self.config.encoder.apart else "(?!upper)"
        upper = r"encoder/upper/layers/"
        taking_part = {
            r"text/.*": groups & {"text", "pair"},
            r"image/.*": groups & {"image", "pair"},
            r"image/mask_token": "codes" in heads,
            rf"(encoder/{apart}.*/|norm/)text/.*": groups & {"text", "pair"},
            rf"(encoder/{apart}.*/|norm/)image/.*": groups & {"image", "pair"},
            rf"{upper}text/.*": "text" in groups,
            rf"{upper}image/.*": "image" in groups,
            rf"{upper}pair/.*": "pair" in groups,
            r"word_head/.*": "words" in heads,
            r"code_head/.*": "codes" in heads,
            r"(?!word_|code_)(\w+_head|\w+_norm|\w+_projection|pooler|logit_scale)(/.*)?": False,
        }
        return tuple(pattern for pattern, takes_part in taking_part.items() if not takes_part)


@dataclass(frozen=True)
class GroupTask(OfBeit3):
    """The losses of one group."""

    config: Beit3Config
    loss: MaskedLoss
    group: str  # a key of GROUPS

    @property
    def weights(self) -> dict[str, float]:
        given = {name: getattr(self.loss, name) for name in GROUPS[self.group]}
        return {name: weight for name, weight in given.items() if weight}

    @property
    def _codes(self) -> bool:
        return f"{self.group}_codes" in self.weights

    @property
    def _words(self) -> bool:
        return f"{self.group}_words" in self.weights

    @property
    def fields(self) -> tuple[str, ...]:
        image = ("image",) if self.group != "text" else ()
        text = ("text", "text_mask") if self.group != "image" else ()
        return (*image, *text, *CODES * self._codes, *WORDS * self._words, "weight")

    @property
    def constants(self) -> dict[str, str]:
        return {"tokenizer": self.loss.tokenizer} if self._codes else {}

    @property
    def text_length(self) -> int:
        return 0 if self.group == "image" else self.config.text_length

    def prepare(self, params, buffers, batch, step, rng, constants):
        return with_codes(batch, constants) if self._codes else batch, buffers

    def embed(self, params, buffers, batch, step, rngs) -> Outputs:
        def apply(method, *arguments):
            return self.model.apply({"params": params}, *arguments, method=method, rngs=rngs)

        def mean(logits, label, masked):
            counted = masked * batch["weight"][:, None]
            return jnp.sum(cross_entropy(logits, label) * counted), jnp.sum(counted)

        image, text, hidden, terms = None, (), None, {}
        if self.group != "text":
            image = normalise(batch["image"], self.pixels)
        if self.group != "image":
            text = batch["masked_text" if self._words else "text"], batch["text_mask"] > 0
        if self._codes:
            hidden = batch["patch_mask"] > 0
        if self._codes and self._words:
            codes, words = apply("pair_logits", image, hidden, *text)
        elif self._codes:
            codes = apply("code_logits", image, hidden, *text)
        else:
            words = apply("words", image, *text)
        if self._codes:
            terms[f"{self.group}_codes"] = mean(codes, batch["codes"], hidden)
        if self._words:
            terms[f"{self.group}_words"] = mean(words, batch["text"], batch["masked"])
        return Outputs(terms=terms)
