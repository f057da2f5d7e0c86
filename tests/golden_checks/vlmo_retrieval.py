"""Checks of retrieval by VLMo, and of its second look at the best candidates."""

import jax
import numpy as np

from vlx.evaluate.reranking import best, match_pairs
from vlx.evaluate.retrieval import recall, recall_reranked
from vlx.parallel.mesh import MeshConfig, make_mesh

from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc
from golden_checks.vlmo_official import load, model_of

OUTSIDE = -100.0  # the official logit of pairs that are not among the best
BATCH = 8
NAMES = [f"{way}_r{k}" for way in ("text_to_image", "image_to_text") for k in (1, 5, 10)]


def check_retrieval(case: Case) -> Ratios:
    """Similarities, recall, logits of the best pairs, and recall in their new order."""
    c, _, params = load(case)
    model, inputs, most = model_of(c), case.group("in"), case.config["k_test"]
    apply = jax.jit(
        lambda params, *inputs, method: model.apply({"params": params}, *inputs, method=method),
        static_argnames="method",
    )
    pixels, ids = nhwc(inputs["images"]), inputs["text_ids"].astype(np.int32)
    images = np.asarray(apply(params, pixels, method="encode_image"))
    texts = np.asarray(apply(params, ids, method="encode_text"))
    owner = inputs["image_of_text"].astype(int)
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])

    def match(pairs: np.ndarray) -> np.ndarray:
        def logits(params, image, text):
            return apply(params, image, text, method="match")

        return match_pairs(logits, params, pixels, ids, pairs, BATCH, mesh)

    def matrix(queries: np.ndarray, candidates: np.ndarray, swap: bool) -> np.ndarray:
        place, _ = best(queries, candidates, most, mesh)
        pairs = np.stack([np.repeat(np.arange(len(queries)), most), place.ravel()], axis=1)
        whole = np.full((len(queries), len(candidates)), OUTSIDE, np.float32)
        whole[tuple(pairs.T)] = match(pairs[:, ::-1] if swap else pairs)
        return whole

    plain = recall(images, texts, owner, mesh)
    again = recall_reranked(images, texts, owner, match, most, mesh)
    return case.compare(
        {
            "scores_image_by_text": images @ texts.T,
            "recall": [plain[name] for name in NAMES],
            "rerank_itm_image_by_text": matrix(images, texts, swap=False),
            "rerank_itm_text_by_image": matrix(texts, images, swap=True),
            "recall_rerank": [again[f"{name}_reranked"] for name in NAMES],
        }
    )


CHECKS = {"retrieval_eval": check_retrieval}
