"""Vision-language pre-training in JAX and Flax. `import vlx` starts no backend."""

__version__ = "0.1.0"
