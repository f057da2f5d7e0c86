"""Checks of caption metrics against the COCO caption evaluation."""

import numpy as np

from vlx.evaluate.captions import score_captions, score_tokenized, tokenize

from golden_checks.case import Case, Ratios

TOLERANCE = 1e-6  # relative, for the corpus and every image


def check_tokens(case: Case) -> Ratios:
    """Every text, as ratios: 0 or infinity."""
    texts = case.meta["inputs"]["texts"]
    got, want = tokenize(texts), case.meta["outputs"]["tokenized"]
    return {text: 0.0 if g == w else np.inf for text, g, w in zip(texts, got, want, strict=True)}


def check_captions(case: Case) -> Ratios:
    inputs, want = case.meta["inputs"], case.meta["outputs"]
    bleu = want["bleu"]
    values = {name: (want[name]["corpus"], want[name]["each"]) for name in ("cider_d", "rouge_l")}
    for k, each in enumerate(zip(*bleu["each"], strict=True)):
        values[f"bleu_{k + 1}"] = bleu["corpus"][k], each
    scores = {
        "raw": score_captions(inputs["candidates"], inputs["references"]),
        "tokenized": score_tokenized(
            inputs["tokenized_candidates"], inputs["tokenized_references"]
        ),
    }
    return {
        f"{texts}/{name}": max(_ratio(got[name].corpus, corpus), _ratio(got[name].each, each))
        for texts, got in scores.items()
        for name, (corpus, each) in values.items()
    }


def _ratio(got, want) -> float:
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    tolerance = np.maximum(TOLERANCE * np.abs(want), np.finfo(float).tiny)  # zero must be zero
    return float(np.max(np.abs(got - want) / tolerance))


CHECKS = {"ptb_tokenize": check_tokens, "caption_metrics": check_captions}
