"""Checks of generation: ids token for token, and the rules for logits one by one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vlx.decode import DecodeOptions, Ids, generate
from vlx.decode import logits as rules
from vlx.decode.sample import probabilities, restricted
from vlx.models.coca import Coca

from golden_checks.case import Case, Ratios
from golden_checks.official import load_params, model_config, nhwc, table_of


def options_of(name: str, call: dict) -> DecodeOptions:
    """The official arguments of `generate` in our words."""
    common = {
        "max_length": call["seq_len"],
        "min_length": call["min_seq_len"],
        "repetition_penalty": call.get("repetition_penalty", 1.0),
        "window": call.get("max_seq_len", 0),
    }
    kind = call["generation_type"]
    if kind == "beam_search":
        ours = name.startswith("main_")
        groups = 1 if ours else call["num_beam_groups"]
        score = "log_probabilities" if ours else "raw_logits"
        beams = call["num_beams"]
        return DecodeOptions(method="beam", beams=beams, groups=groups, score=score, **common)
    cut = {kind: call[kind], "temperature": call.get("temperature", 1.0)}
    return DecodeOptions(method="sample", **cut, **common)


def official_width(name: str, text: np.ndarray, call: dict, ids: Ids) -> np.ndarray:
    """Our padded ids [B, max_length] as wide, and padded, as the official code returns them."""
    ended = np.cumsum((text[:, 1:] == ids.end) | (text[:, 1:] == ids.pad), axis=1)
    lengths = 2 + np.sum(ended == 0, axis=1)  # with the end
    if call["generation_type"] == "beam_search":
        at_end = np.argmax(text == ids.end, axis=1)
        lengths = np.where(np.any(text == ids.end, axis=1), at_end + 1, text.shape[1])
    width = min(lengths.max(), text.shape[1])
    if name.startswith("main_"):  # beams of version 4 fill up with ends where the pad is 0
        text = np.where(np.arange(text.shape[1]) < lengths[:, None], text, ids.pad or ids.end)
    return text if call.get("fixed_output_length") else text[:, :width]


def check_generate(case: Case) -> Ratios:
    c = model_config(case.config)
    params = load_params(table_of(c, case.group("param")), case.group("param"))
    model, inputs, want = Coca(c), case.group("in"), case.group("out")
    image = nhwc(inputs["image"])
    tokens = jax.jit(lambda p, x: model.apply({"params": p}, x, method=lambda m, x: m.image(x)))
    error = np.max(np.abs(tokens(params, image)[1] - want["image_embs"]))
    logits = jax.jit(lambda p, *x: model.apply({"params": p}, *x).logits)
    ratios = {"image_embs": float(error / 2e-5)}
    for name, call in case.config["calls"].items():
        ids = Ids(call["sot_token_id"], call["eos_token_id"], call["pad_token_id"])
        options = options_of(name, call)
        run = partial(generate, model, params, image, ids=ids)
        if call["prompt"]:
            run = partial(run, prompt=inputs["prompt"])
        draws = np.zeros((options.max_length, len(image)), np.float32)
        if f"{name}_uniform" in inputs:
            given = inputs[f"{name}_uniform"][: options.max_length]
            draws[: len(given)] = given
        if options.method == "sample":
            run = partial(run, draws=draws)
        text = np.asarray(run(options=options).text)
        got = official_width(name, text, call, ids)
        same = got.shape == want[name].shape and (got == want[name]).all()
        ratios[name] = 0.0 if same else np.inf
        if f"{name}_probs" in want:
            drawn = want[f"{name}_probs"], want[f"{name}_active"]
            given = logits(params, image, text)
            ratios[f"{name}_probs"] = drawn_from(given, text, options, ids, *drawn)
    return ratios


def drawn_from(logits, text, options, ids, want, active) -> float:
    """Error over tolerance of the probabilities [draws, B, V], where a draw was made."""

    @jax.jit
    def share(logits, text, length):
        return probabilities(logits, text, length, options, ids)

    got = np.stack([share(logits[:, i], text, jnp.asarray(i + 1)) for i in range(len(want))])
    return float(np.max(np.abs(got - want) * active[..., None]) / 1e-4)


def check_processors(case: Case) -> Ratios:
    logits, text = case.tensors["in/logits"], case.tensors["in/ids"]
    length, end = jnp.asarray(text.shape[1]), case.config["eos"]
    chain = DecodeOptions(
        method="sample", max_length=30, min_length=9, repetition_penalty=1.4, top_p=0.7,
        temperature=0.8,
    )  # fmt: skip
    ids = Ids(start=0, end=end)

    def run(call):
        kind = call["processor"]
        if kind == "repetition":
            return rules.repetition(logits, text, length, call["penalty"])
        if kind == "min_length":
            return rules.min_length(logits, length, call["min_length"], call["eos"])
        if kind == "top_k":
            return rules.top_k(logits, call["k"])
        return rules.top_p(logits, call["p"])

    logits = jnp.asarray(logits)
    got = {n: run(c) for n, c in case.config["calls"].items() if n != "chain"}
    got["chain"] = rules.top_p(restricted(logits, text, length, chain, ids), chain.top_p)
    got["chain_probs"] = probabilities(logits, text, length, chain, ids)
    want = case.group("out")
    return {name: removed_and_left(case, got[name], want[name]) for name in want}


def removed_and_left(case: Case, got, want) -> float:
    """Error over tolerance of what is left, infinite if other tokens were removed."""
    got = np.asarray(got)
    if (np.isinf(got) != np.isinf(want)).any():
        return np.inf
    left = np.isfinite(want)
    tolerance = case.meta["atol"] + case.meta["rtol"] * np.abs(want[left])
    return float(np.max(np.abs(got[left] - want[left]) / tolerance))


CHECKS = {"generate": check_generate, "logits_processors": check_processors}
