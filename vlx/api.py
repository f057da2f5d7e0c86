"""Trained models from Python: pictures and texts in, vectors, names, captions and answers out.

    model = vlx.load("runs/a")
    model.zero_shot("photo.jpg", ["a cat", "a dog"])

A picture is a path, a Pillow image, the content of a file, or an array uint8 [height, width, 3];
a list of them, or an array with one more axis, is a batch. What goes in alone comes out alone.

Letters: B pictures or texts, C texts, E embedding, D width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vlx import weights
from vlx.data.answer_vocabulary import FILE as ANSWERS
from vlx.decode import DecodeOptions, Writer
from vlx.errors import UserError
from vlx.evaluate.answering import TRUTH
from vlx.evaluate.prompts import read_templates
from vlx.evaluate.windows import Windows
from vlx.evaluate.zero_shot import classifier
from vlx.interop.pretrained import Pretrained
from vlx.layers.pixels import normalise
from vlx.models import MODELS
from vlx.models.capabilities import PAIR_OF_IMAGES, can, why_not
from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import MeshConfig, make_mesh
from vlx.pictures import Picture, several
from vlx.pictures import read as read_picture

TEMPLATES = ("a photo of a {}.",)


def load(path: str | Path, dtype: str = "") -> "Model":
    """The model in a folder of vlx, in a run (latest checkpoint), or in an official folder.

    `dtype` is that of activations, by default the one that the model was trained with. Raises
    UserError if there is none, or it is damaged.
    """
    pretrained = weights.read(Path(path))
    if dtype:
        config = pretrained.model.config
        if not hasattr(config, "compute"):
            raise UserError(
                f"dtype={dtype!r}: {type(pretrained.model).__name__} computes in float32 alone."
            )
        config = replace(config, compute=replace(config.compute, dtype=dtype))
        pretrained = replace(pretrained, model=type(pretrained.model)(config))
    return Model(pretrained)


def list_models() -> list[str]:
    """Every preset as `model/preset`."""
    return [f"{name}/{preset}" for name, kind in MODELS.items() for preset in kind.presets]


@dataclass(frozen=True)
class Model:
    """A trained model on the default device; its parts are compiled when they are first used."""

    pretrained: Pretrained
    batch_size: int = 32  # at most so many pictures or texts at a time

    def encode_image(self, images: Picture | Sequence[Picture]) -> np.ndarray:
        """Unit vectors, float32 [B, E] or [E]."""
        pictures, alone = several(images)
        vectors = self._in_batches(self._encoder("encode_image"), self._pixels, pictures)
        return vectors[0] if alone else vectors

    def encode_text(self, texts: str | Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 [B, E] or [E]."""
        alone = isinstance(texts, str)
        rows = [texts] if alone else list(texts)
        vectors = self._in_batches(self._encoder("encode_text"), self._ids, rows)
        return vectors[0] if alone else vectors

    def similarity(
        self, images: Picture | Sequence[Picture], texts: str | Sequence[str]
    ) -> np.ndarray:
        """Cosines of every picture with every text: float32 [B, C], without the axis of one."""
        return self.encode_image(images) @ self.encode_text(texts).T

    def zero_shot(
        self,
        images: Picture | Sequence[Picture],
        names: Sequence[str],
        templates: Sequence[str] = TEMPLATES,
    ) -> dict[str, float] | list[dict[str, float]]:
        """The share of belief in each class, by its name, the likeliest first.

        A class is the mean of its name in all templates, which may also be names of lists or text
        files, as `evaluate.templates`.
        """
        templates = read_templates(templates)
        prompts = [template.replace("{}", name) for name in names for template in templates]
        classes = classifier(self.encode_text(prompts).reshape(len(names), len(templates), -1))
        pictures, alone = several(images)
        logits = self._scale * self.encode_image(pictures) @ classes.T
        shares = np.asarray(jax.nn.softmax(jnp.asarray(logits), axis=-1))
        ranked = [_ranked(names, row) for row in shares]
        return ranked[0] if alone else ranked

    def caption(
        self,
        images: Picture | Sequence[Picture],
        options: DecodeOptions = DecodeOptions(),
        prefix: str = "",
    ) -> str | list[str]:
        """What the model writes about each picture. Raises UserError if it cannot write."""
        longest = min(options.max_length, self._length)
        writer = self._writer(replace(options, max_length=longest), prefix)
        pictures, alone = several(images)
        texts = self._in_batches(
            lambda params, image: np.array(writer(params, image).texts, dtype=object),
            self._pixels,
            pictures,
        )
        return texts[0] if alone else list(texts)

    def features(self, images: Picture | Sequence[Picture]) -> np.ndarray:
        """What classifiers are trained on: float32 [B, D] or [D]."""
        pictures, alone = several(images)
        vectors = self._in_batches(self._encoder("features"), self._pixels, pictures)
        return vectors[0] if alone else vectors

    def tokens(self, images: Picture | Sequence[Picture]) -> np.ndarray:
        """A visual tokenizer's codes, in rows from the top left: int32 [B, P] or [P]."""
        pictures, alone = several(images)
        codes = self._in_batches(self._encoder("tokens"), self._pixels, pictures).astype(np.int32)
        return codes[0] if alone else codes

    def segment(self, images: Picture | Sequence[Picture]) -> np.ndarray | list[np.ndarray]:
        """The class of each pixel: int32 [height, width] of every picture, in its own size.

        A picture is seen in windows, or as a whole where the model was trained so.
        """
        run, how = self._encoder("segment"), self.pretrained.pixels
        pictures, alone = several(images)
        pixels = [read_picture(picture) for picture in pictures]
        whole = how.resize_mode == "squash"
        views = [Windows.of(x.shape[:2], how.size, whole) for x in pixels]
        cut = [view.cut(x, how.interpolation) for view, x in zip(views, pixels, strict=True)]
        logits = self._in_batches(run, _as_it_is, [window for each in cut for window in each])
        parts = np.split(logits, np.cumsum([len(each) for each in cut])[:-1])
        maps = [view.classes(part) for view, part in zip(views, parts, strict=True)]
        return maps[0] if alone else maps

    def match(
        self, images: Picture | Sequence[Picture], texts: str | Sequence[str]
    ) -> np.ndarray | float:
        """How much every picture and every text belong together, seen at once; more is likelier.

        Logits, float32 [B, C], without the axis of one. A pair takes one pass, so that this is for
        the best few that `similarity` finds.
        """
        run = self._encoder("match")
        pictures, alone = several(images)
        rows = [texts] if isinstance(texts, str) else list(texts)
        pixels, ids = [self._pixels(x) for x in pictures], [self._ids(x) for x in rows]
        pairs = [(image, text) for image in pixels for text in ids]
        logits = self._in_batches(run, _as_it_is, pairs).reshape(len(pixels), len(ids))
        logits = logits[0] if alone else logits
        return logits[..., 0] if isinstance(texts, str) else logits

    def answer(
        self,
        images: Picture | Sequence[Picture],
        questions: str | Sequence[str],
        second_images: Picture | Sequence[Picture] | None = None,
    ) -> Any:
        """The likeliest answer to the question about each picture, a text.

        With second pictures the questions are statements about two: shares of belief in "true" and
        "false", a dictionary with the likelier first. One question may go with several pictures,
        and one picture with several questions. Raises UserError if the model cannot answer.
        """
        two = second_images is not None
        run = self._encoder("answer", PAIR_OF_IMAGES if two else "")
        names = TRUTH if two else self._answers
        parts = [several(images), several(questions)]
        parts += [several(second_images)] if two else []
        kinds = self._pixels, self._ids, self._pixels
        rows = _side_by_side(
            [[prepare(x) for x in xs] for prepare, (xs, _) in zip(kinds, parts, strict=False)]
        )
        logits = self._in_batches(run, _as_it_is, rows)
        if two:
            said = [_ranked(names, row) for row in np.asarray(jax.nn.softmax(logits, axis=-1))]
        else:
            said = [names[n] for n in np.argmax(logits, axis=-1)]
        return said[0] if all(alone for _, alone in parts) else said

    @cached_property
    def params(self) -> Any:
        """The parameters on the device."""
        return jax.device_put(self.pretrained.tree)

    @cached_property
    def _scale(self) -> np.ndarray:
        model, params = self.pretrained.model, {"params": self.params}
        if hasattr(model, "scales"):  # the first of several kinds of vectors
            return np.asarray(model.apply(params, method="scales")[0])
        return np.asarray(model.apply(params, method="scale").scale)

    @property
    def _answers(self) -> tuple[str, ...]:
        if not self.pretrained.answers:
            raise UserError(
                "This model came without the names of its answers; put them into its folder as "
                f"{ANSWERS}, one a line, in their order."
            )
        return self.pretrained.answers

    @property
    def _length(self) -> int:
        _ = self.pretrained.words  # says why there are no texts, where there are none
        return self.pretrained.tokenizer.length

    @cached_property
    def _mesh(self) -> Mesh:
        return make_mesh(MeshConfig(), jax.devices()[:1])

    def _encoder(self, method: str, part: str = "") -> Callable:
        """A compiled function of the parameters and uint8 pictures, token ids, or both.

        part: what the method needs, as `can` takes it.
        """
        p = self.pretrained
        if not can(p.model, method, part):
            raise UserError(why_not(p.model, method, part))
        how = {"model": p.model, "method": method, "pixels": p.pixels.statistics}
        return compiled(_encode, self._mesh, **how)

    def _writer(self, options: DecodeOptions, prefix: str) -> Writer:
        p = self.pretrained
        return Writer(p.model, p.pixels.statistics, p.words, options, self._mesh, prefix)

    def _pixels(self, picture: Picture) -> np.ndarray:
        return self.pretrained.pixels.resize(read_picture(picture))

    def _ids(self, text: str) -> np.ndarray:
        return self.pretrained.words.encode(text, self._length)

    def _in_batches(self, function: Callable, prepare: Callable, rows: Sequence) -> np.ndarray:
        """function(params, prepared rows) for all rows, padded to few sizes that are compiled.

        A prepared row is an array, or several as a tuple.
        """
        if not rows:
            raise UserError("Give at least one picture or text.")
        results = []
        for start in range(0, len(rows), self.batch_size):
            batch = [prepare(row) for row in rows[start : start + self.batch_size]]
            size = 1 << (len(batch) - 1).bit_length()
            padded = batch + batch[-1:] * (size - len(batch))
            stacked = jax.tree.map(lambda *x: np.stack(x), *padded)
            results.append(np.asarray(function(self.params, stacked))[: len(batch)])
        return np.concatenate(results)


def _encode(params, inputs, *, model, method: str, pixels: str):
    # Of pictures and ids, only pictures are of the type that is normalised.
    inputs = jax.tree.map(lambda x: normalise(x, pixels), inputs)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return model.apply({"params": params}, *inputs, method=method).astype(jnp.float32)


def _as_it_is(row: Any) -> Any:
    return row


def _ranked(names: Sequence[str], shares: np.ndarray) -> dict[str, float]:
    return {names[n]: float(shares[n]) for n in np.argsort(-shares, kind="stable")}


def _side_by_side(columns: Sequence[Sequence]) -> list[tuple]:
    """Rows of columns that are equally long, or have one value for all."""
    most = max(map(len, columns))
    if any(len(column) not in (1, most) for column in columns):
        lengths = ", ".join(str(len(column)) for column in columns)
        raise UserError(
            f"Give as many questions as pictures, or one for all; these are lists of {lengths}."
        )
    return list(zip(*(list(x) * most if len(x) == 1 else x for x in columns), strict=True))
