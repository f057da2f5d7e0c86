"""One record to one example: what training draws by chance, and what evaluation does instead.

Letters: S side of the image, T text length.
"""

from dataclasses import dataclass

import numpy as np

from vlx.data.augment import Size, evaluation_resize, flip, random_resized_crop
from vlx.data.batch import Example
from vlx.data.config import DataConfig, TokenizerConfig
from vlx.data.decode import decode
from vlx.data.records import Record
from vlx.data.tokenizers import Tokenizer


@dataclass(frozen=True)
class TrainTransform:
    """image uint8 [S, S, 3], text int32 [T], text_mask bool [T], weight 1, label if there is one.

    Every choice is drawn from the given generator, in this order: caption, crop, flip.
    """

    size: Size
    tokenizer: Tokenizer
    length: int
    config: DataConfig

    def __call__(self, record: Record, rng: np.random.Generator) -> Example:
        c = self.config
        captions = record["captions"]
        caption = captions[rng.integers(len(captions))] if c.caption == "random" else captions[0]
        image = random_resized_crop(
            _pixels(record, c), self.size, rng, c.crop_scale, c.crop_ratio, c.interpolation
        )
        image = flip(image, rng) if c.flip else image
        return _example(record, image, self.tokenizer, caption, self.length)


@dataclass(frozen=True)
class EvalTransform:
    """The same fields without chance: the first caption, and the image resized and cut.

    With `captions` = N also captions int32 [N, T], the first N, and caption_weight [N].
    """

    size: Size
    tokenizer: Tokenizer
    length: int
    config: DataConfig
    captions: int = 0

    def __call__(self, record: Record) -> Example:
        c = self.config
        image = evaluation_resize(_pixels(record, c), self.size, c.resize_mode, c.interpolation)
        captions = record["captions"]
        example = _example(record, image, self.tokenizer, captions[0], self.length)
        return example | self._several(captions) if self.captions else example

    def _several(self, captions: tuple[str, ...]) -> Example:
        """Ids of the first captions; missing ones are padding alone, and have weight 0."""
        ids = np.full((self.captions, self.length), self.tokenizer.pad, np.int32)
        weight = np.zeros(self.captions, np.float32)
        for n, caption in enumerate(captions[: self.captions]):
            ids[n], weight[n] = self.tokenizer.encode(caption, self.length), 1
        return {"captions": ids, "caption_weight": weight}


def build_transforms(
    config: DataConfig, tokenizer_config: TokenizerConfig, tokenizer: Tokenizer, size: Size
) -> tuple[TrainTransform, EvalTransform]:
    """The transforms of a run."""
    arguments = (size, tokenizer, tokenizer_config.length, config)
    return TrainTransform(*arguments), EvalTransform(*arguments)


def _pixels(record: Record, config: DataConfig) -> np.ndarray:
    image = record["image"]
    return decode(image, config.max_pixels) if isinstance(image, bytes) else image


def _example(
    record: Record, image: np.ndarray, tokenizer: Tokenizer, caption: str, length: int
) -> Example:
    text = tokenizer.encode(caption, length)
    example = {
        "image": image,
        "text": text,
        "text_mask": text != tokenizer.pad,
        "weight": np.float32(1),
    }
    if "label" in record:
        example["label"] = np.int32(record["label"])
    return example
