"""Where parameters live: one table from paths to logical axes, one from those to mesh axes."""

import math
import re
from collections.abc import Mapping
from typing import Any

import jax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.tree_util import DictKey

Axes = tuple[str | None, ...]

# Exactly one pattern matches a parameter's whole path and names its axes, one a dimension;
# stacked layers have "layers" in front.
RULES: tuple[tuple[str, Axes], ...] = (
    (r"(.*/)?(query|key|value)/(\w+/)?kernel", ("embed", "heads", "head")),
    (r"(.*/)?(query|key|value)/(\w+/)?bias", ("heads", "head")),
    (r"(.*/)?out/(\w+/)?kernel", ("heads", "head", "embed")),
    (r"(.*/)?(up|gate)/kernel", ("embed", "hidden")),
    (r"(.*/)?(up|gate)/bias", ("hidden",)),
    (r"(.*/)?down/kernel", ("hidden", "embed")),
    (r"(.*/)?(out/(\w+/)?|down/)bias", ("embed",)),
    (r"(.*/)?mlp/norm/(scale|bias)", ("hidden",)),
    (r"(.*/)?(query|key)_norm/(scale|bias)", (None,)),
    (r"(?!.*(query|key)_norm/)(?!.*mlp/norm/)(.*[/_])?norm/(\w+/)?(scale|bias)", ("embed",)),
    (r"(.*/)?(attention|cross|mlp)_scale/scale", ("embed",)),
    (r"(.*/)?(attention|cross)/(head_scale|logit_scale)", ("heads",)),
    (r"(.*/)?tokens/embedding", ("vocabulary", "embed")),
    (r"(.*/)?(positions|types)/embedding", (None, "embed")),
    (r"(.*/)?(positions|queries)", (None, "embed")),
    (r"(.*/)?(class|mask)_token", ("embed",)),
    (r"(.*/)?relative/embedding", (None, "heads")),
    (r"(.*/)?patches/projection/kernel", (None, None, None, "embed")),
    (r"(.*/)?patches/projection/bias", ("embed",)),
    (r"(image|text)/(projection|hidden)/kernel", ("embed", None)),
    (r"(image|text)/(projection|hidden)/bias", (None,)),
    (r"(pooler|\w+_head|(pair_)?(image|text)_projection)/kernel", ("embed", None)),
    (r"(pooler|\w+_head)/bias", (None,)),
    (r"\w+_head/(hidden|output)/kernel", ("embed", None)),
    (r"\w+_head/(hidden|output)/bias", (None,)),
    (r"codebook", (None, None)),
    (r"(pyramid/double_\w+|(head|auxiliary)/.*)/kernel", (None, None, None, "embed")),
    (r"(pyramid/double_\w+|(head|auxiliary)/classify/classifier)/bias", ("embed",)),
    (r"(pyramid|head|auxiliary)/(.*/)?norm/(mean|variance)", ("embed",)),
    (r"(\w+_head/logits|head)/kernel", ("embed", "vocabulary")),
    (r"\w+_head/logits/bias", ("vocabulary",)),
    (r"(pair_)?logit_(scale|bias)", ()),
    (r"(en|de)coder/(\w+/)?(input|output|conv_\d|identity)/kernel", (None, None, None, None)),
    (r"(en|de)coder/(\w+/)?(input|output|conv_\d|identity)/bias", (None,)),
)
MESH_AXES: dict[str | None, str | None] = {
    "embed": "fsdp",
    "heads": "tensor",
    "hidden": "tensor",
    "vocabulary": "tensor",
    "head": None,
    "layers": None,
    None: None,
}


def logical_axes(path: str, dimensions: int) -> Axes:
    """The names of a parameter's axes. Raises KeyError unless exactly one rule matches."""
    found = [axes for pattern, axes in RULES if re.fullmatch(pattern, path)]
    if len(found) != 1:
        raise KeyError(f"{path}: {len(found)} rules match; vlx/parallel/layout.py needs one.")
    stacked = ("layers",) if "/layers/" in path else ()
    axes = (*stacked, *found[0])
    if path in ("logit_scale", "logit_bias"):  # some official files hold them as [1]
        axes = (None,) * dimensions
    if len(axes) != dimensions:
        raise KeyError(f"{path} has {dimensions} axes, its rule names {axes}.")
    return axes


def spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """The mesh axes of a parameter; an axis that the mesh does not divide stays whole."""
    names = [MESH_AXES[axis] for axis in logical_axes(path, len(shape))]
    sizes = dict(mesh.shape)
    return PartitionSpec(
        *(
            name if name and size % sizes[name] == 0 else None
            for name, size in zip(names, shape, strict=True)
        )
    )


def shardings(params: Any, mesh: Mesh) -> Any:
    """A sharding for every parameter of a nested dictionary of arrays or shapes."""
    flat = flatten_dict(params, sep="/")
    return unflatten_dict(
        {path: NamedSharding(mesh, spec(path, x.shape, mesh)) for path, x in flat.items()}, sep="/"
    )


def follow(tree: Any, mesh: Mesh) -> Any:
    """A sharding for every array of a tree whose dictionaries are keyed by parameter paths.

    Moments and averages follow their parameter. What has other axes than it (factored moments) or
    no path (counters) is small and lies on every device.
    """

    def place(keys, x):
        path = next((k.key for k in reversed(keys) if isinstance(k, DictKey)), "")
        try:
            return NamedSharding(mesh, spec(path, x.shape, mesh))
        except KeyError:
            return NamedSharding(mesh, PartitionSpec())

    return jax.tree_util.tree_map_with_path(place, tree)


def bytes_per_device(tree: Any, layout: Any) -> int:
    """The largest share of a tree of shapes that a device holds under a tree of shardings."""
    parts = zip(jax.tree.leaves(tree), jax.tree.leaves(layout), strict=True)
    return sum(math.prod(s.shard_shape(x.shape)) * x.dtype.itemsize for x, s in parts)


def table(params: Mapping[str, Any]) -> dict[str, Axes]:
    """Every path with its logical axes, for printing."""
    flat = flatten_dict(params, sep="/")
    return {path: logical_axes(path, len(x.shape)) for path, x in flat.items()}
