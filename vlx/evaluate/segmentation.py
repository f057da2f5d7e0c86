"""How well a model tells the classes of pixels.

A picture is looked at as `data.resize_mode` says: "shortest", in overlapping windows, as published;
"squash", as a whole. It is measured in its own size, pixels without a class left out.

Letters: N pictures, H, W rows and columns of pixels, K classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from vlx.data import DataConfig, Record
from vlx.data.batch import Example
from vlx.data.fields import given
from vlx.data.label_maps import check_shapes, signed
from vlx.data.pipeline import read_pixels
from vlx.errors import UserError
from vlx.evaluate.bootstrap import interval
from vlx.evaluate.context import Context
from vlx.evaluate.examples import keep_examples
from vlx.evaluate.measured import Metrics
from vlx.evaluate.windows import Size, Windows
from vlx.models.capabilities import can
from vlx.parallel.mesh import place_rows
from vlx.parallel.start import from_all_processes

NAMES = ("mean_iou", "mean_accuracy", "pixel_accuracy")


def segmentation(context: Context, params: Any) -> Metrics:
    """Mean over classes of intersection over union and of recall, and the share of right pixels.

    Classes that neither the maps nor the model know in this split are left out of the means. The
    values of each class are kept in RUN/evaluations/classes-SPLIT.json.
    """
    setup, task = context.setup, context.setup.task
    if not can(task.model, "segment"):
        raise UserError(
            f"The evaluator 'segmentation' needs a model that tells the classes of pixels, which "
            f"{type(task.model).__name__} does not; take it out of evaluate.names."
        )
    c = setup.config.data
    if c.resize_mode not in ("shortest", "squash"):
        raise UserError(
            f"The evaluator 'segmentation' has no data.resize_mode={c.resize_mode!r}; set "
            "'shortest' for windows, or 'squash' for whole pictures."
        )
    view = WholePicture(task.image_size, c)
    areas, weights = [], []
    for batch in context.batches(context.source, setup.config.evaluate.examples, view):
        own = np.zeros((len(batch["weight"]), 3, task.model.config.classes))
        rows = np.flatnonzero(batch["weight"])
        views = [batch["picture"][row] for row in rows]
        for row, measured in zip(rows, _measure(context, params, views), strict=True):
            own[row] = measured
        areas.append(own)
        weights.append(batch["weight"])
    everywhere = from_all_processes(np.concatenate(areas))
    everywhere = everywhere[from_all_processes(np.concatenate(weights)) > 0]
    _keep_classes(context, everywhere)
    return summary(everywhere)


@dataclass(frozen=True)
class View:
    """A picture cut for the model, and the truth in its own size."""

    windows: Windows
    pixels: np.ndarray  # uint8 [windows, height, width, 3]
    label_map: np.ndarray  # int32 [H, W]


@dataclass(frozen=True)
class WholePicture:
    """A record as a View, and its weight; pictures differ in size and are not stacked."""

    size: Size  # of the model
    config: DataConfig

    def __call__(self, record: Record) -> Example:
        c = self.config
        pixels, labels = read_pixels(record, "image", c), given(record, "label_map")
        check_shapes(pixels, labels)
        windows = Windows.of(pixels.shape[:2], self.size, c.resize_mode == "squash")
        boxed = np.empty((), object)
        boxed[()] = View(windows, windows.cut(pixels, c.interpolation), signed(labels))
        return {"picture": boxed, "weight": np.float32(1)}


def _measure(context: Context, params: Any, views: list[View]) -> Iterator[np.ndarray]:
    """The `areas` of each picture, from windows that go through the model in equal batches.

    All processes take part as often as the one with most windows needs.
    """
    setup = context.setup
    size, hosts = setup.config.evaluate.batch_size, jax.process_count()
    own, first = size // hosts, jax.process_index() * (size // hosts)
    todo = sum(len(view.pixels) for view in views)
    most = int(from_all_processes(np.array([todo])).max())
    blank = np.zeros((1, *setup.image_size, 3), np.uint8)
    flow = np.concatenate([*(view.pixels for view in views), blank])
    waiting, ready = iter(views), np.zeros(0)
    view = next(waiting, None)
    for start in range(0, most, own):
        rows = np.minimum(np.arange(start, start + own), todo)  # the blank one where none is left
        logits = np.asarray(context.segment(params, place_rows(flow[rows], setup.mesh)))
        logits = logits[first : first + own]
        ready = np.concatenate([ready, logits]) if len(ready) else logits
        while view is not None and len(ready) >= len(view.pixels):
            yield _areas_of(view, ready[: len(view.pixels)])
            ready, view = ready[len(view.pixels) :], next(waiting, None)


def _areas_of(view: View, logits: np.ndarray) -> np.ndarray:
    """Areas of a picture from the logits of its windows: [windows, h, w, K] -> [3, K]."""
    classes, most = logits.shape[-1], view.label_map.max()
    if most >= classes:
        raise UserError(
            f"A label map has the class {most}, the model {classes} classes; set "
            f"model.classes={most + 1} or more."
        )
    return areas(view.windows.classes(logits), view.label_map, classes)


def areas(predicted: np.ndarray, label_map: np.ndarray, classes: int) -> np.ndarray:
    """Pixels that are rightly of a class, that are said to be, and that are: int [3, K].

    predicted, label_map: int [H, W]; pixels of a negative class do not count.
    """
    known = label_map >= 0
    said, true = predicted[known], label_map[known]
    counted = said[said == true], said, true
    return np.stack([np.bincount(x, minlength=classes) for x in counted])


def summary(areas: np.ndarray) -> Metrics:
    """Metrics of NAMES from the areas of every picture: [N, 3, K]; intervals are over pictures."""
    shape = areas.shape[1:]

    def statistic(sums: np.ndarray) -> np.ndarray:
        return np.stack(means(sums.reshape(-1, *shape)), axis=-1)

    flat = areas.reshape(len(areas), -1)
    values = statistic(flat.sum(axis=0))[0]
    ends = np.stack(interval(flat, statistic), axis=-1)
    intervals = {name: tuple(pair) for name, pair in zip(NAMES, ends.tolist(), strict=True)}
    return Metrics(dict(zip(NAMES, values, strict=True)), intervals)


def by_class(areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection over union and recall of [..., 3, K], NaN where a class is not: [..., K]."""
    right, said, true = (areas[..., n, :].astype(float) for n in range(3))
    union = said + true - right
    nothing = np.full(right.shape, np.nan)
    iou = np.divide(right, union, out=nothing.copy(), where=union > 0)
    return iou, np.divide(right, true, out=nothing, where=true > 0)


def means(areas: np.ndarray) -> tuple[np.ndarray, ...]:
    """The values of NAMES from [..., 3, K]."""
    shares = [_mean_of_known(x) for x in by_class(areas)]
    right, true = areas[..., 0, :].sum(axis=-1), areas[..., 2, :].sum(axis=-1)
    return (*shares, right / np.maximum(true, 1))


def _mean_of_known(x: np.ndarray) -> np.ndarray:
    known = ~np.isnan(x)
    return np.where(known, x, 0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)


def _keep_classes(context: Context, areas: np.ndarray) -> None:
    """Both values of each class by its name or number, for those that the split has."""
    names = context.source.class_names
    rows = []
    for number, (iou, recall) in enumerate(zip(*by_class(areas.sum(axis=0)), strict=True)):
        name = names[number] if number < len(names) else str(number)
        if not np.isnan(recall):
            rows.append({"class": name, "iou": iou, "accuracy": recall})
    keep_examples(context, "classes", rows)
