"""Captions beside the references of the split's images."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlx.data import Source, retrieval_source
from vlx.data.records import annotation
from vlx.evaluate.attention import READINGS, read_words
from vlx.evaluate.captions import caption_intervals, score_captions
from vlx.evaluate.context import Context
from vlx.evaluate.examples import examples_file, keep_examples, keep_pictures, spread
from vlx.evaluate.measured import Metrics
from vlx.evaluate.predictions import keep_predictions
from vlx.parallel.mesh import place_rows
from vlx.parallel.start import from_all_processes


@dataclass(frozen=True)
class Caption:
    """What was written about an example of the split, and what people wrote."""

    index: int
    text: str
    score: float
    references: tuple[str, ...]


def captioning(context: Context, params: Any) -> Metrics:
    """BLEU, ROUGE-L and CIDEr-D (`evaluate.caption_metrics`) of written captions.

    They are kept in the run's evaluations/captions-SPLIT.json, as a benchmark's server reads them,
    if images have numbers, in caption-predictions-SPLIT.json, and for some of them, where the model
    can tell, what it read of the image at each word, in attention-SPLIT.json.
    """
    setup = context.setup
    source = retrieval_source(setup.config.data, context.split, setup.image_size[0])
    captions = write_captions(context, params, source)
    keep_examples(context, "captions", [asdict(caption) for caption in captions])
    records = [annotation(source, caption.index) for caption in captions]
    texts = [caption.text for caption in captions]
    keep_predictions(context, records, texts, ("image_id", "caption"))
    keep_pictures(context, "captions", source, [captions[n].index for n in spread(len(captions))])
    if hasattr(setup.task.model, "attended"):
        chosen = [captions[n] for n in spread(len(captions), READINGS)]
        readings = read_words(context, params, source, [(x.index, x.text) for x in chosen])
        keep_examples(context, "attention", [asdict(reading) for reading in readings])
        keep_pictures(context, "attention", source, [reading.index for reading in readings])
    references = [caption.references for caption in captions]
    scores = score_captions(texts, references, setup.config.evaluate.caption_metrics)
    return Metrics(
        {name: score.corpus for name, score in scores.items()},
        caption_intervals(scores, texts, references),
    )


def captions_file(workdir: Path, name: str) -> Path:
    """Where the newest captions of a run are kept."""
    return examples_file(workdir, "captions", name)


def write_captions(context: Context, params: Any, source: Source) -> list[Caption]:
    """A caption of every example, by the options `evaluate.decode`."""
    setup, write = context.setup, context.writer
    c = setup.config.evaluate
    captions = []
    for number, batch in enumerate(context.batches(source, c.examples)):
        texts, scores = write(params, place_rows(batch["image"], setup.mesh), number)
        real = from_all_processes(batch["weight"]) > 0
        for row in real.nonzero()[0]:
            index = number * c.batch_size + int(row)
            references = tuple(annotation(source, index)["captions"])
            captions.append(Caption(index, texts[row], float(scores[row]), references))
    return captions
