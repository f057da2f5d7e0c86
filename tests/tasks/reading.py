"""Which parameters a task's loss reads, from the traced program."""

import re
from functools import cache

import jax
from jax.interpreters import partial_eval

from vlx.train.partition import flatten, unflatten


def not_read(task, batch, chosen=None) -> set[str]:
    """Paths of the parameters that no term depends on; `chosen` are rows for `finish`."""
    flat, key = _shapes(task), jax.random.key(0)

    def loss(flat):
        params = unflatten(flat)
        own = task.embed(params, {}, batch, 0, {})
        joint, _ = task.couple(params, {}, own.coupled, 0, key)
        last = task.finish(params, {}, batch, chosen, 0, {})
        terms = own.terms | joint | last.terms
        assert set(terms) == {name for name, weight in task.weights.items() if weight}
        return sum(task.weights[name] * total / count for name, (total, count) in terms.items())

    traced = jax.make_jaxpr(loss)(flat).jaxpr
    _, used = partial_eval.dce_jaxpr(traced, [True])
    paths = sorted(flat)  # the order of a dictionary's leaves
    return {path for path, is_used in zip(paths, used, strict=True) if not is_used}


def named_left_out(task) -> set[str]:
    """Paths that the task's patterns name."""
    return {p for p in _shapes(task) if any(re.fullmatch(q, p) for q in task.left_out)}


@cache
def _shapes(task) -> dict:
    """Of all parameters, by path."""
    return flatten(jax.eval_shape(task.init, jax.random.key(0))[0])
