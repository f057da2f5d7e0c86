"""Mixed and erased pictures: shares that add up, boxes as large as they say, and draws alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.objectives.matching import matching, mixed_matching
from vlx.objectives.mixing import Mixing, mix, shares

ROWS = 6
# Picture n shows n everywhere, so that what a pixel shows of its partner can be read off.
PICTURES = jnp.broadcast_to(
    jnp.arange(ROWS, dtype=jnp.float32)[:, None, None, None], (6, 13, 17, 3)
)


@partial(jax.jit, static_argnums=1)
def many(seeds, c: Mixing):
    return jax.vmap(lambda seed: mix(jax.random.key(seed), PICTURES, c))(seeds)


def mixed(c: Mixing, draws: int = 400):
    return (np.asarray(x) for x in many(jnp.arange(draws), c))


def own(images):
    """How much of each pixel is the picture's own: [..., 13, 17], from the first row's 0 and 5."""
    return 1 - images[:, 0, :, :, 0] / (ROWS - 1)


def test_rows_of_shares_add_up_to_one():
    for share, smoothing in ((1.0, 0.0), (0.3, 0.1), (0.0, 0.2)):
        got = shares(jnp.array([0, 3, 3, 1]), 5, jnp.float32(share), smoothing)
        np.testing.assert_allclose(got.sum(1), 1, rtol=1e-6)
    label = np.eye(5)[[0, 3, 3, 1]]
    got = shares(jnp.array([0, 3, 3, 1]), 5, jnp.float32(0.3))
    np.testing.assert_allclose(got, 0.3 * label + 0.7 * label[::-1], atol=1e-6)


def test_unmixed_shares_are_smoothed_labels():
    rng = np.random.default_rng(0)
    logits, label = rng.standard_normal((4, 5)).astype(np.float32), np.array([0, 3, 3, 1])
    weight = np.array([1, 1, 0, 1], np.float32)
    want = matching(logits, label, weight, 0.1)
    got = mixed_matching(logits, shares(label, 5, jnp.float32(1), 0.1), weight)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_mixup_lays_partners_over_each_other():
    images, share = mixed(Mixing(mixup=0.8))
    np.testing.assert_allclose(
        own(images), np.broadcast_to(share[:, None, None], (400, 13, 17)), atol=1e-6
    )
    np.testing.assert_allclose(images[:, ::-1], ROWS - 1 - images, atol=1e-5)  # both of a pair
    deviation = np.sqrt(0.25 / (2 * 0.8 + 1))  # of Beta(0.8, 0.8)
    assert abs(share.mean() - 0.5) < 5 * deviation / 20
    assert abs(share.std() / deviation - 1) < 0.15


def test_cutmix_shows_the_partner_in_one_box():
    images, share = mixed(Mixing(cutmix=1.0))
    shown = own(images)
    assert set(np.unique(shown)) == {0.0, 1.0}
    np.testing.assert_allclose(shown.mean((1, 2)), share, rtol=1e-5)
    for keeps in shown[:50]:
        box = np.argwhere(keeps == 0)
        if len(box):
            (top, left), (bottom, right) = box.min(0), box.max(0) + 1
            assert (keeps[top:bottom, left:right] == 0).all()


def test_one_of_both_is_chosen_for_every_batch():
    images, _ = mixed(Mixing(mixup=0.8, cutmix=1.0, switch=0.3))
    cut = np.isin(own(images), (0.0, 1.0)).all((1, 2)).mean()
    assert abs(cut - 0.3) < 5 * np.sqrt(0.21 / 400)


@pytest.mark.parametrize("probability", [0.0, 0.6])
def test_some_batches_stay_as_they_are(probability):
    images, share = mixed(Mixing(mixup=0.8, probability=probability))
    still = (own(images) == 1).all((1, 2))
    np.testing.assert_array_equal(still, share == 1)
    assert abs(still.mean() - (1 - probability)) <= 5 * np.sqrt(0.24 / 400) * (probability > 0)


def test_erased_boxes_hold_noise_and_leave_the_rest():
    images, share = mixed(Mixing(erase=0.25))
    assert (share == 1).all()
    changed = images != np.asarray(PICTURES)
    whole = changed.all(-1)
    np.testing.assert_array_equal(whole, changed.any(-1))
    parts = whole.mean((2, 3))
    assert abs((parts > 0).mean() - 0.25) < 5 * np.sqrt(0.19 / parts.size)
    parts = parts[parts > 0]
    assert 0.01 < parts.min() < 0.03  # sides are rounded
    assert 0.3 < parts.max() < 0.36
    assert abs(parts.mean() - (0.02 + 1 / 3) / 2) < 0.02
    noise = images[changed]
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.size)


def test_nothing_is_drawn_where_nothing_is_asked_for():
    images, share = mix(jax.random.key(0), PICTURES, Mixing())
    np.testing.assert_array_equal(images, PICTURES)
    assert share == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixup": -0.1}, "mixup=-0.1 must be 0 or more"),
        ({"cutmix": float("nan")}, "cutmix=nan must be 0 or more"),
        ({"erase": 1.5}, "erase=1.5 must be 0 to 1"),
        ({"switch": -1.0}, "switch=-1.0 must be 0 to 1"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Mixing(**settings)
