"""Retrieval between images and their captions.

Letters: N images, M texts, E embedding.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from jax.sharding import Mesh

from vlx.data import retrieval_source
from vlx.evaluate.context import Context
from vlx.evaluate.examples import keep_examples, keep_pictures, spread
from vlx.evaluate.measured import Metrics, means
from vlx.evaluate.ranks import ranks

QUERIES, FOUND = 5, 5  # that are kept each way, and what each finds


def retrieval(context: Context, params: Any) -> Metrics:
    """Recall between the split's images and their captions, `evaluate.captions` of each at most.

    Some queries are kept with what they find, in the run's evaluations/retrieval-SPLIT.json.
    """
    setup, encoder = context.setup, context.encoder
    c = setup.config
    source = retrieval_source(c.data, context.split, setup.image_size[0])
    transform = replace(setup.transforms[1], captions=c.evaluate.captions)
    batches = context.batches(source, c.evaluate.examples, transform)
    images, fields = encoder.images(params, batches)
    owner, place = np.nonzero(fields["caption_weight"])
    texts = encoder.tokens(params, fields["captions"][owner, place])
    _keep(context, source, images, texts, fields["index"], owner, place)
    return recall(images, texts, owner, setup.mesh)


def recall(images: np.ndarray, texts: np.ndarray, owner: np.ndarray, mesh: Mesh) -> Metrics:
    """Recall at 1, 5, 10, median and mean rank both ways, of unit vectors [N, E] and [M, E].

    owner: [M], the image of each text. Of several texts of an image the nearest counts: at k an
    image is a hit if any of its texts is among the k nearest, as in the benchmarks on COCO and
    Flickr30k. Ranks count from 1; a median between two is the lower.
    """
    image = np.arange(len(images))
    result = Metrics({"chance": 1 / len(images)})
    for way, rank, group in (
        ("image_to_text", ranks(images, image, texts, owner, mesh), image),
        ("text_to_image", ranks(texts, owner, images, image, mesh), owner),
    ):
        shares = means({f"{way}_r{k}": rank < k for k in (1, 5, 10)}, group)
        median = Metrics({f"{way}_median": np.floor(np.median(rank)) + 1})
        result = result.also(shares).also(median).also(means({f"{way}_mean": rank + 1}, group))
    return result


def nearest(
    query: np.ndarray, candidates: np.ndarray, right: np.ndarray
) -> list[tuple[int, float, bool]]:
    """The first candidates for a query [E]: place in [C, E], similarity, whether right [C]."""
    similarity = candidates @ query
    order = np.argsort(-similarity, kind="stable")[:FOUND]
    return [(int(n), float(similarity[n]), bool(right[n])) for n in order]


def _keep(context, source, images, texts, index, owner, place) -> None:
    """Queries both ways; index: [N], of the images in the source; owner, place: [M], of texts."""

    def text(m: int) -> str:
        return source[int(index[owner[m]])]["captions"][place[m]]

    def found(nearby, of: Callable[[int], dict]) -> list[dict]:
        return [of(n) | {"similarity": value, "hit": hit} for n, value, hit in nearby]

    asked, read = spread(len(images), QUERIES), spread(len(texts), QUERIES)
    by_image = [
        {
            "index": int(index[n]),
            "found": found(nearest(images[n], texts, owner == n), lambda m: {"text": text(m)}),
        }
        for n in asked
    ]
    everyone = np.arange(len(images))
    by_text = [
        {
            "text": text(m),
            "found": found(
                nearest(texts[m], images, everyone == owner[m]), lambda n: {"index": int(index[n])}
            ),
        }
        for m in read
    ]
    keep_examples(context, "retrieval", {"image_to_text": by_image, "text_to_image": by_text})
    shown = [query["index"] for query in by_image]
    shown += [image["index"] for query in by_text for image in query["found"]]
    keep_pictures(context, "retrieval", source, shown)
