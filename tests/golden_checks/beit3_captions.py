"""Checks of BEiT-3's captions: the cache step by step, and the search token for token."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from vlx.decode import DecodeOptions, Ids, generate
from vlx.decode.beam_one import CANDIDATES, begin, grow
from vlx.decode.reader import CachedReader
from vlx.layers.cache import CACHE
from vlx.models.beit3 import Beit3

from golden_checks.beit3_official import load
from golden_checks.case import Case, Ratios
from golden_checks.official import nhwc


def check_incremental(case: Case) -> Ratios:
    """Every step's logits at the word and at the mask, what is kept, and the same from scratch."""
    inputs, want = case.group("in"), case.group("out")
    steps = inputs["words"].shape[1]
    fed = [inputs[f"step{k}/text_ids"].astype(np.int32) for k in range(steps)]
    c, _, params = load(case, "captions")
    model, image = Beit3(replace(c, mask=int(fed[0][0, 1]))), nhwc(inputs["image"])

    def step(image, cache, text):
        """The first call with an image, or a later one with a cache."""
        variables = {"params": params, CACHE: cache}
        if image is not None:
            made = model.apply(variables, image, steps, method="init_cache", mutable=[CACHE])
            variables[CACHE] = made[1][CACHE]
        logits, changed = model.apply(variables, text, method="decode_step", mutable=[CACHE])
        return logits[:, -1], changed[CACHE]

    step, full, cache, got = jax.jit(step), jax.jit(full_logits, static_argnums=0), {}, {}
    for k, text in enumerate(fed):
        so_far = np.concatenate([x[:, :1] for x in fed[: k + 1]] + [text[:, 1:]], axis=1)
        got[f"step{k}/full_logits"] = full(model, params, image, so_far)
        asked, cache = step(image if k == 0 else None, cache, text[:, :1])
        # Nobody asks what stands at a word itself: it comes from the call from scratch.
        at_word = got[f"step{k}/full_logits"][:, -2]
        got[f"step{k}/logits"] = jnp.stack([at_word, asked], axis=1)
        got |= kept(cache, f"step{k}", c.image_tokens.patches + 1 + so_far.shape[1])
    return case.compare({name: got[name] for name in want})


def full_logits(model, params, image, text):
    """Without a cache; only the last of the tokens is a mask, so the order of training holds."""
    return model.apply({"params": params}, image, text, method="caption_logits")


def kept(cache, step: str, length: int) -> dict:
    """Keys and values of the image, the words and the mask, under their official names."""
    layers = cache["encoder"]["lower"]["layers"]["attention"]
    return {
        f"{step}/layer{n}/{kind}": x[:, :length].swapaxes(1, 2)
        for kind in ("key", "value")
        for n, x in enumerate(layers[f"past_{kind}"])
    }


def check_search(case: Case) -> Ratios:
    """The texts, and each step's words, logits and finished texts, of images that go on."""
    want, asked = case.group("out"), case.config
    assert asked["topn_per_beam"] == CANDIDATES
    c, _, params = load(case, "captions")
    model, image = Beit3(c), nhwc(case.group("in")["image"])
    ids = Ids(asked["bos"], asked["eos"], asked["pad"])
    options = DecodeOptions(
        method="beam",
        beams=asked["num_beams"],
        max_length=asked["max_len"],
        length_penalty=asked["length_penalty"],
        score="one_finished",
    )
    text = np.asarray(generate(model, params, image, options, ids).text)
    texts = np.stack([with_open_slot(row, asked["mask"], ids) for row in text])
    ratios = {"final_tokens": 0.0 if (texts == want["final_tokens"]).all() else np.inf}
    return ratios | by_step(case, model, params, image, options, ids)


def with_open_slot(text: np.ndarray, mask: int, ids: Ids) -> np.ndarray:
    """The official ids: the place after the last word keeps its mask."""
    place = list(text).index(ids.end)
    return np.insert(text, place, mask)[: len(text)]


def by_step(case: Case, model, params, image, options, ids) -> Ratios:
    """The search as `generate` runs it, but with a look at every step."""
    reader, slots, want = CachedReader(model, params), options.max_length, case.group("out")
    text = jnp.full((len(image), slots), ids.pad).at[:, 0].set(ids.start)
    search = begin(text, 1, options, ids)
    rows = search.running.text.reshape(-1, slots)
    logits, state = jax.jit(lambda x: reader.start(x, rows, 1, options.beams))(image)
    first = kept(state, "step0", model.config.image_tokens.patches + 3)["step0/layer0/key"]
    ratios, offers = compare(case, "step0/cache_layer0_key", first), []

    @jax.jit
    def step(search, logits, state, length):
        search, parent, found = grow(search, logits, length, options, ids)
        state = reader.take(state, parent)
        rows = search.running.text.reshape(-1, slots)
        return search, found, *reader.next(state, rows, length + 1)

    for k in range(slots - 2):
        going = np.repeat(~np.asarray(search.done), options.beams)
        words = np.asarray(search.running.text).reshape(-1, slots)[:, k]
        fed = want[f"step{k}/input_ids"]
        assert (fed == np.stack([words, np.full_like(words, model.config.mask)], axis=1))[
            going
        ].all()
        ratios |= compare(case, f"step{k}/logits", logits, going)
        search, found, logits, state = step(search, logits, state, jnp.asarray(k + 1))
        offers += offered(k, found, options.length_penalty)
        if np.all(search.done):
            break
    return ratios | compare_offers(case, offers, ids)


def compare(case: Case, name: str, got, rows=slice(None)) -> Ratios:
    want, got = case.group("out")[name], np.asarray(got)
    want = want if want.shape == got.shape else want[:, 1]  # logits at the mask
    return {name: case._ratio(got[rows], want[rows], np.abs(want[rows]))}


def offered(step: int, found, penalty: float) -> list[dict]:
    """The finished texts of a step, in the order of the search."""
    score, text = np.asarray(found.score), np.asarray(found.text)
    return [
        {
            "step": step,
            "image": int(image),
            "text": text[image, place],
            "sum_logprob": score[image, place] * (step + 2) ** penalty,
            "score": score[image, place],
        }
        for image, place in zip(*np.nonzero(np.isfinite(score)), strict=True)
    ]


def compare_offers(case: Case, got: list[dict], ids: Ids) -> Ratios:
    want = case.config["hypothesis_adds"]
    assert len(got) == len(want)
    ratios = {}
    for n, (ours, theirs) in enumerate(zip(got, want, strict=True)):
        assert (ours["step"], ours["image"]) == (theirs["step"], theirs["image"])
        words = with_open_slot(ours["text"], case.config["mask"], ids)[: theirs["hyp_len"]]
        assert words.tolist() == theirs["hyp"]
        for name in ("sum_logprob", "score"):
            ratios[f"offer{n}/{name}"] = case._ratio(ours[name], theirs[name], abs(theirs[name]))
    return ratios


CHECKS = {"b3_captioning_decode": check_search, "b3_incremental": check_incremental}
