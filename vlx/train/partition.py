"""Which parameters a stage trains.

Parameters travel as nested dictionaries; here they are flat, `path/of/words` -> array. What is not
trained gets no gradient, no update, no decay and no optimizer memory.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from vlx.errors import UserError

Array = jax.Array
Flat = dict[str, Array]
Tree = Mapping


def flatten(tree: Tree) -> Flat:
    return flatten_dict(tree, sep="/")


def unflatten(flat: Flat) -> Tree:
    return unflatten_dict(flat, sep="/")


@dataclass(frozen=True)
class Partition:
    """The trained rows of every parameter: path -> (first, last) of its first axis, None for all.

    Paths that are missing are not trained at all.
    """

    trained: Mapping[str, tuple[int, int] | None]

    def split(self, params: Tree) -> tuple[Flat, Tree]:
        """The trained values by path, and the whole tree from which the rest is taken."""
        flat = flatten(params)
        rows = self.trained.items()
        return {path: _rows(flat[path], span) for path, span in rows}, params

    def merge(self, trained: Flat, params: Tree) -> Tree:
        """The tree with its trained values replaced."""
        flat = flatten(params)
        for path, span in self.trained.items():
            if span is None:
                flat[path] = trained[path]
            else:
                flat[path] = flat[path].at[span[0] : span[1]].set(trained[path])
        return unflatten(flat)


def _rows(x: Array, span: tuple[int, int] | None) -> Array:
    return x if span is None else x[span[0] : span[1]]


def partition(params: Tree, left_out: Sequence[str], frozen: Sequence[str]) -> Partition:
    """The partition of a stage, from patterns that match whole paths.

    `left_out` names what takes no part, `frozen` what takes part unchanged. A frozen pattern may
    end in a range of layers: `image/encoder/layers/.*[0:6]` freezes the first six of a stack.
    Raises UserError for a pattern that matches nothing or leaves a gap.
    """
    shapes = {path: x.shape for path, x in flatten(params).items()}
    out = {path for path in shapes if any(re.fullmatch(p, path) for p in left_out)}
    trained: dict[str, tuple[int, int] | None] = {path: None for path in shapes if path not in out}
    for entry in frozen:
        pattern, span = _parse(entry)
        hit = [path for path in shapes if re.fullmatch(pattern, path)]
        if not hit:
            raise UserError(f"freeze: {entry!r} matches no parameter; see --dry_run for the paths.")
        for path in hit:
            if span is None:
                trained.pop(path, None)
            elif path in trained:
                trained[path] = _remaining(entry, span, shapes[path])
    if not trained:
        raise UserError("No parameter is left to train: `freeze` covers all that take part.")
    return Partition(trained)


def _parse(entry: str) -> tuple[str, tuple[int, int] | None]:
    found = re.fullmatch(r"(.*)\[(\d+):(\d+)\]", entry)
    return (found[1], (int(found[2]), int(found[3]))) if found else (entry, None)


def _remaining(entry: str, span: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int]:
    """The rows outside a frozen range, which must reach one end of the stack."""
    first, last = span
    layers = shape[0] if shape else 0
    if not first < last <= layers or (first > 0 and last < layers) or last - first == layers:
        raise UserError(
            f"freeze: the range of {entry!r} must start or end with the stack of {layers} layers "
            "and leave some of them."
        )
    return (last, layers) if first == 0 else (0, first)
