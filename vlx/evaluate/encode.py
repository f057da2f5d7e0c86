"""Vectors of whole splits, from whatever can encode.

Letters: N examples, E embedding, D width.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vlx.data import Tokenizer
from vlx.layers.pixels import normalise
from vlx.parallel.compiled import compiled
from vlx.parallel.mesh import batch_sharding, place_rows, place_whole
from vlx.parallel.start import from_all_processes
from vlx.tasks import Task


@dataclass(frozen=True)
class Encoder:
    """A dual encoder with its tokenizer."""

    task: Task
    tokenizer: Tokenizer
    length: int  # of texts
    batch_size: int
    mesh: Mesh

    def images(self, params: Any, batches: Iterable[Mapping]) -> tuple[np.ndarray, dict]:
        """Unit vectors [N, E] and the other fields of all real examples, in order."""
        return self._of_images("encode_image", params, batches)

    def features(self, params: Any, batches: Iterable[Mapping]) -> tuple[np.ndarray, dict]:
        """As `images`, with the vectors [N, D] that classifiers are trained on."""
        return self._of_images("features", params, batches)

    def classes(self, params: Any, batches: Iterable[Mapping]) -> tuple[np.ndarray, dict]:
        """As `images`, with the logits [N, C] of the model's own classes."""
        return self._of_images("classify", params, batches)

    def _of_images(self, method: str, params: Any, batches: Iterable[Mapping]):
        vectors, rest = [], []
        for batch in batches:
            image = place_rows(batch["image"], self.mesh)
            fields = {name: from_all_processes(x) for name, x in batch.items() if name != "image"}
            real = fields["weight"] > 0
            vectors.append(np.asarray(self._function(method)(params, image))[real])
            rest.append({name: x[real] for name, x in fields.items()})
        fields = {name: np.concatenate([r[name] for r in rest]) for name in rest[0]}
        return np.concatenate(vectors), fields

    def texts(self, params: Any, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of texts: [N, E]."""
        return self.tokens(params, np.stack([self.tokenizer.encode(t, self.length) for t in texts]))

    def tokens(self, params: Any, ids: np.ndarray) -> np.ndarray:
        """Unit vectors of token ids: int32 [N, T] -> [N, E]."""
        size, vectors = self.batch_size, []
        for start in range(0, len(ids), size):
            rows = ids[start : start + size]
            # A last batch of another size would be compiled anew.
            padded = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
            text = place_whole(padded, batch_sharding(self.mesh))
            vectors.append(np.asarray(self._function("encode_text")(params, text))[: len(rows)])
        return np.concatenate(vectors)

    def _function(self, method: str) -> Callable:
        task = self.task
        how = {"model": task.model, "method": method, "pixels": task.pixels}
        return compiled(_encode, self.mesh, **how)


def _encode(params, x, *, model: nn.Module, method: str, pixels: str):
    x = x if method == "encode_text" else normalise(x, pixels)
    return model.apply({"params": params}, x, method=method).astype(jnp.float32)
