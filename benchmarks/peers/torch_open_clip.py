"""Imports open_clip beside a build of torch for which torchvision has no compiled operators."""

import sys
import types

# Registers shapes of operators that are not there; open_clip's models call none of them.
sys.modules.setdefault(
    "torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations")
)

import open_clip  # noqa: E402
import torch  # noqa: E402

__all__ = ["ABOUT", "open_clip", "torch"]

ABOUT = {"name": f"open_clip {open_clip.__version__}, torch {torch.__version__}"}
