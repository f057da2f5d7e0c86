"""Trained models from Python: pictures and texts in, vectors, names and captions out.

    model = vlx.load("runs/a")
    model.zero_shot("photo.jpg", ["a cat", "a dog"])

A picture is a path, a Pillow image, the content of a file, or an array uint8 [height, width, 3];
a list of them, or an array with one more axis, is a batch. What goes in alone comes out alone.

Letters: B pictures or texts, C texts, E embedding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from vlx import weights
from vlx.data.decode import decode
from vlx.decode import DecodeOptions, Writer
from vlx.errors import UserError
from vlx.evaluate.prompts import read_templates
from vlx.evaluate.zero_shot import classifier
from vlx.interop.pretrained import Pretrained
from vlx.layers.pixels import normalise
from vlx.models import MODELS
from vlx.parallel.mesh import MeshConfig, make_mesh

Picture = str | Path | bytes | Image.Image | np.ndarray
ONE = (str, Path, bytes, Image.Image)
TEMPLATES = ("a photo of a {}.",)


def load(path: str | Path, dtype: str = "") -> "Model":
    """The model in a folder of vlx, in a run (latest checkpoint), or in an official folder.

    `dtype` is that of activations, by default the one that the model was trained with. Raises
    UserError if there is none, or it is damaged.
    """
    pretrained = weights.read(Path(path))
    if dtype:
        config = pretrained.model.config
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
        pictures, alone = _several(images)
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
        pictures, alone = _several(images)
        logits = self._scale * self.encode_image(pictures) @ classes.T
        shares = np.asarray(jax.nn.softmax(jnp.asarray(logits), axis=-1))
        ranked = [
            {names[n]: float(row[n]) for n in np.argsort(-row, kind="stable")} for row in shares
        ]
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
        pictures, alone = _several(images)
        texts = self._in_batches(
            lambda params, image: np.array(writer(params, image).texts, dtype=object),
            self._pixels,
            pictures,
        )
        return texts[0] if alone else list(texts)

    @cached_property
    def params(self) -> Any:
        """The parameters on the device."""
        return jax.device_put(self.pretrained.tree)

    @cached_property
    def _scale(self) -> np.ndarray:
        model = self.pretrained.model
        return np.asarray(model.apply({"params": self.params}, method="scale").scale)

    @property
    def _length(self) -> int:
        _ = self.pretrained.words  # says why there are no texts, where there are none
        return self.pretrained.tokenizer.length

    @cached_property
    def _compiled(self) -> dict[Any, Callable]:
        return {}

    def _encoder(self, method: str) -> Callable:
        """A compiled function of the parameters and uint8 pictures, or token ids."""
        p = self.pretrained
        if not hasattr(p.model, method):
            raise UserError(f"{type(p.model).__name__} has no {method}.")
        if method not in self._compiled:

            def encode(params, x):
                x = x if method == "encode_text" else normalise(x, p.pixels.statistics)
                return p.model.apply({"params": params}, x, method=method).astype(jnp.float32)

            self._compiled[method] = jax.jit(encode)
        return self._compiled[method]

    def _writer(self, options: DecodeOptions, prefix: str) -> Writer:
        p, key = self.pretrained, (options, prefix)
        if key not in self._compiled:
            mesh = make_mesh(MeshConfig(), jax.devices()[:1])
            self._compiled[key] = Writer(
                p.model, p.pixels.statistics, p.words, options, mesh, prefix
            )
        return self._compiled[key]

    def _pixels(self, picture: Picture) -> np.ndarray:
        return self.pretrained.pixels.resize(_read(picture))

    def _ids(self, text: str) -> np.ndarray:
        return self.pretrained.words.encode(text, self._length)

    def _in_batches(self, function: Callable, prepare: Callable, rows: Sequence) -> np.ndarray:
        """function(params, prepared rows) for all rows, padded to few sizes that are compiled."""
        if not rows:
            raise UserError("Give at least one picture or text.")
        results = []
        for start in range(0, len(rows), self.batch_size):
            batch = np.stack([prepare(row) for row in rows[start : start + self.batch_size]])
            size = 1 << (len(batch) - 1).bit_length()
            padded = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
            results.append(np.asarray(function(self.params, padded))[: len(batch)])
        return np.concatenate(results)


def _several(images: Picture | Sequence[Picture]) -> tuple[Sequence[Picture], bool]:
    """The pictures as a sequence, and whether there was one alone."""
    if isinstance(images, ONE) or (isinstance(images, np.ndarray) and images.ndim < 4):
        return [images], True
    return list(images), False


def _read(picture: Picture) -> np.ndarray:
    """Pixels, uint8 [height, width, 3]. Raises UserError that names what cannot be read."""
    if isinstance(picture, bytes):
        return decode(picture)
    if isinstance(picture, Image.Image):
        return np.asarray(picture.convert("RGB"))
    if isinstance(picture, str | Path):
        try:
            return decode(Path(picture).read_bytes())
        except OSError as error:
            raise UserError(f"{picture} cannot be read: {error.strerror}.") from error
        except UserError as error:
            raise UserError(f"{picture}: {error}") from error
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
        raise UserError(
            f"A picture must be uint8 [height, width, 3], not {picture.dtype} "
            f"{list(picture.shape)}; scale it to 0..255 and put colours last."
        )
    return picture
