"""BEiT-3 as a captioner: word by word, several words at once, and whole texts agree."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.cache import CACHE
from vlx.models.beit3 import Beit3
from vlx.models.capabilities import can, why_not

import small_models as small

LENGTH = small.LENGTH


@pytest.fixture(scope="module", params=[True, False], ids=["apart", "experts for pairs"])
def captioner(request):
    model = Beit3(small.beit3(apart=request.param))
    params = small.parameters(model, small.pixels(1), small.words(1))
    return model, params, small.pixels(3), jnp.asarray(small.words(3) % 24 + 5)


@partial(jax.jit, static_argnums=(0, 1))
def ask(model, method, params, *inputs):
    return model.apply({"params": params}, *inputs, method=method)


@partial(jax.jit, static_argnums=(0, 4, 5))
def read(model, params, image, text, pieces, keep=None):
    """Logits after all tokens of a text that is read in pieces of these lengths."""
    variables, start, found = {"params": params}, 0, []
    length = text.shape[1]
    cache = model.apply(variables, image, length, method="init_cache", mutable=[CACHE])[1]
    for n in pieces:
        logits, cache = model.apply(
            variables | cache, text[:, start : start + n], keep, method="decode_step",
            mutable=[CACHE],
        )  # fmt: skip
        start += n if keep is None else keep
        found.append(logits)
    return jnp.concatenate(found, axis=1)


def test_several_words_at_once_are_as_one_by_one(captioner):
    want = read(*captioner, (1,) * LENGTH)
    np.testing.assert_allclose(read(*captioner, (2, 3)), want, rtol=1e-4, atol=1e-5)


def test_words_that_are_not_kept_leave_no_trace(captioner):
    want = read(*captioner, (1,) * LENGTH)
    got = read(*captioner, (2,) * (LENGTH - 1), 1)  # reads one ahead, and forgets it
    np.testing.assert_allclose(got[:, ::2], want[:, :-1], rtol=1e-4, atol=1e-5)


def test_a_mask_at_the_end_of_a_text_says_what_a_step_says(captioner):
    model, params, image, text = captioner
    stepped = read(*captioner, (1,) * LENGTH)
    for n in range(1, LENGTH):
        masked = text.at[:, n].set(model.config.mask)
        logits = ask(model, "caption_logits", params, image, masked)
        np.testing.assert_allclose(logits[:, n], stepped[:, n - 1], rtol=1e-4, atol=1e-5)


def test_rank_is_the_sum_of_the_steps(captioner):
    model, params, image, text = captioner
    text = text.at[0, 3:].set(model.config.pad)
    share = jax.nn.log_softmax(read(model, params, image, text, (1,) * LENGTH))[:, :-1]
    each = jnp.take_along_axis(share, text[:, 1:, None], axis=-1)[..., 0]
    want = jnp.sum(each * (text[:, 1:] != model.config.pad), axis=1)
    got = ask(model, "rank", params, image, text)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_a_model_without_the_head_cannot_write():
    model = Beit3(small.beit3(heads=("words",)))
    assert not any(can(model, method) for method in ("init_cache", "decode_step", "rank"))
    assert "trained without the part 'captions', which rank needs" in why_not(model, "rank")
    assert can(model, "words")
    assert not can(model, "code_logits")
    assert can(Beit3(small.beit3()), "decode_step")
