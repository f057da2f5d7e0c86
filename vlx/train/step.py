"""One update of the parameters, for any task.

With one micro-batch the loss is differentiated as a whole. With k of them the batch is embedded
piece by piece, coupled once, and embedded again with the cotangents of the coupling, so that the
gradient is that of the whole batch while one piece at a time is in memory (gradient caching,
arXiv 2101.06983, extended to terms that are local to examples and to rows chosen by the coupling).
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vlx.errors import UserError
from vlx.tasks.task import Batch, Choice, Constant, Task, Terms
from vlx.train import optimizer as rules
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import Flat, Partition
from vlx.train.state import Counters, TrainState

Array = jax.Array
Tree = Any
Metrics = dict[str, Array]
Losses = Callable[..., tuple[Array, tuple[Metrics, Tree]]]


def make_step(
    task: Task,
    transformation: optax.GradientTransformation,
    config: OptimizerConfig,
    partition: Partition,
    scales: Mapping[str, Any],
    micro_batches: int = 1,
) -> Callable[..., tuple[TrainState, Metrics]]:
    """A pure function (state, batch, rate, key, constants) -> (state, metrics), to be jitted.

    rate: the learning rate of this step. key: of the run; the step's draws are folded from it.
    """
    gradients = _whole
    if micro_batches > 1:
        gradients = partial(_in_pieces, pieces=micro_batches, dtype=config.accumulate_dtype)

    late = rules.late_decay(config, partition)

    def step(
        state: TrainState,
        batch: Batch,
        rate: Array,
        key: Array,
        constants: Mapping[str, Constant] = MappingProxyType({}),
    ):
        keys = _keys(key, state.step, ("prepare", "couple", *task.rngs))
        trained, params = partition.split(state.params)
        batch, buffers = task.prepare(
            params, state.buffers, batch, state.step, keys["prepare"], constants
        )
        batch, buffers = jax.lax.stop_gradient((batch, buffers))
        run = _Run(task, partition, params, buffers, state.step, keys)
        gradient, metrics, coupled, statistics = gradients(run, trained, batch)

        norm = optax.tree.norm(jax.tree.map(lambda g: g.astype(jnp.float32), gradient))
        gradient = rules.clip(gradient, norm, config.clip)
        updates, optimizer = transformation.update(gradient, state.optimizer, trained)
        new = rules.apply(trained, updates, rate, scales, late)
        new = rules.limit(new, config.limits)
        buffers = task.advance(params, buffers, coupled, statistics, state.step)
        ema = {path: config.ema * x + (1 - config.ema) * new[path] for path, x in state.ema.items()}

        good = jnp.isfinite(norm) & jnp.isfinite(metrics["loss"])
        bad = 1 - good.astype(jnp.int32)
        kept = jax.tree.map(
            lambda fresh, old: jnp.where(good, fresh, old),
            (new, buffers, optimizer, ema),
            (trained, state.buffers, state.optimizer, state.ema),
        )
        counters = Counters(
            skipped=state.counters.skipped + bad,
            skipped_in_a_row=(state.counters.skipped_in_a_row + bad) * bad,
        )
        new, buffers, optimizer, ema = kept
        state = TrainState(
            step=state.step + 1,
            params=partition.merge(new, params),
            buffers=buffers,
            optimizer=optimizer,
            ema=ema,
            counters=counters,
        )
        return state, metrics | {
            "gradient_norm": norm,
            "skipped": counters.skipped,
            "skipped_in_a_row": counters.skipped_in_a_row,
        }

    return step


def _keys(key: Array, step: Array, purposes: tuple[str, ...]) -> dict[str, Array]:
    """One key a purpose, a function of the run's key and the step alone."""
    key = jax.random.fold_in(key, step)
    return {name: jax.random.fold_in(key, i) for i, name in enumerate(purposes)}


class _Run:
    """A task bound to everything of a step but the trained parameters and the examples."""

    def __init__(self, task, partition, params, buffers, step, keys):
        self.task, self.partition, self.params = task, partition, params
        self.buffers, self.step, self.keys = buffers, step, keys

    def embed(self, trained: Flat, batch: Batch, piece: Array | None = None):
        params = self.partition.merge(trained, self.params)
        return self.task.embed(params, self.buffers, batch, self.step, self._rngs(piece))

    def couple(self, trained: Flat, coupled: Tree):
        params = self.partition.merge(trained, self.params)
        return self.task.couple(params, self.buffers, coupled, self.step, self.keys["couple"])

    def finish(self, trained: Flat, batch: Batch, chosen: Tree, piece: Array | None = None):
        params, rngs = self.partition.merge(trained, self.params), self._rngs(piece)
        return self.task.finish(params, self.buffers, batch, chosen, self.step, rngs)

    def _rngs(self, piece: Array | None) -> dict[str, Array]:
        keys = {name: self.keys[name] for name in self.task.rngs}
        if piece is None:
            return keys
        return {name: jax.random.fold_in(key, piece) for name, key in keys.items()}

    def loss(self, terms: Terms) -> Array:
        """The weighted sum of the terms' means."""
        return sum(
            (self.task.weights[name] * mean for name, mean in _means(terms).items()), jnp.zeros(())
        )


def _means(terms: Terms) -> Metrics:
    return {name: total / jnp.where(count > 0, count, 1) for name, (total, count) in terms.items()}


def _gather(batch: Batch, choices: Mapping[str, Choice]) -> Tree:
    """The chosen rows of the global batch: {choice: {field: rows}}."""
    return {
        name: {field: jnp.take(batch[field], choice.index, axis=0) for field in choice.fields}
        for name, choice in choices.items()
    }


def _whole(run: _Run, trained: Flat, batch: Batch):
    """Gradient, metrics, coupled rows and statistics, everything in one pass."""

    def loss(trained: Flat):
        own = run.embed(trained, batch)
        joint, choices = run.couple(trained, own.coupled)
        last = run.finish(trained, batch, _gather(batch, choices))
        terms = own.terms | joint | last.terms
        total = run.loss(terms)
        statistics = {"embed": own.statistics, "finish": last.statistics}
        return total, ({"loss": total, **_means(terms)}, own.coupled, statistics)

    (_, (metrics, coupled, statistics)), gradient = jax.value_and_grad(loss, has_aux=True)(trained)
    return gradient, metrics, coupled, statistics


def _in_pieces(run: _Run, trained: Flat, batch: Batch, pieces: int, dtype: str):
    """As `_whole`, with one piece of the batch in memory at a time; gradients add up in `dtype`."""
    together = run.task.together
    cut = partial(_cut, pieces=pieces, together=together)
    examples, index = cut(batch), jnp.arange(pieces)

    def first(_, item):
        piece, i = item
        out = run.embed(trained, piece, i)
        return None, (out.coupled, _counts(out.terms))

    _, (coupled, counts) = jax.lax.scan(first, None, (examples, index))
    coupled = _join(coupled, together)

    def coupling(trained, coupled):
        terms, choices = run.couple(trained, coupled)
        return run.loss(terms), (_means(terms), choices)

    (joint_loss, (joint, choices)), (gradient, cotangent) = jax.value_and_grad(
        coupling, argnums=(0, 1), has_aux=True, allow_int=True
    )(trained, coupled)
    chosen = cut(_gather(batch, choices))

    def count(_, item):
        piece, rows, i = item
        return None, _counts(run.finish(trained, piece, rows, i).terms)

    _, more = jax.lax.scan(count, None, (examples, chosen, index))  # only the counts are computed
    counts = jax.tree.map(lambda c: jnp.sum(c, axis=0), counts | more)

    def surrogate(trained, piece, rows, cotangent, i):
        """A loss whose gradient is this piece's share of the whole one."""
        own, last = run.embed(trained, piece, i), run.finish(trained, piece, rows, i)
        terms = {
            name: (total, counts[name]) for name, (total, _) in (own.terms | last.terms).items()
        }
        flow = jax.tree.map(_product, own.coupled, cotangent)
        total = run.loss(terms)
        statistics = {"embed": own.statistics, "finish": last.statistics}
        return total + sum(jax.tree.leaves(flow), 0.0), (
            _means(terms) | {"loss": total},
            statistics,
        )

    def second(gradient, item):
        more, out = jax.grad(surrogate, has_aux=True)(trained, *item)
        return jax.tree.map(lambda g, m: (g + m).astype(dtype), gradient, more), out

    items = (examples, chosen, cut(cotangent), index)
    gradient = jax.tree.map(lambda g: g.astype(dtype), gradient)
    gradient, (metrics, statistics) = jax.lax.scan(second, gradient, items)
    gradient = jax.tree.map(lambda g, x: g.astype(x.dtype), gradient, trained)
    metrics, statistics = jax.tree.map(lambda x: jnp.sum(x, axis=0), (metrics, statistics))
    metrics = {**metrics, **joint, "loss": metrics["loss"] + joint_loss}
    return gradient, metrics, coupled, statistics


def _counts(terms: Terms) -> Metrics:
    return {name: count for name, (_, count) in terms.items()}


def _product(x: Array, cotangent: Array) -> Array:
    """The inner product with a cotangent, which only floating-point rows have."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.zeros(())
    return jnp.sum(x * jax.lax.stop_gradient(cotangent))


def _cut(tree: Tree, pieces: int, together: int) -> Tree:
    """Every k-th row, or group that stays together, into one piece: [B, ...] -> [k, B / k, ...].

    Rows lie in blocks on the devices: taking every k-th keeps all devices busy in every piece.
    """

    def cut(x):
        rows, rest = x.shape[0], x.shape[1:]
        if rows % (pieces * together):
            raise UserError(
                f"{rows} examples are no {pieces} micro-batches of whole groups of {together}; "
                f"make batch.size a multiple of {pieces * together}."
            )
        if x.dtype == jax.dtypes.float0:
            return jnp.zeros((pieces, rows // pieces, *rest), jnp.bool_)
        x = x.reshape(-1, pieces, together, *rest).swapaxes(0, 1)
        return x.reshape(pieces, rows // pieces, *rest)

    return jax.tree.map(cut, tree)


def _join(tree: Tree, together: int) -> Tree:
    """Undoes `_cut`."""

    def join(x):
        pieces, _, *rest = x.shape
        return x.reshape(pieces, -1, together, *rest).swapaxes(0, 1).reshape(-1, *rest)

    return jax.tree.map(join, tree)
