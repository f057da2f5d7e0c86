"""Retrieval between images and their captions.

Letters: N images, M texts, E embedding.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from jax.sharding import Mesh

from vlx.data import Batch, retrieval_source
from vlx.errors import UserError
from vlx.evaluate.context import Context
from vlx.evaluate.examples import keep_examples, keep_pictures, spread
from vlx.evaluate.measured import Metrics, means
from vlx.evaluate.ranks import ranks
from vlx.evaluate.reranking import best, match_pairs, reranked
from vlx.evaluate.results import RERANKED
from vlx.models.capabilities import can
from vlx.parallel.start import from_all_processes

IMAGE_TO_TEXT, TEXT_TO_IMAGE = "image_to_text", "text_to_image"
QUERIES, FOUND = 5, 5  # that are kept each way, and what each finds


def retrieval(context: Context, params: Any) -> Metrics:
    """Recall between the split's images and their captions, `evaluate.captions` of each at most.

    With `evaluate.rerank` = K also after a model that matches pairs has put the best K in order.
    Some queries are kept with what they find, in the run's evaluations/retrieval-SPLIT.json.
    """
    setup, encoder = context.setup, context.encoder
    c, model = setup.config, setup.task.model
    if c.evaluate.rerank and not can(model, "match"):
        raise UserError(
            f"evaluate.rerank={c.evaluate.rerank} needs a model that matches pairs, which "
            f"{type(model).__name__} does not; set evaluate.rerank=0."
        )
    source = retrieval_source(c.data, context.split, setup.image_size[0])
    transform = replace(context.asked("image"), captions=c.evaluate.captions)
    pixels: list[np.ndarray] = []
    batches = context.batches(source, c.evaluate.examples, transform)
    batches = _kept(batches, pixels) if c.evaluate.rerank else batches
    images, fields = encoder.images(params, batches)
    owner, place = np.nonzero(fields["caption_weight"])
    ids = fields["captions"][owner, place]
    texts = encoder.tokens(params, ids)
    _keep(context, source, images, texts, fields["index"], owner, place)
    result = recall(images, texts, owner, setup.mesh)
    if not pixels:
        return result

    def match(pairs: np.ndarray) -> np.ndarray:
        inputs = np.concatenate(pixels), ids, pairs
        return match_pairs(context.match, params, *inputs, c.evaluate.batch_size, setup.mesh)

    return result.also(recall_reranked(images, texts, owner, match, c.evaluate.rerank, setup.mesh))


def recall(images: np.ndarray, texts: np.ndarray, owner: np.ndarray, mesh: Mesh) -> Metrics:
    """Recall at 1, 5, 10, median and mean rank both ways, of unit vectors [N, E] and [M, E].

    owner: [M], the image of each text. Of several texts of an image the nearest counts: at k an
    image is a hit if any of its texts is among the k nearest, as in the benchmarks on COCO and
    Flickr30k. Ranks count from 1; a median between two is the lower.
    """
    result = Metrics({"chance": 1 / len(images)})
    for way, query, queries, candidate, candidates in _ways(images, texts, owner):
        rank = ranks(queries, query, candidates, candidate, mesh)
        result = result.also(_summary(way, rank, query))
    return result


def recall_reranked(
    images: np.ndarray,
    texts: np.ndarray,
    owner: np.ndarray,
    match: Callable[[np.ndarray], np.ndarray],
    most: int,
    mesh: Mesh,
) -> Metrics:
    """As `recall`, with the `most` best candidates of each query in the order of `match`.

    match: places of images and texts [P, 2] -> logits that they belong together [P].
    """
    result = Metrics({})
    for way, query, queries, candidate, candidates in _ways(images, texts, owner):
        rank = ranks(queries, query, candidates, candidate, mesh)
        place, similarity = best(queries, candidates, most, mesh)
        pairs = np.stack([np.repeat(np.arange(len(queries)), place.shape[1]), place.ravel()], 1)
        logit = match(pairs if way == IMAGE_TO_TEXT else pairs[:, ::-1]).reshape(place.shape)
        right = candidate[place] == query[:, None]
        rank = reranked(rank, similarity, logit, right)
        result = result.also(_summary(way, rank, query, RERANKED))
    return result


def _ways(images: np.ndarray, texts: np.ndarray, owner: np.ndarray):
    """Both ways: name, number and vector of queries, number and vector of candidates."""
    image = np.arange(len(images))
    yield IMAGE_TO_TEXT, image, images, owner, texts
    yield TEXT_TO_IMAGE, owner, texts, image, images


def _summary(way: str, rank: np.ndarray, group: np.ndarray, ending: str = "") -> Metrics:
    result = means({f"{way}_r{k}{ending}": rank < k for k in (1, 5, 10)}, group)
    median = Metrics({f"{way}_median{ending}": np.floor(np.median(rank)) + 1})
    return result.also(median).also(means({f"{way}_mean{ending}": rank + 1}, group))


def _kept(batches: Iterable[Batch], pixels: list[np.ndarray]) -> Iterator[Batch]:
    """The batches, whose real images are kept: every process holds all images of the split."""
    for batch in batches:
        real = from_all_processes(batch["weight"]) > 0
        pixels.append(from_all_processes(batch["image"])[real])
        yield batch


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
