"""Encoders as StableHLO files: programs for machines without vlx.

A folder holds `encode_image.jax`, `encode_text.jax` and `model.safetensors`. JAX alone runs them:

    program = jax.export.deserialize(pathlib.Path("encode_image.jax").read_bytes())
    program.call(safetensors.flax.load_file("model.safetensors"), pixels)

Letters: B batch of any size, T text length, E embedding.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
from flax.traverse_util import unflatten_dict
from jax import export

from vlx.config import to_dict
from vlx.errors import UserError
from vlx.interop.files import write_tensors
from vlx.interop.native import write_folder
from vlx.interop.pretrained import Pretrained
from vlx.layers.pixels import normalise
from vlx.models.capabilities import can

METHODS = ("encode_image", "encode_text")
PLATFORMS = ("cpu", "cuda", "tpu")
ENDING = ".jax"


def write(folder: Path, pretrained: Pretrained, platforms: tuple[str, ...] = PLATFORMS) -> None:
    """A new folder of programs, parameters and what they take.

    The programs map (parameters by path, uint8 [B, height, width, 3] or int32 [B, T]) to unit
    vectors, float32 [B, E]. Raises UserError for a model that is no dual encoder.
    """
    p = pretrained
    programs = {method: program(p, method, platforms) for method in METHODS}
    about = {
        "pixels": to_dict(p.pixels),
        "tokenizer": None if p.tokenizer is None else to_dict(p.tokenizer) | {"path": ""},
        "programs": {
            method: {"file": f"{method}{ENDING}", "input": f"{x.in_avals[-1]}"}
            for method, x in programs.items()
        },
        "platforms": list(platforms),
    }

    def fill(draft: Path) -> None:
        for method, exported in programs.items():
            (draft / f"{method}{ENDING}").write_bytes(exported.serialize())
        write_tensors(draft / "model.safetensors", p.params, {"format": "vlx"})
        for path in p.vocabulary:
            (draft / path.name).write_bytes(path.read_bytes())
        (draft / "config.json").write_text(json.dumps(about, indent=2) + "\n")

    write_folder(folder, fill)


def program(
    pretrained: Pretrained, method: str, platforms: tuple[str, ...] = PLATFORMS
) -> export.Exported:
    """One of METHODS for any batch size, with the parameters as its first argument."""
    p, model = pretrained, pretrained.model
    unknown = sorted(set(platforms) - set(PLATFORMS))
    if unknown or not platforms:
        raise UserError(f"--platforms={','.join(platforms)}: choose from {', '.join(PLATFORMS)}.")
    if not can(model, method):
        raise UserError(f"{type(model).__name__} has no {method}, so it cannot be exported.")
    shapes = {path: jax.ShapeDtypeStruct(x.shape, x.dtype) for path, x in p.params.items()}
    (batch,) = export.symbolic_shape("B")
    inputs = _input(method, batch, p)

    def encode(params, x):
        x = normalise(x, p.pixels.statistics) if method == "encode_image" else x
        params = unflatten_dict(params, sep="/")
        return model.apply({"params": params}, x, method=method).astype(jnp.float32)

    return export.export(jax.jit(encode), platforms=platforms)(shapes, inputs)


def _input(method: str, batch, pretrained: Pretrained) -> jax.ShapeDtypeStruct:
    p = pretrained
    if method == "encode_image":
        return jax.ShapeDtypeStruct((batch, *p.pixels.size, 3), jnp.uint8)
    # Of the length that it was trained with: a class token stands after the last place.
    length = p.model.config.text_length if p.tokenizer is None else p.tokenizer.length
    return jax.ShapeDtypeStruct((batch, length), jnp.int32)
