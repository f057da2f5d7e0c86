"""What a run's configuration says about data and tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from vlx.data.answers import SPELLINGS
from vlx.data.choose import check
from vlx.data.label_maps import LabelMapConfig
from vlx.data.masks import PatchMaskConfig, TextMaskConfig
from vlx.data.random_augment import AUGMENTATIONS
from vlx.errors import UserError

CAPTIONS_FROM = ("text", "class_templates")
CAPTION = ("random", "first")
ABOUT = ("captions", "questions", "open_questions", "statements", "pairs", "label_maps")
ON_ERROR = ("raise", "skip")
_OWN = (  # what the parts of a mixture may say for themselves
    *("source", "path", "name", "file", "train_split", "eval_split"),
    *("image_column", "text_column", "label_column", "image_folder", "class_names"),
    *("answers_column", "second_image_column", "about", "least_words"),
    *("captions_from", "templates", "caption_templates", "objects"),
)
RESIZE_MODES = ("shortest", "squash", "longest")
INTERPOLATIONS = ("bicubic", "bilinear", "lanczos", "area", "linear")
CLEANING = ("lower", "whitespace", "canonicalize")


@dataclass(frozen=True)
class DataConfig:
    """Where records come from, how they become examples, how many hands make them."""

    source: str = "shapes"  # a name in `vlx.data.SOURCES`
    path: str = ""  # folder, file or pattern such as "photos/*.parquet"; "{split}" is filled in
    name: str = ""  # tfds: "builder" or "builder:1.0.0" in the folder `path`; else unused
    file: str = ""  # in the folder `path`: a file or pattern; empty: found by the split's name
    train_split: str = "train"  # an empty split means all rows
    eval_split: str = "val"
    image_column: str = ""  # empty: the first there is of `columns.IMAGE`
    text_column: str = ""  # empty: the first there is of `columns.TEXT`
    label_column: str = ""  # empty: "label", if it exists
    answers_column: str = ""  # empty: the first there is of `columns.ANSWERS`
    second_image_column: str = ""  # empty: the first there is of `columns.SECOND_IMAGE`
    image_folder: str = (
        ""  # relative image paths start here; empty: beside the file that lists them
    )
    class_names: str = ""  # one name a line, line number = label; empty: `path`/classnames.txt
    captions_from: str = "text"  # or "class_templates": written from the label's class name
    templates: tuple[str, ...] = ("a photo of a {}.",)
    caption_templates: tuple[str, ...] = ("{}",)  # every caption in each, such as "a photo: {}"
    mixture: tuple[Mapping[str, Any], ...] = ()  # sources to read at once; see `Part`
    caption: str = "random"  # which caption an epoch sees of an image: "random" or "first"
    crop_scale: tuple[float, float] = (0.9, 1.0)  # area of the training crop, of the whole image
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)  # its width / height before the resize
    flip: bool = False  # mirror half of the images; wrong where captions say left or right
    augment: str = ""  # random operations in training: a name in `AUGMENTATIONS`
    augment_count: int = 2  # operations that are drawn for an image
    augment_level: float = 7.0  # how much of each: of 10, pixelbert of 30
    jitter: float = 0.0  # brightness, contrast and saturation change by at most this share
    target_size: int = 0  # side of the second view, for visual tokenizers; 0: none
    target_interpolation: str = "lanczos"  # of the second view; or "bicubic", "bilinear"
    codes: str = ""  # training: folder with codes of the second views, by `python -m vlx codes`
    text_mask: TextMaskConfig = TextMaskConfig()  # for tasks that predict words
    patch_mask: PatchMaskConfig = PatchMaskConfig()  # for tasks that predict patches
    label_map: LabelMapConfig = LabelMapConfig()  # for tasks that predict classes of pixels
    resize_mode: str = "shortest"  # evaluation: "shortest", "squash" or "longest"
    eval_part: float = 1.0  # evaluation, shortest: how much of the shorter side is seen
    interpolation: str = "bicubic"  # or "bilinear", "lanczos"; quicker: "area", "linear"
    on_error: str = "raise"  # at a bad record or shard; "skip": counts, logs and goes on
    fast_decode: bool = False  # JPEG by rougher sums, a few levels off: quicker
    max_pixels: int = 100_000_000  # a larger picture is refused before it is decoded
    objects: tuple[int, int] = (1, 6)  # shapes: fewest and most objects in a picture
    about: str = "captions"  # shapes: or another of ABOUT; "pairs" are of pictures
    least_words: int = 1  # visual_genome: descriptions of fewer words are left out
    answers: str = ""  # answers that a model knows, one a line; empty: counted, as follows
    answer_count: int = 9  # an answer counts if it is the most common of so many questions
    answer_split: str = ""  # whose questions are counted; empty: `train_split`
    answer_spelling: str = "written"  # how annotators' answers are looked up; or "normalised"
    workers: int = 0  # processes that make batches; they pay on hosts with many cores
    threads: int = 16  # in each process, but no more than it has cores; 0: none
    prefetch: int = 2  # batches that each process makes ahead; 0: made when asked for

    def __post_init__(self):
        check(self.captions_from, CAPTIONS_FROM, "data.captions_from")
        check(self.caption, CAPTION, "data.caption")
        check(self.about, ABOUT, "data.about")
        check(self.answer_spelling, SPELLINGS, "data.answer_spelling")
        check(self.on_error, ON_ERROR, "data.on_error")
        check(self.resize_mode, RESIZE_MODES, "data.resize_mode")
        check(self.interpolation, INTERPOLATIONS, "data.interpolation")
        check(self.target_interpolation, INTERPOLATIONS, "data.target_interpolation")
        _check_range(self.crop_scale, "data.crop_scale", 1.0)
        _check_range(self.crop_ratio, "data.crop_ratio", float("inf"))
        if self.augment:
            check(self.augment, AUGMENTATIONS, "data.augment")
            most = AUGMENTATIONS[self.augment].levels
            if not 0 <= self.augment_level <= most:
                raise UserError(f"data.augment_level={self.augment_level} must be 0 to {most}.")
        if not 0 <= self.jitter < float("inf"):
            raise UserError(f"data.jitter={self.jitter} must be 0 or more; papers have 0.4.")
        if not 0 < self.eval_part <= 1:
            raise UserError(f"data.eval_part={self.eval_part} must be above 0 and at most 1.")
        if self.eval_part < 1 and self.resize_mode != "shortest":
            raise UserError(
                f"data.eval_part={self.eval_part} is for data.resize_mode='shortest', which is "
                f"{self.resize_mode!r} here."
            )
        for name in ("workers", "threads", "prefetch", "augment_count", "target_size"):
            if getattr(self, name) < 0:
                raise UserError(f"data.{name}={getattr(self, name)} must be 0 or more.")
        for name in ("max_pixels", "least_words", "answer_count"):
            if getattr(self, name) < 1:
                raise UserError(f"data.{name}={getattr(self, name)} must be 1 or more.")
        if self.templates or self.captions_from == "class_templates":
            _check_templates(self.templates, "data.templates", "the class name")
        _check_templates(self.caption_templates, "data.caption_templates", "the caption")
        assert len(self.parts) == len(self.mixture)  # reading them checks them

    @property
    def parts(self) -> tuple["Part", ...]:
        """The entries of `mixture`, checked."""
        return tuple(_read_part(self, n, dict(entry)) for n, entry in enumerate(self.mixture))


@dataclass(frozen=True)
class Part:
    """An entry of data.mixture: its own settings, and those of `DataConfig` that it changes."""

    config: DataConfig
    weight: float = 1.0  # its share of the examples, relative to the others'
    evaluate: bool = True  # false: training only

    def split(self, split: str, whole: DataConfig) -> str:
        """What this part calls the split of the whole."""
        if split == whole.train_split:
            return self.config.train_split
        return self.config.eval_split if split == whole.eval_split else split


@dataclass(frozen=True)
class TokenizerConfig:
    """Which tokenizer, and how long its texts are.

    The run folder keeps a copy of the vocabulary, which counts from then on.
    """

    name: str = "sentencepiece"  # a name in `vlx.data.TOKENIZERS`
    path: str = ""  # its file or folder; empty: trained here, or where it is usually installed
    length: int = 64  # T, start and end included
    vocab_size: int = 8000  # sentencepiece: at most, if it is trained; the CoCa paper has 64000
    algorithm: str = "bpe"  # of training; or "unigram", which splits words of small corpora finely
    lowercase: bool = False  # of training
    captions: int = 100_000  # at most so many are trained on, spread evenly over the set
    cleaning: str = "lower"  # clip_bpe: or "whitespace" (capitals stay), "canonicalize" (SigLIP)

    def __post_init__(self):
        check(self.cleaning, CLEANING, "tokenizer.cleaning")
        check(self.algorithm, ("bpe", "unigram"), "tokenizer.algorithm")
        if self.length < 2:
            raise UserError(
                f"tokenizer.length={self.length} cannot hold a start and an end; use 2 or more."
            )


def _check_range(ends: tuple[float, float], key: str, most: float) -> None:
    if len(ends) != 2 or not 0 < ends[0] <= ends[1] <= most:
        limit = "" if most == float("inf") else f", the larger at most {most:g}"
        raise UserError(
            f"{key}={tuple(ends)} must be two positive numbers in increasing order{limit}."
        )


def _check_templates(templates: tuple[str, ...], key: str, what: str) -> None:
    if not templates:
        raise UserError(f"{key} is empty; give at least one, as 'a photo of a {{}}.'.")
    for template in templates:
        if "{}" not in template:
            raise UserError(f"{key}: {template!r} has no '{{}}' for {what}.")


def _read_part(config: DataConfig, number: int, entry: dict[str, Any]) -> Part:
    key = f"data.mixture[{number}]"
    common = {field.name for field in fields(DataConfig)} - set(_OWN)
    settings = {"mixture": ()}
    for name, value in entry.items():
        if name in common:
            raise UserError(f"{key}.{name} must be the same for all parts; set data.{name}.")
        check(name, ("weight", "evaluate", *_OWN), f"{key}: the setting")
        like = getattr(config, name) if name in _OWN else getattr(Part, name)
        settings[name] = _convert(value, like, f"{key}.{name}")
    weight, evaluate = settings.pop("weight", Part.weight), settings.pop("evaluate", Part.evaluate)
    if not 0 < weight < float("inf"):
        raise UserError(f"{key}.weight={weight} must be a positive number.")
    try:
        return Part(replace(config, **settings), weight, evaluate)
    except UserError as error:
        raise UserError(f"{key}: {error}") from error


def _convert(value: Any, like: Any, key: str) -> Any:
    """The value in the type of `like`: configurations that were JSON have lists for tuples."""
    if isinstance(like, tuple) and isinstance(value, list | tuple):
        if all(type(item) is type(like[0]) for item in value if like):
            return tuple(value)
    elif isinstance(like, float) and type(value) is int:
        return float(value)
    elif type(value) is type(like):
        return value
    raise UserError(f"{key}={value!r} is of the wrong kind; an example is {like!r}.")
