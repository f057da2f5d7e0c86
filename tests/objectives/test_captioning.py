"""captioning: every word that counts, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.objectives.captioning import captioning, next_words

B, T, V = 4, 5, 7
LOGITS = jax.random.normal(jax.random.key(0), (B, T, V))
LABEL = jax.random.randint(jax.random.key(1), (B, T), 0, V)
WEIGHT = jnp.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0]], float)
LOSSES = np.array(
    [
        [-np.log(np.exp(x[n]) / np.exp(x).sum()) for x, n in zip(rows, labels, strict=True)]
        for rows, labels in zip(np.asarray(LOGITS, np.float64), LABEL, strict=True)
    ]
)


def test_is_minus_the_log_of_each_words_share():
    want = (LOSSES * WEIGHT).sum(), 10
    np.testing.assert_allclose(captioning(LOGITS, LABEL, WEIGHT), want, rtol=1e-6)


def test_padding_changes_nothing():
    logits = jnp.pad(LOGITS, ((0, 2), (0, 3), (0, 0)), constant_values=9.0)
    label, weight = (jnp.pad(x, ((0, 2), (0, 3))) for x in (LABEL, WEIGHT))
    want = captioning(LOGITS, LABEL, WEIGHT)
    np.testing.assert_allclose(captioning(logits, label, weight), want, rtol=1e-6)


def test_smoothing_mixes_in_all_words():
    smooth = 0.7 * LOSSES - 0.3 * np.asarray(jax.nn.log_softmax(LOGITS)).mean(-1)
    got = captioning(LOGITS, LABEL, WEIGHT, smoothing=0.3)
    np.testing.assert_allclose(got, ((smooth * WEIGHT).sum(), 10), rtol=1e-5)


def test_ranks_average_their_own_words_first():
    total = (LOSSES * WEIGHT).reshape(2, -1).sum(1) / np.array([6, 4])
    got = captioning(LOGITS, LABEL, WEIGHT, ranks=2)
    np.testing.assert_allclose(got, (total.sum(), 2), rtol=1e-6)


@pytest.mark.parametrize("ranks", [1, 2])
def test_nothing_but_padding_is_zero_with_a_finite_gradient(ranks):
    def loss(logits):
        total, count = captioning(logits, LABEL, jnp.zeros((B, T)), ranks=ranks)
        return total, count

    (total, count), gradient = jax.value_and_grad(loss, has_aux=True)(LOGITS)
    assert (total, count) == (0, 0 if ranks == 1 else ranks)
    np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_each_word_predicts_the_next():
    text = jnp.array([[1, 5, 6, 2, 0], [1, 4, 3, 6, 2]])
    label, weight = next_words(text, (text > 0).astype(jnp.float32))
    np.testing.assert_array_equal(label[:, :4], [[5, 6, 2, 0], [4, 3, 6, 2]])
    np.testing.assert_array_equal(weight, [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
