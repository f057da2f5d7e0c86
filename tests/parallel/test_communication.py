"""What devices tell each other in a step, read from the compiled program."""

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache

import jax
import numpy as np

from vlx.layers.stack import Compute
from vlx.layers.transformer import TransformerConfig
from vlx.layers.vision import PoolerConfig
from vlx.models.coca import DecoderConfig
from vlx.parallel import layout
from vlx.parallel.mesh import MeshConfig, batch_sharding, make_mesh, replicated
from vlx.tasks.coca import CocaLoss, CocaTask
from vlx.train import optimizer
from vlx.train.optimizer import OptimizerConfig
from vlx.train.partition import partition
from vlx.train.state import create
from vlx.train.step import make_step

import small_models as small

B, T, P, Q, D, E, V = 56, 5, 6, 3, 32, 48, 64  # unlike each other, and divided by eight devices
TOWER = TransformerConfig(D, 1, 8, 2 * D)
CONFIG = small.coca(
    vision=replace(
        small.VISION, encoder=TOWER, **small.PAPER | {"pooler": PoolerConfig(queries=Q, heads=8)}
    ),
    text=replace(small.TEXT, vocabulary=V, encoder=TOWER),
    decoder=DecoderConfig(TOWER, V),
    embedding=E,
    compute=Compute(scan=False),  # a loop's body would be counted once
)
PARAMS = jax.eval_shape(CocaTask(CONFIG, CocaLoss()).init, jax.random.key(0))[0]
SIZE = sum(4 * math.prod(x.shape) for x in jax.tree.leaves(PARAMS))  # bytes
RULES = OptimizerConfig(name="sgd", b1=0.9)
BYTES = {"f32": 4, "bf16": 2, "s32": 4, "u32": 4, "pred": 1, "u8": 1}
KINDS = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"


@dataclass(frozen=True)
class Message:
    kind: str
    shape: tuple[int, ...]  # of the result, on one device
    bytes: int


def messages(program: str) -> list[Message]:
    """Every array that a compiled program sends; a combined operation has several."""
    found = []
    for results, kind in re.findall(rf" = (.*?) ({KINDS})(?:-start)?\(", program):
        for dtype, sizes in re.findall(r"(\w+)\[([\d,]*)\]", results):
            shape = tuple(int(n) for n in sizes.split(",") if n)
            found.append(Message(kind, shape, BYTES[dtype] * math.prod(shape)))
    return found


def kinds(found: list[Message]) -> set[str]:
    return {m.kind for m in found}


def total(found: list[Message], kind: str, rows: int | None = None) -> int:
    """Bytes of a kind of message; with `rows`, of arrays that have an axis of this length."""
    return sum(m.bytes for m in found if m.kind == kind and (rows is None or rows in m.shape))


@cache
def program(sizes: tuple[int, int, int], exchange: str = "gather") -> str:
    """The compiled program of a step on a mesh."""
    mesh, task = make_mesh(MeshConfig(*sizes)), CocaTask(CONFIG, CocaLoss(exchange=exchange))
    part = partition(PARAMS, task.left_out, ())
    rule = optimizer.build(RULES, part)
    state = jax.eval_shape(lambda p: create(p, {}, rule, part, averaged=False), PARAMS)
    places = jax.tree.map(lambda _: replicated(mesh), state).replace(
        params=layout.shardings(state.params, mesh), optimizer=layout.follow(state.optimizer, mesh)
    )

    def at(x, place):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place)

    batch = {name: at(x, batch_sharding(mesh)) for name, x in small.pairs(B).items()}
    state = jax.tree.map(at, state, places)
    step = make_step(task, rule, RULES, part, dict.fromkeys(part.trained, 1.0))
    with jax.set_mesh(mesh):
        run = jax.jit(step, donate_argnums=0, out_shardings=(places, None))
        return run.lower(state, batch, np.float32(1), jax.random.key(0)).compile().as_text()


def test_messages_are_read_from_a_program():
    found = messages(
        "  %a = (f32[3,5]{1,0}, /*index=1*/bf16[7]{0}) all-reduce-start(%b, %c), channel_id=1\n"
        "  ROOT %d = pred[] all-gather(%e), dimensions={0}\n"
        "  %f = f32[11]{0} add(%all-reduce.1, %g)\n"
    )
    assert found == [
        Message("all-reduce", (3, 5), 60),
        Message("all-reduce", (7,), 14),
        Message("all-gather", (), 1),
    ]


def test_data_parallel_devices_add_up_gradients_and_compare_one_tower():
    found = messages(program((8, 1, 1)))
    assert kinds(found) == {"all-reduce", "all-gather", "reduce-scatter"}
    vectors = total(found, "all-reduce", B)
    assert vectors <= 3 * 4 * B  # the columns' log-sums, their largest, and back
    gradients = total(found, "all-reduce") - vectors
    assert 0.98 * SIZE < gradients <= SIZE + 100
    assert total(found, "all-gather") == 4 * B * (E + 1)  # the texts' vectors and weights
    assert total(found, "reduce-scatter") == 4 * B * E // 8  # and the gradient back


def test_a_ring_gathers_nothing():
    found = messages(program((8, 1, 1), "ring"))
    assert kinds(found) == {"all-reduce", "collective-permute"}
    assert total(found, "all-reduce") <= SIZE + 100
    assert max(m.shape[0] for m in found if m.kind == "collective-permute") == B // 8


def test_fsdp_gathers_parameters_twice_and_sends_no_activations():
    found = messages(program((1, 8, 1)))
    assert kinds(found) == {"all-reduce", "all-gather", "reduce-scatter"}
    assert total(found, "all-gather", B) <= 4 * B * (E + 1)  # the contrastive loss as above
    parameters = total(found, "all-gather") - total(found, "all-gather", B)
    assert SIZE < parameters <= 2 * SIZE  # forward and backward, one layer at a time
    assert total(found, "all-reduce") <= SIZE + 3 * 4 * B + 1000  # gradients; CPUs do not scatter


def test_tensor_parallel_devices_add_up_activations():
    found = messages(program((1, 1, 8)))
    assert kinds(found) == {"all-reduce"}
    # A branch adds up its output once, and the gradient of its input once for each kernel there.
    most = Counter(
        {
            (B, P, D): 2 * (2 + 4)
            + 2,  # two towers (a text has a class token), what the pooler reads
            (B, T, D): (3 + 5) + 2,  # the decoder; the lookup in the table and the head
            (B, Q, E): 1
            + 1
            + 2
            + 2,  # the pooler, and what reads it: decoder and contrastive pooler
            (B, 1, E): 1 + 1,
            (B, T): 2,  # the largest logit and the sum of their exponentials
            (B, T, 1): 1,  # the word's own logit
        }
    )
    activations = [m for m in found if B in m.shape]
    assert Counter(m.shape for m in activations) <= most
    assert total(found, "all-reduce") - total(found, "all-reduce", B) < 0.01 * SIZE


def test_no_device_holds_all_logits_of_a_word():
    text = program((1, 1, 8))
    assert f"[{B},{T},{V // 8}]" in text
    assert f"[{B},{T},{V}]" not in text
    assert not any(V in m.shape or V // 8 in m.shape[1:] for m in messages(text))
