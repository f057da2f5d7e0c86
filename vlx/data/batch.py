"""Batch fields: the one place that says their names, shapes and dtypes.

Letters: B batch, T text, H and W pixels, N captions or boxes of an image (padded).

| field        | dtype   | shape        | meaning                                                |
|--------------|---------|--------------|--------------------------------------------------------|
| image        | uint8   | [B, H, W, 3] | RGB; the device normalises                             |
| text         | int32   | [B, T]       | start, pieces, end, padding                            |
| text_mask    | bool    | [B, T]       | true where a token stands, start and end included      |
| weight       | float32 | [B]          | 1 for an example, 0 for padding                        |
| label        | int32   | [B]          | class; only where the data have labels                 |

Where an evaluation asks for all captions of an image:

| captions       | int32   | [B, N, T]  | as text, each                                          |
| caption_weight | float32 | [B, N]     | 1 for a caption, 0 for padding                         |

Names kept for what later tasks need:

| answer       | int32   | [B]          | index into the list of answers                         |
| boxes        | float32 | [B, N, 4]    | left, top, right, bottom, as parts of width and height |
| box_weight   | float32 | [B, N]       | 1 for a box, 0 for padding                             |
| label_maps   | integer | [B, H, W, M] | a number per pixel and map                             |
| label_tables | float32 | as the map   | what a map's numbers stand for; looked up on the device |

A row of weight 0 repeats a real row, so that no model meets values that data never have.
"""

import numpy as np

Batch = dict[str, np.ndarray]
Example = dict[str, np.ndarray]  # a batch without its first axis


def stack(examples: list[Example]) -> Batch:
    """One batch of all examples: every field gets a first axis B."""
    return {name: np.stack([e[name] for e in examples]) for name in examples[0]}


def pad(batch: Batch, size: int) -> Batch:
    """The batch with `size` rows: those that are missing repeat the last with weight 0."""
    rows = len(batch["weight"])
    if rows == size:
        return batch
    take = np.minimum(np.arange(size), rows - 1)
    padded = {name: value[take] for name, value in batch.items()}
    padded["weight"][rows:] = 0
    return padded
