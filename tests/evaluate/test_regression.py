"""Logistic regression: the optimum, on any devices, and a strength that fits unseen examples."""

import numpy as np
import pytest
from evaluate.meshes import mesh
from scipy.optimize import minimize
from scipy.special import logsumexp

from vlx.evaluate.regression import STRENGTHS, choose_strength, fit, scores

CLASSES, WIDTH = 3, 5


def clouds(rows: int, spread: float, seed: int = 0):
    """Examples around a centre for each class; features have other sizes and means."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(CLASSES, WIDTH))
    label = rng.integers(0, CLASSES, rows).astype(np.int32)
    x = centres[label] + spread * rng.normal(size=(rows, WIDTH))
    return (x * np.arange(1, WIDTH + 1) + 7).astype(np.float32), label


def objective(weights, x, label, strength):
    kernel, bias = weights[:-CLASSES].reshape(-1, CLASSES), weights[-CLASSES:]
    logits = x @ kernel + bias
    losses = logsumexp(logits, axis=1) - logits[np.arange(len(x)), label]
    return losses.mean() + strength / 2 * (kernel**2).sum()


@pytest.mark.parametrize("strength", [1.0, 1e-2])
def test_a_fit_is_the_optimum(strength):
    x, label = clouds(103, spread=1.0)
    model = fit(x, label, CLASSES, strength, mesh(8))
    np.testing.assert_allclose(model.mean, x.mean(axis=0), rtol=1e-5)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(float)
    best = minimize(objective, np.zeros((WIDTH + 1) * CLASSES), (x, label, strength))
    got = objective(np.concatenate([model.kernel.ravel(), model.bias]), x, label, strength)
    assert got == pytest.approx(best.fun, rel=1e-5)


def test_devices_change_nothing_but_rounding():
    x, label = clouds(103, spread=1.0)
    one, eight = (fit(x, label, CLASSES, 1e-2, mesh(devices)) for devices in (1, 8))
    np.testing.assert_allclose(one.kernel, eight.kernel, atol=2e-3)


def test_separate_clouds_are_told_apart():
    x, label = clouds(120, spread=0.01)
    model = fit(x[:60], label[:60], CLASSES, 1e-4, mesh())
    assert (scores(model, x[60:], label[60:], mesh(8)) == 0).all()


def test_a_feature_that_never_changes_does_no_harm():
    x, label = clouds(60, spread=0.01)
    x[:, 2] = 3.0
    assert (scores(fit(x, label, CLASSES, 1e-4, mesh()), x, label, mesh()) == 0).all()


def test_noise_asks_for_a_strong_penalty():
    rng = np.random.default_rng(0)
    x = np.concatenate([clouds(80, spread=1.5)[0], rng.normal(size=(80, 60))], axis=1)
    label = clouds(80, spread=1.5)[1]
    assert choose_strength(x.astype(np.float32), label, CLASSES, mesh()) > STRENGTHS[-1]
