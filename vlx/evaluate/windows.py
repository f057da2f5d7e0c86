"""Pictures of any size for a model of one size: overlapping windows, and their maps joined again.

Windows of S pixels are two thirds of S apart, the last of a row ends with the picture. The map of
each is stretched to the window, where windows overlap their mean counts, and the whole is stretched
to the picture. All of that is linear and by rows and columns: a product with one matrix a side.

Letters: A, N windows in a column and in a row, h, w rows and columns of a window's map, H, W of the
picture, K classes.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vlx.data.augment import crop_and_resize
from vlx.layers.resample import bilinear_weights
from vlx.parallel.mesh import MeshConfig, make_mesh

Size = tuple[int, int]

BLOCK = 128  # pixels that sides are filled up to, so that few programs are compiled


@dataclass(frozen=True)
class Windows:
    """How a picture is seen."""

    picture: Size  # height and width
    seen: Size  # after the resize that comes first
    side: Size  # of a window

    @classmethod
    def of(cls, picture: Size, side: Size, whole: bool) -> "Windows":
        """The picture as small as it still covers a window; `whole`: in one window, squashed.

        Published evaluations make pictures of more than 4 : 1 smaller, so that no window fits.
        """
        factor = max(s / p for s, p in zip(side, picture, strict=True))
        covering = (max(s, int(p * factor + 0.5)) for s, p in zip(side, picture, strict=True))
        return cls(tuple(picture), tuple(side) if whole else tuple(covering), tuple(side))

    @property
    def grid(self) -> Size:
        """Windows in a column and in a row."""
        rows, columns = (starts(*x) for x in zip(self.seen, self.side, strict=True))
        return len(rows), len(columns)

    def cut(self, pixels: np.ndarray, interpolation: str) -> np.ndarray:
        """All windows, row after row: uint8 [H, W, 3] -> [A N, height, width, 3]."""
        pixels = crop_and_resize(pixels, (0, 0, *self.picture), self.seen, interpolation)
        h, w = self.side
        rows, columns = (starts(*x) for x in zip(self.seen, self.side, strict=True))
        return np.stack([pixels[y : y + h, x : x + w] for y in rows for x in columns])

    def classes(self, logits: np.ndarray) -> np.ndarray:
        """The best class of each pixel, by all windows: [A N, h, w, K] -> int32 [H, W].

        It is computed by one device of this process, whatever others do.
        """
        (rows, columns), (h, w, classes) = self.grid, logits.shape[1:]
        maps = logits.reshape(rows, columns, h, w, classes).swapaxes(1, 2)
        maps = maps.reshape(rows * h, columns * w, classes)
        down, along = (np.pad(x, ((0, -len(x) % BLOCK), (0, 0))) for x in self.weights((h, w)))
        with jax.set_mesh(make_mesh(MeshConfig(), jax.local_devices()[:1])):
            best = np.asarray(_best(maps, down, along))
        height, width = self.picture
        return best[:height, :width]

    def weights(self, cells: Size) -> tuple[np.ndarray, np.ndarray]:
        """What windows' maps of h x w places count in the picture: [H, A h] and [W, N w]."""
        sides = zip(self.picture, self.seen, self.side, cells, strict=True)
        return tuple(join_weights(*side) for side in sides)


def starts(seen: int, side: int) -> list[int]:
    """Where windows begin along one side of a picture."""
    stride = max(1, 2 * side // 3)
    count = max(seen - side + stride - 1, 0) // stride + 1
    return [min(n * stride, seen - side) for n in range(count)]


def join_weights(picture: int, seen: int, side: int, cells: int) -> np.ndarray:
    """As `Windows.weights`, of one side: float32 [picture, windows cells]."""
    first = starts(seen, side)
    placed, visits = np.zeros((seen, len(first), cells), np.float32), np.zeros(seen, np.float32)
    for n, start in enumerate(first):
        placed[start : start + side, n] = bilinear_weights(cells, side)
        visits[start : start + side] += 1
    placed /= visits[:, None, None]
    return bilinear_weights(seen, picture) @ placed.reshape(seen, -1)


@jax.jit
def _best(maps: jax.Array, down: jax.Array, along: jax.Array) -> jax.Array:
    """The largest of [A h, N w, K] joined by the weights of rows and columns; block by block."""
    product = partial(jnp.einsum, precision="highest")

    def block(down):
        rows = product("Hy,yxK->HxK", down, maps)
        return jnp.argmax(product("Wx,HxK->HWK", along, rows), axis=-1).astype(jnp.int32)

    blocks = down.reshape(-1, BLOCK, down.shape[1])
    return jax.lax.map(block, blocks).reshape(len(down), len(along))
