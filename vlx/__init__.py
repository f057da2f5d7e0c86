"""Vision-language pre-training in JAX and Flax. `import vlx` starts no backend."""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["list_models", "load"]


def __getattr__(name: str):
    """`vlx.load` and `vlx.list_models`, whose imports take seconds, when they are first used."""
    if name in __all__:
        return getattr(import_module("vlx.api"), name)
    raise AttributeError(f"module 'vlx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
