"""Files of tensors, read without running anything that they hold.

PyTorch's own format can hold any code; torch reads it with `weights_only=True`, which takes tensors
and plain values alone.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vlx.errors import UserError

SAFE = ".safetensors"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
USUAL = (  # names of weights in a published folder; the first that is there counts
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)

WRAPPERS = ("state_dict", "module", "model")  # what training checkpoints call the weights
PREFIX = "module."  # of every name, as data-parallel training leaves it

Tensors = dict[str, np.ndarray]


def find_weights(path: Path) -> Path:
    """The file itself, or the one of a usual name in a folder."""
    if path.is_file():
        return path
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder.")
    for name in USUAL:
        if (path / name).is_file():
            return path / name
    raise UserError(f"{path} holds no weights; it should have one of {', '.join(USUAL)}.")


def read_tensors(path: Path) -> Tensors:
    """Every tensor of a file by name, of the type it is stored in.

    What wraps them in a training checkpoint (`state_dict`, `module`, `model`) is taken off, and
    the prefix `module.` where all names have it. Raises UserError for a file that is damaged, of
    another kind, or that would have to be run.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file.")
    if path.suffix == SAFE:
        return _without_prefix(_read_safe(path))
    if path.suffix in PICKLED:
        return _without_prefix(_read_pickled(path))
    kinds = ", ".join((SAFE, *PICKLED))
    raise UserError(f"{path} is no file of weights that vlx knows; it should end in {kinds}.")


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """A safetensors file. Raises OSError if it cannot be written."""
    # The format's own writer takes memory as it lies, which of a transpose is another matrix.
    ordered = {name: np.asarray(x, order="C") for name, x in tensors.items()}
    try:
        save_file(ordered, path, metadata=dict(metadata))
    except SafetensorError as error:  # what becomes of a full disk
        raise OSError(str(error)) from error
    path.chmod(0o644)  # the writer closes it to others


def _read_safe(path: Path) -> Tensors:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} cannot be read: {str(error).rstrip('.')}. It is incomplete or no safetensors "
            "file; copy it again."
        ) from error


def _read_pickled(path: Path) -> Tensors:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path} is in PyTorch's format; `pip install vlx[torch]` reads it, or take the "
            "model's .safetensors file."
        ) from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is empty"
        raise UserError(
            f"{path} holds more than tensors, or is damaged, and is not opened ({reason[:120]}). "
            "Take the model's .safetensors file, or save its state_dict() alone."
        ) from error
    state = _unwrapped(content) if isinstance(content, Mapping) else {}
    tensors = {name: x for name, x in state.items() if isinstance(x, torch.Tensor)}
    if not tensors:
        raise UserError(f"{path} holds no tensors by name; save the model's state_dict() there.")
    return {name: _array(torch, x) for name, x in tensors.items()}


def _unwrapped(content: Mapping[str, Any]) -> Mapping[str, Any]:
    inside = (content.get(name) for name in WRAPPERS)
    return next((x for x in inside if isinstance(x, Mapping)), content)


def _without_prefix(tensors: Tensors) -> Tensors:
    if not all(name.startswith(PREFIX) for name in tensors):
        return tensors
    return {name.removeprefix(PREFIX): x for name, x in tensors.items()}


def _array(torch: Any, x: Any) -> np.ndarray:
    if x.dtype == torch.bfloat16:  # NumPy has no such type of its own
        return x.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return x.detach().numpy()
