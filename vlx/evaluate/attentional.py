"""What frozen patches know: a pooler of one query and a linear classifier are trained on them.

CoCa's evaluation of frozen features (arXiv 2205.01917, 4.2), without its augmentation.

Letters: B batch, P patches, D width, C classes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from vlx.data import Source, train_batches
from vlx.data.records import annotation
from vlx.errors import UserError
from vlx.evaluate.context import Context
from vlx.evaluate.measured import Metrics
from vlx.evaluate.probes import ANY_LABEL, labelled_splits
from vlx.evaluate.ranks import places
from vlx.evaluate.zero_shot import check_labels, shares
from vlx.layers import initializers as init
from vlx.layers.module import Dense, Module
from vlx.layers.pixels import normalise
from vlx.layers.pooling import AttentionalPooler
from vlx.models.capabilities import can, why_not
from vlx.parallel.mesh import place_rows, replicated
from vlx.parallel.start import from_all_processes

Array = jax.Array

NAME = "attentional_probe"
SEED = 0  # of the order and of the initial values, so that models are compared alike
HEAD = 64  # numbers of an attention head, at least
WEIGHT_DECAY, CLIP = 0.01, 1.0  # as CoCa's, whose Adafactor is AdamW here


class AttentionalProbe(Module):
    """One query reads all patches, a linear layer what it has read: [B, P, D] -> [B, C]."""

    classes: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        width = x.shape[-1]
        most = max(1, width // HEAD)
        heads = next(n for n in range(most, 0, -1) if width % n == 0)
        pooled = AttentionalPooler(width, heads, queries=1, name="pooler")(x)[:, 0]
        return Dense(self.classes, kernel_init=init.normal(0.02), name="logits")(pooled)


def attentional_probe(context: Context, params: Any) -> Metrics:
    """Accuracy of a pooler and a classifier that have learned from the training images' patches.

    Raises UserError for a model without patches, and for labels that cannot be learned.
    """
    model = context.setup.task.model
    if not can(model, "patch_tokens"):
        raise UserError(
            f"The evaluator {NAME} reads the patches of a model. {why_not(model, 'patch_tokens')} "
            f"Leave {NAME} out of evaluate.names."
        )
    train, test = labelled_splits(context)
    classes = _classes(context, train, test)
    weights = learn(context, params, train, classes)
    return shares(classify(context, params, test, weights, classes), classes)


def learn(context: Context, params: Any, train: Source, classes: int) -> Any:
    """The probe's parameters after `evaluate.probe_steps` batches of frozen patches.

    Patches are encoded in the step that learns from them, so there are never more than a batch's.
    """
    setup, size = context.setup, context.setup.config.evaluate.batch_size
    programs = _programs_of(context, classes)
    state, last = programs.begin(params), None
    transform = context.asked("image")

    def as_it_is(record, rng):
        return transform(record)

    data = replace(setup.config.data, workers=0)  # which would take seconds to start
    hosts = {"host": jax.process_index(), "hosts": jax.process_count()}
    with train_batches(train, as_it_is, size, SEED, data, **hosts) as batches:
        for _ in range(setup.config.evaluate.probe_steps):
            batch = next(batches)
            check_labels(batch, classes, NAME)
            rows = place_rows({name: batch[name] for name in ("image", "label")}, setup.mesh)
            state, loss = programs.step(state, params, rows["image"], rows["label"])
            jax.block_until_ready(last)  # or batches would pile up on the devices
            last = loss
    return state[0]


def classify(context: Context, params: Any, test: Source, weights: Any, classes: int) -> np.ndarray:
    """The place, from 0, of each image's own class in the split: [N]."""
    setup, found = context.setup, []
    rank = _programs_of(context, classes).rank
    most, transform = setup.config.evaluate.examples, context.asked("image")
    for batch in context.batches(test, most, transform):
        check_labels(batch, classes, NAME)
        rows = place_rows({name: batch[name] for name in ("image", "label")}, setup.mesh)
        place = np.asarray(rank(weights, params, rows["image"], rows["label"]))
        found.append(place[from_all_processes(batch["weight"]) > 0])
    return np.concatenate(found)


def _classes(context: Context, train: Source, test: Source) -> int:
    """The number of classes to learn: all that have a name, or a label in the training images."""
    if train.class_names:
        return len(train.class_names)
    learned, asked = (_highest_label(source) for source in (train, test))
    if asked > learned:
        raise UserError(
            f"The split {context.split!r} has the label {asked}, but the images that {NAME} learns "
            f"from have none above {learned}; set evaluate.probe_examples=0, or name the classes "
            "(data.class_names)."
        )
    return learned + 1


def _highest_label(source: Source) -> int:
    labels = [annotation(source, n).get("label") for n in range(len(source))]
    check_labels({} if None in labels else {"label": np.array(labels)}, ANY_LABEL, NAME)
    return max(labels)


class _Programs(NamedTuple):
    """What is compiled for a model and its probe."""

    begin: Callable  # params -> state
    step: Callable  # (state, params, images, labels) -> state, loss
    rank: Callable  # (probe's parameters, params, images, labels) -> places from 0, [B]


def _programs_of(context: Context, classes: int) -> _Programs:
    setup, c = context.setup, context.setup.config.evaluate
    model, pixels = setup.task.model, setup.task.pixels
    shape = (1, *setup.image_size, 3)
    return _programs(model, pixels, shape, classes, c.probe_steps, c.probe_lr, setup.mesh)


@lru_cache(maxsize=2)
def _programs(
    model: nn.Module,
    pixels: str,
    shape: tuple[int, ...],
    classes: int,
    steps: int,
    rate: float,
    mesh: Mesh,
) -> _Programs:
    probe = AttentionalProbe(classes)
    rule = optax.chain(
        optax.clip_by_global_norm(CLIP),
        optax.adamw(optax.cosine_decay_schedule(rate, steps), weight_decay=WEIGHT_DECAY),
    )

    def patches(params, image):
        image = normalise(image, pixels)
        x = model.apply({"params": params}, image, method="patch_tokens")
        return x.astype(jnp.float32)

    def begin(params):
        x = jax.eval_shape(patches, params, jax.ShapeDtypeStruct(shape, jnp.uint8))
        weights = probe.init(jax.random.key(SEED), jnp.zeros(x.shape))["params"]
        return weights, rule.init(weights)

    def rank(weights, params, image, label):
        logits = probe.apply({"params": weights}, patches(params, image))
        return places(logits, label, jnp.arange(classes))

    def step(state, params, image, label):
        weights, memory = state
        x = patches(params, image)

        def loss(weights):
            logits = probe.apply({"params": weights}, x)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, label))

        value, gradient = jax.value_and_grad(loss)(weights)
        update, memory = rule.update(gradient, memory, weights)
        return (optax.apply_updates(weights, update), memory), value

    # On every device, so that every process can read all places.
    everywhere = replicated(mesh)
    return _Programs(
        jax.jit(begin, out_shardings=everywhere),
        jax.jit(step, donate_argnums=0, out_shardings=everywhere),
        jax.jit(rank, out_shardings=everywhere),
    )
