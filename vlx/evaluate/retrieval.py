"""Retrieval between images and their captions.

Letters: N images, M texts, E embedding.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jax.sharding import Mesh

from vlx.data import retrieval_source
from vlx.evaluate.context import Context
from vlx.evaluate.measured import Metrics, means
from vlx.evaluate.ranks import ranks


def retrieval(context: Context, params: Any) -> Metrics:
    """Recall between the split's images and their captions, `evaluate.captions` of each at most."""
    setup, encoder = context.setup, context.encoder
    c = setup.config
    source = retrieval_source(c.data, context.split, setup.image_size[0])
    transform = replace(setup.transforms[1], captions=c.evaluate.captions)
    batches = context.batches(source, c.evaluate.examples, transform)
    images, fields = encoder.images(params, batches)
    owner, place = np.nonzero(fields["caption_weight"])
    texts = encoder.tokens(params, fields["captions"][owner, place])
    return recall(images, texts, owner, setup.mesh)


def recall(images: np.ndarray, texts: np.ndarray, owner: np.ndarray, mesh: Mesh) -> Metrics:
    """Recall at 1, 5, 10, median and mean rank both ways, of unit vectors [N, E] and [M, E].

    owner: [M], the image of each text. Of several texts of an image the nearest counts: at k an
    image is a hit if any of its texts is among the k nearest, as in the benchmarks on COCO and
    Flickr30k. Ranks count from 1; a median between two is the lower.
    """
    image = np.arange(len(images))
    result = Metrics({"chance": 1 / len(images)})
    for way, rank in (
        ("image_to_text", ranks(images, image, texts, owner, mesh)),
        ("text_to_image", ranks(texts, owner, images, image, mesh)),
    ):
        shares = means({f"{way}_r{k}": rank < k for k in (1, 5, 10)})
        median = Metrics({f"{way}_median": np.floor(np.median(rank)) + 1})
        result = result.also(shares).also(median).also(means({f"{way}_mean": rank + 1}))
    return result
