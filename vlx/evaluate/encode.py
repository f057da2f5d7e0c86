"""Vectors of whole splits, from whatever can encode.

Letters: N examples, E embedding.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vlx.data import Tokenizer
from vlx.layers.pixels import normalise
from vlx.parallel.mesh import batch_sharding, place_rows, replicated
from vlx.parallel.start import from_all_processes
from vlx.tasks import Task


@dataclass(frozen=True)
class Encoder:
    """A dual encoder with its tokenizer, compiled once per kind of input."""

    task: Task
    tokenizer: Tokenizer
    length: int  # of texts
    batch_size: int
    mesh: Mesh
    _compiled: dict[str, Callable] = field(default_factory=dict)

    def images(self, params: Any, batches: Iterable[Mapping]) -> tuple[np.ndarray, dict]:
        """Unit vectors [N, E] and the other fields of all real examples, in order."""
        vectors, rest = [], []
        for batch in batches:
            image = place_rows(batch["image"], self.mesh)
            fields = {name: from_all_processes(x) for name, x in batch.items() if name != "image"}
            real = fields["weight"] > 0
            vectors.append(np.asarray(self._function("image")(params, image))[real])
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
            text = jax.device_put(padded, batch_sharding(self.mesh))
            vectors.append(np.asarray(self._function("text")(params, text))[: len(rows)])
        return np.concatenate(vectors)

    def _function(self, kind: str) -> Callable:
        if kind not in self._compiled:
            model, pixels = self.task.model, self.task.pixels

            def encode_image(params, image):
                image = normalise(image, pixels)
                return model.apply({"params": params}, image, method="encode_image")

            def encode_text(params, text):
                return model.apply({"params": params}, text, method="encode_text")

            encode = encode_image if kind == "image" else encode_text
            # On every device, so that every process can read all vectors.
            self._compiled[kind] = jax.jit(encode, out_shardings=replicated(self.mesh))
        return self._compiled[kind]
