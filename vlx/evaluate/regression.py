"""Multinomial logistic regression, by L-BFGS on all examples at once.

Letters: N examples, D width, C classes.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from vlx.evaluate.ranks import places
from vlx.evaluate.strips import over_rows
from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import BATCH_AXES, batch_sharding, place_whole, replicated

Array = jax.Array

STRENGTHS = tuple(10.0**power for power in range(0, -7, -1))  # of the penalty, to choose from
HELD_OUT = 0.2  # of the examples, for choosing
STEPS = 500  # at most
CLOSE = 1e-4  # norm of the gradient at which a fit has come home


class Model(NamedTuple):
    """Scores are (x - mean) / deviation @ kernel + bias."""

    mean: Array  # [D]
    deviation: Array  # [D]
    kernel: Array  # [D, C]
    bias: Array  # [C]


def fit(x: np.ndarray, label: np.ndarray, classes: int, strength: float, mesh: Mesh) -> Model:
    """Minimises the mean cross-entropy plus strength / 2 times the sum of squares of the kernel.

    x: [N, D], of which mean and deviation are taken out; label: [N].
    """
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1).astype(np.float32)
    start = np.zeros((x.shape[1], classes), np.float32), np.zeros(classes, np.float32)
    rows = _placed((x - mean) / deviation, label, mesh)
    start = place_whole(start, replicated(mesh))
    kernel, bias = compiled(_minimise, mesh)(start, rows, np.float32(strength))
    return Model(mean, deviation, np.asarray(kernel), np.asarray(bias))


def choose_strength(x: np.ndarray, label: np.ndarray, classes: int, mesh: Mesh) -> float:
    """The strength whose fit on four fifths knows most of the last; of equals the largest."""
    order = np.random.default_rng(0).permutation(len(x))
    cut = max(1, round(HELD_OUT * len(x)))
    rest, held = order[cut:], order[:cut]
    best, most = STRENGTHS[0], -1.0
    for strength in STRENGTHS:
        model = fit(x[rest], label[rest], classes, strength, mesh)
        right = np.mean(scores(model, x[held], label[held], mesh) < 1)
        if right > most:
            best, most = strength, right
    return best


def scores(model: Model, x: np.ndarray, label: np.ndarray, mesh: Mesh) -> np.ndarray:
    """The place, from 0, of each example's own class: [N, D], [N] -> [N]."""
    return over_rows(_places, (x, label), model, columns=len(model.bias), mesh=mesh)


def _places(x: Array, label: Array, *model: Array) -> Array:
    m = Model(*model)
    logits = jnp.einsum("ND,DC->NC", (x - m.mean) / m.deviation, m.kernel, precision="highest")
    return places(logits + m.bias, label, jnp.arange(len(m.bias)))


def _placed(x: np.ndarray, label: np.ndarray, mesh: Mesh) -> tuple[Array, Array, Array]:
    """Rows with their labels and weights, cut along the devices; rows of weight 0 fill up."""
    devices = np.prod([mesh.shape[name] for name in BATCH_AXES])
    missing = -len(x) % devices
    weight = np.pad(np.ones(len(x), np.float32), (0, missing))
    rows = np.pad(x, [(0, missing), (0, 0)]).astype(np.float32), np.pad(label, (0, missing)), weight
    return place_whole(rows, batch_sharding(mesh))


def _minimise(start, rows, strength):
    loss = partial(_loss, rows=rows, strength=strength)
    rule = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry):
        weights, state = carry
        value, grad = value_and_grad(weights, state=state)
        update, state = rule.update(grad, state, weights, value=value, grad=grad, value_fn=loss)
        return optax.apply_updates(weights, update), state

    def far(carry):
        state = carry[1]
        count, grad = (optax.tree.get(state, name) for name in ("count", "grad"))
        return (count == 0) | ((count < STEPS) & (optax.tree.norm(grad) > CLOSE))

    return jax.lax.while_loop(far, step, (start, rule.init(start)))[0]


def _loss(weights, rows, strength) -> Array:
    (kernel, bias), (x, label, weight) = weights, rows
    logits = jnp.einsum("ND,DC->NC", x, kernel, precision="highest") + bias
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, label)
    return jnp.sum(weight * losses) / jnp.sum(weight) + strength / 2 * jnp.sum(kernel**2)
