"""What micro-batches cost and save; tests/tasks/test_step.py has that they change no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vlx.layers.stack import Compute
from vlx.tasks.coca import CocaLoss, CocaTask
from vlx.train import flops, optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.setup import Setup
from vlx.train.state import create
from vlx.train.step import make_step
from vlx.train.summary import example_batch

import small_models as small
from tiny_run import config

RULES = OptimizerConfig(name="sgd", b1=0.0)
KEY, RATE = jax.random.key(0), np.float32(1)


def prepared(pieces, batch, rules=RULES, **loss):
    """The step of a small CoCa, its state and a batch."""
    task = CocaTask(small.coca(compute=Compute(scan=False)), CocaLoss(**loss))
    params = small.parameters(task.model, small.pixels(1), small.words(1))
    part = partition(params, task.left_out, ())
    rule = optimizer.build(rules, part)
    state = create(params, {}, rule, part, averaged=False)
    scales = dict.fromkeys(part.trained, 1.0)
    return make_step(task, rule, rules, part, scales, pieces), state, small.pairs(batch)


def cost(pieces, **loss) -> int:
    step, state, batch = prepared(pieces, 24, **loss)
    return flops.count(step, state, batch, RATE, KEY)


def towers() -> int:
    """FLOPs of the vectors of images and texts, without the decoder."""
    task = CocaTask(small.coca(compute=Compute(scan=False)), CocaLoss())
    params = jax.eval_shape(task.init, KEY)[0]

    def vectors(params, batch):
        return task.embed(params, {}, batch, 0, {}).coupled

    return flops.count(vectors, params, small.pairs(24))


def test_the_towers_are_computed_once_more():
    """Not the decoder: its words are compared with no other example's."""
    want = 1 + towers() / cost(1)
    assert 1.1 < want < 1.3
    assert cost(4) / cost(1) == pytest.approx(want, rel=0.05)


def test_nothing_is_computed_twice_where_nothing_is_coupled():
    assert cost(4, contrastive=0.0) == cost(1, contrastive=0.0)


def test_xla_counts_the_same():
    """The compiler's own count of an unrolled step; loops over pieces are counted once."""

    def counted(pieces, **loss):
        step, *args = prepared(pieces, 4 * pieces, **loss)
        return jax.jit(step).lower(*args, RATE, KEY).compile().cost_analysis()["flops"]

    once = counted(1, contrastive=0.0)
    assert counted(3, contrastive=0.0) == pytest.approx(once, rel=0.1)


def temporary(pieces) -> int:
    step, *args = prepared(pieces, 64 * pieces)
    return jax.jit(step).lower(*args, RATE, KEY).compile().memory_analysis().temp_size_in_bytes


def test_memory_does_not_grow_with_the_number_of_pieces():
    """At one size of a piece, but for the examples and the rows that are compared."""
    _, _, batch = prepared(1, 64)
    example = sum(x.nbytes for x in batch.values()) / 64
    coupled = 4 * (2 * 10 + 1)  # two vectors and a weight
    more = 64 * (8 - 2)
    comparing = 4 * 512 * 512  # a chunk of similarities
    grown = temporary(8) - temporary(2)
    assert grown < more * (2 * example + 6 * coupled) + 3 * comparing


def test_sums_of_gradients_may_be_half_as_large():
    def gradient(dtype):
        step, state, batch = prepared(
            4, 16, OptimizerConfig(name="sgd", b1=0.0, accumulate_dtype=dtype)
        )
        after, _ = jax.jit(step)(state, batch, RATE, KEY)
        return jax.tree.map(jnp.subtract, state.params, after.params)

    whole, half = gradient("float32"), gradient("bfloat16")
    largest = max(np.abs(x).max() for x in jax.tree.leaves(whole))
    for got, want in zip(jax.tree.leaves(half), jax.tree.leaves(whole), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, atol=0.02 * largest)
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (whole, half)), strict=True))


@pytest.mark.parametrize(
    ("loss", "words"),
    [({}, "each is embedded twice"), ({"contrastive": 0.0}, "nothing is coupled, plain accum")],
)
def test_the_log_says_which_accumulation_is_used(loss, words, tmp_path):
    c = config(tmp_path, batch={"size": 8, "micro_batches": 4}, loss=loss)
    setup = Setup(c, tmp_path / "run")
    assert words in setup.accumulation(example_batch(setup))
