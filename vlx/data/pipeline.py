"""One record to one example: what training draws by chance, and what evaluation does instead.

Letters: S side of the image, N captions, T text length.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from vlx.data.answer_vocabulary import Answers
from vlx.data.augment import Size, evaluation_resize
from vlx.data.batch import Example
from vlx.data.config import DataConfig, TokenizerConfig
from vlx.data.decode import decode
from vlx.data.fields import (
    PICTURE,
    TEXT,
    Wanted,
    given,
    other_fields,
    text_fields,
    training_fields,
)
from vlx.data.label_maps import check_shapes, evaluation_map, training_pair
from vlx.data.records import Record
from vlx.data.tokenizers import Tokenizer
from vlx.data.views import training_views


@dataclass(frozen=True)
class TrainTransform:
    """The wanted fields, and no others; see `vlx/data/batch.py`.

    Every choice is drawn from the given generator, in this order: caption, image (crop, mirroring,
    colours, augmentation; with a label map as `training_pair` says), second image, words to mask,
    patches to mask. With codes it draws which of the views that have some; what that view is
    follows from the view's own seed.
    """

    size: Size
    tokenizer: Tokenizer
    length: int
    config: DataConfig
    wanted: Wanted = Wanted()

    def __call__(self, record: Record, rng: np.random.Generator) -> Example:
        c, wanted = self.config, self.wanted
        example: Example = {}
        if wanted.any(TEXT):
            captions = given(record, "captions")
            drawn = rng.integers(len(captions)) if c.caption == "random" else 0
            ids = self.tokenizer.encode(captions[drawn], self.length)
        if "label_map" in wanted.fields:
            pair = read_pixels(record, "image", c), given(record, "label_map")
            seen = training_pair(*pair, self.size, c.label_map, c.flip, c.interpolation, rng)
            example["image"], example["label_map"] = seen
        elif wanted.any(PICTURE):
            drawn_by = rng
            if "codes" in wanted.fields:
                view = rng.integers(len(record["view_seeds"]))
                example["codes"] = record["codes"][view].astype(np.int32)
                drawn_by = np.random.default_rng(record["view_seeds"][view])
            views = training_views(read_pixels(record, "image", c), self.size, c, drawn_by)
            example |= zip(("image", "target_image"), views, strict=False)
        if "second_image" in wanted.fields:
            second = read_pixels(record, "second_image", c)
            example["second_image"] = training_views(second, self.size, c, rng)[0]
        if wanted.any(TEXT):
            example |= text_fields(ids, wanted, self.tokenizer, c.text_mask, rng)
        example |= other_fields(record, wanted, c, rng)
        return _chosen(example, wanted)


@dataclass(frozen=True)
class EvalTransform:
    """The wanted fields without chance: the first caption, and images resized and cut.

    A label comes along where the record has one, and labels that it has not are left out. What is
    masked depends on the record's id alone.
    With `captions` = N also captions int32 [N, T], the first N, and caption_weight [N].
    """

    size: Size
    tokenizer: Tokenizer
    length: int
    config: DataConfig
    captions: int = 0
    wanted: Wanted = Wanted()

    def __call__(self, record: Record) -> Example:
        c, wanted = self.config, self.wanted.labels_of(record)
        rng = np.random.default_rng(zlib.crc32(str(record.get("id")).encode()))
        example: Example = {}
        if wanted.any(PICTURE):
            pixels = read_pixels(record, "image", c)
            example["image"] = self._resized(pixels, self.size, c.interpolation)
            if c.target_size:
                target = self._resized(pixels, c.target_size, c.target_interpolation)
                example["target_image"] = target
        if "label_map" in wanted.fields:
            labels = given(record, "label_map")
            check_shapes(pixels, labels)
            example["label_map"] = evaluation_map(labels, self.size, c.resize_mode, c.eval_part)
        if "second_image" in wanted.fields:
            second = read_pixels(record, "second_image", c)
            example["second_image"] = self._resized(second, self.size, c.interpolation)
        if wanted.any(TEXT):
            ids = self.tokenizer.encode(given(record, "captions")[0], self.length)
            example |= text_fields(ids, wanted, self.tokenizer, c.text_mask, rng)
        example |= other_fields(record, wanted, c, rng)
        example = _chosen(example, wanted)
        if "label" in record:
            example["label"] = np.int32(record["label"])
        return example | self._several(given(record, "captions")) if self.captions else example

    def _resized(self, pixels: np.ndarray, size: Size, interpolation: str) -> np.ndarray:
        c = self.config
        return evaluation_resize(pixels, size, c.resize_mode, interpolation, part=c.eval_part)

    def _several(self, captions: tuple[str, ...]) -> Example:
        """Ids of the first captions; missing ones are padding alone, and have weight 0."""
        ids = np.full((self.captions, self.length), self.tokenizer.pad, np.int32)
        weight = np.zeros(self.captions, np.float32)
        for n, caption in enumerate(captions[: self.captions]):
            ids[n], weight[n] = self.tokenizer.encode(caption, self.length), 1
        return {"captions": ids, "caption_weight": weight}


def build_transforms(
    config: DataConfig,
    tokenizer_config: TokenizerConfig,
    tokenizer: Tokenizer,
    size: Size,
    fields: tuple[str, ...] = Wanted.fields,
    grid: tuple[int, int] | None = None,
    answers: Answers | None = None,
) -> tuple[TrainTransform, EvalTransform]:
    """The transforms of a run whose task reads `fields`.

    grid: rows and columns of patches, for patch_mask. answers: for answer_scores.
    Raises UserError for what settings and tokenizer cannot give.
    """
    wanted = Wanted(tuple(fields), grid, answers)
    wanted.check(config, tokenizer)
    arguments = (size, tokenizer, tokenizer_config.length, config)
    training = TrainTransform(*arguments, wanted)
    if config.codes:
        known = replace(wanted, fields=training_fields(wanted.fields, config))
        training = replace(training, config=replace(config, target_size=0), wanted=known)
    return training, EvalTransform(*arguments, wanted=wanted)


def _chosen(example: Example, wanted: Wanted) -> Example:
    return {name: example[name] for name in dict.fromkeys((*wanted.fields, "weight"))}


def read_pixels(record: Record, key: str, config: DataConfig) -> np.ndarray:
    """The picture under `key`: uint8 [H, W, 3]."""
    image, how = given(record, key), (config.max_pixels, config.fast_decode)
    return decode(image, *how) if isinstance(image, bytes) else image
