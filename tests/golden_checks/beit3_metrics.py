"""Checks of BEiT-3's metrics: answers, statements, retrieval, and what is handed to servers."""

import jax
import numpy as np

from vlx.data.answers import soft_score
from vlx.evaluate.answers import true_false, vocabulary_score
from vlx.evaluate.predictions import KINDS, first_of_each
from vlx.evaluate.retrieval import recall
from vlx.parallel.mesh import MeshConfig, make_mesh

from golden_checks.case import Case, Ratios
from golden_checks.vlmo_answers import check_normalise, check_tables
from golden_checks.vlmo_data import exact

TOLERANCE = 1e-6  # relative


def compare(got: dict[str, float], want: dict[str, float]) -> Ratios:
    assert set(got) == set(want), sorted(set(got) ^ set(want))
    scale = np.finfo(float).tiny
    return {k: abs(got[k] - x) / (TOLERANCE * abs(x) + scale) for k, x in want.items()}


def check_statements(case: Case) -> Ratios:
    inputs = case.meta["inputs"]
    chosen = np.argmax(inputs["logits"], axis=1)
    shares = true_false(chosen, np.array(inputs["label"]), inputs["sentence_id"])
    return compare({name: 100 * x for name, x in shares.items()}, case.meta["outputs"])


def check_merge(case: Case) -> Ratios:
    rows = [row for file in case.meta["inputs"]["rank_files"] for row in file]
    (number,) = {number for number, _ in KINDS} & set(rows[0])
    return {"rows": exact(first_of_each(rows, number), case.meta["outputs"])}


def check_retrieval(case: Case) -> Ratios:
    inputs = case.meta["inputs"]
    images, texts = (np.float32(inputs[x]) for x in ("image_feature_by_id", "text_feature"))
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    shares = recall(images, texts, np.array(inputs["text_image_id"]), mesh)
    ways = {"tr": "image_to_text", "ir": "text_to_image"}
    got = {f"{x}_r{k}": 100 * shares[f"{ways[x]}_r{k}"] for x in ways for k in (1, 5, 10)}
    return compare(got | {"average_score": np.mean(list(got.values()))}, case.meta["outputs"])


def check_score(case: Case) -> Ratios:
    logits, labels = (np.array(case.meta["inputs"][name]) for name in ("logits", "labels"))
    score = np.mean(vocabulary_score(np.argmax(logits, axis=1), labels))
    return compare({"score": score}, {"score": case.meta["outputs"]})


def check_soft_score(case: Case) -> Ratios:
    got = {n: soft_score(n) for n in case.meta["inputs"]}
    return compare(got, dict(zip(got, case.meta["outputs"], strict=True)))


PARTS = {
    "b3_metrics_answer_normalisation": check_normalise,
    "b3_metrics_answer_tables": check_tables,
    "b3_metrics_nlvr2": check_statements,
    "b3_metrics_prediction_merge": check_merge,
    "b3_metrics_retrieval": check_retrieval,
    "b3_metrics_vqa_score": check_score,
    "b3_metrics_vqa_soft_score": check_soft_score,
}


def check_metrics(case: Case) -> Ratios:
    return next(check for name, check in PARTS.items() if case.meta["name"].startswith(name))(case)


CHECKS = {"b3_metrics": check_metrics}
