"""What configs of models with one Multiway encoder and several heads have in common."""

from collections.abc import Collection

from vlx.layers.embeddings import SquarePatches
from vlx.layers.multiway import MultiwayConfig


class Headed(SquarePatches):
    encoder: MultiwayConfig
    heads: tuple[str, ...]

    @property
    def embedding(self) -> int:
        """Numbers of the vectors that images and texts are compared by."""
        return self.encoder.width

    def check_heads(self, known: Collection[str]) -> None:
        """Raises ValueError unless all heads are known."""
        if unknown := set(self.heads) - set(known):
            raise ValueError(f"heads: {sorted(unknown)} unknown; choose from {', '.join(known)}.")
