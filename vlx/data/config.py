"""What a run's configuration says about data and tokenizer."""

from dataclasses import dataclass

from vlx.data.choose import check
from vlx.errors import UserError

CAPTIONS_FROM = ("text", "class_templates")
CAPTION = ("random", "first")
RESIZE_MODES = ("shortest", "squash", "longest")
INTERPOLATIONS = ("bicubic", "bilinear")


@dataclass(frozen=True)
class DataConfig:
    """Where records come from, how they become examples, how many hands make them."""

    source: str = "shapes"  # a name in `vlx.data.SOURCES`
    path: str = ""  # folder, file or pattern such as "photos/*.parquet"; "{split}" is filled in
    file: str = ""  # in the folder `path`: a file or pattern; empty: found by the split's name
    train_split: str = "train"  # an empty split means all rows
    eval_split: str = "val"
    image_column: str = ""  # empty: the first there is of `records.IMAGE`
    text_column: str = ""  # empty: the first there is of `records.TEXT`
    label_column: str = ""  # empty: "label", if it exists
    image_folder: str = (
        ""  # relative image paths start here; empty: beside the file that lists them
    )
    class_names: str = ""  # one name a line, line number = label; empty: `path`/classnames.txt
    captions_from: str = "text"  # or "class_templates": written from the label's class name
    templates: tuple[str, ...] = ("a photo of a {}.",)
    caption: str = "random"  # which caption an epoch sees of an image: "random" or "first"
    crop_scale: tuple[float, float] = (0.9, 1.0)  # area of the training crop, of the whole image
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)  # its width / height before the resize
    flip: bool = False  # mirror half of the images; wrong where captions say left or right
    resize_mode: str = "shortest"  # evaluation: "shortest", "squash" or "longest"
    interpolation: str = "bicubic"  # or "bilinear"
    objects: tuple[int, int] = (1, 6)  # shapes: fewest and most objects in a picture
    workers: int = 0  # processes that make batches; they pay on hosts with many cores
    threads: int = 16  # in each process, but no more than it has cores; 0: none
    prefetch: int = 2  # batches that each process makes ahead; 0: made when asked for

    def __post_init__(self):
        check(self.captions_from, CAPTIONS_FROM, "data.captions_from")
        check(self.caption, CAPTION, "data.caption")
        check(self.resize_mode, RESIZE_MODES, "data.resize_mode")
        check(self.interpolation, INTERPOLATIONS, "data.interpolation")
        _check_range(self.crop_scale, "data.crop_scale", 1.0)
        _check_range(self.crop_ratio, "data.crop_ratio", float("inf"))
        for name in ("workers", "threads", "prefetch"):
            if getattr(self, name) < 0:
                raise UserError(f"data.{name}={getattr(self, name)} must be 0 or more.")
        if self.captions_from == "class_templates" and not self.templates:
            raise UserError("data.templates is empty; give at least one, as 'a photo of a {}.'.")
        for template in self.templates:
            if "{}" not in template:
                raise UserError(f"data.templates: {template!r} has no '{{}}' for the class name.")


@dataclass(frozen=True)
class TokenizerConfig:
    """Which tokenizer, and how long its texts are."""

    name: str = "sentencepiece"  # a name in `vlx.data.TOKENIZERS`
    path: str = ""  # its model file; empty: the run folder's, trained on the training captions
    vocab_size: int = 8000  # at most, if it is trained; the CoCa paper has 64000
    algorithm: str = "bpe"  # of training; or "unigram", which splits words of small corpora finely
    length: int = 64  # T, start and end included
    lowercase: bool = False
    captions: int = 100_000  # at most so many are trained on, spread evenly over the set

    def __post_init__(self):
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
