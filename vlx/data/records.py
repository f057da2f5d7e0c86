"""What a source yields: records by random access."""

from typing import Any, Protocol

Record = dict[str, Any]
# image         encoded bytes, or uint8 [H, W, 3]; not where the data are text alone
# second_image  as image; of pairs of pictures, the right one
# captions      tuple of str, at least one: captions, or the question, or the statement
# label_map     uint8 [H, W]; class of each pixel of the image, 255 where there is none
# label         int; class, and of statements 1 for true, 0 for false
# answers       tuple of str, at least one: what every annotator answered, as it was written
# answer        str; the most common of the answers, where the data say it
# image_id      int; how a benchmark's server calls the picture
# question_id   int or str; how a benchmark's server calls the question
# answer_type   str; such as "yes/no"
# codes         integers [K, P]; of a visual tokenizer, for each of K views
# view_seeds    of each of these views what its generator is made from
# picture       str; the same for records that show the same picture
# sentence      str; the same for statements that belong together, where that is not their text
# id            str: file and row, for error messages
# All but captions and id only where the data have them.


class Source(Protocol):
    """Records by random access.

    May have `captions(index)` and `annotation(index)`, the record without its pictures, which read
    no pixels; `order(seed)`, in which training reads; `answer_names`, all answers there can be; and
    `available`, how many records there were before some were left out.
    """

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


def tokenizer_texts(source: Source, index: int) -> tuple[str, ...]:
    """What a tokenizer learns from record `index`, read without its pixels where that is possible.

    Not always the record's captions: where these are class names in templates, each class comes up
    without a look at labels.
    """
    read = getattr(source, "captions", None)
    return read(index) if read else source[index]["captions"]


def annotation(source: Source, index: int) -> Record:
    """Record `index` without its pictures, read without their pixels where that is possible."""
    read = getattr(source, "annotation", None)
    if read:
        return read(index)
    return {k: v for k, v in source[index].items() if k not in ("image", "second_image")}


def answer_names(source: Source) -> tuple[str, ...]:
    """All answers that the source's questions can have, if it knows them."""
    return getattr(source, "answer_names", ())


def available(source: Source) -> int:
    """Records of the source, with those that were left out for want of an answer."""
    return getattr(source, "available", len(source))
