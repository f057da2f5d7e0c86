"""Batch fields: the one place that says their names, shapes and dtypes.

Letters: B batch, T text, H and W pixels, Z pixels of a second view, P patches, A answers,
N captions or boxes of an image (padded).

| field          | dtype   | shape        | meaning                                                |
|----------------|---------|--------------|--------------------------------------------------------|
| image          | uint8   | [B, H, W, 3] | RGB; the device normalises                             |
| text           | int32   | [B, T]       | start, pieces, end, padding                            |
| text_mask      | bool    | [B, T]       | true where a token stands, start and end included      |
| weight         | float32 | [B]          | 1 for an example, 0 for padding                        |
| label          | int32   | [B]          | class; statements: 1 true, 0 false                     |
| second_image   | uint8   | [B, H, W, 3] | of records of two pictures                             |
| target_image   | uint8   | [B, Z, Z, 3] | what `image` shows, for a visual tokenizer             |
| codes          | int32   | [B, P]       | of a visual tokenizer, in place of target_image        |
| masked_text    | int32   | [B, T]       | `text` with some tokens masked or replaced             |
| masked         | bool    | [B, T]       | true where a token of `text` is to be predicted        |
| patch_mask     | bool    | [B, P]       | true for hidden patches, row after row                 |
| answer_scores  | float32 | [B, A]       | what each known answer is worth, 0 to 1                |
| label_map      | int32   | [B, H, W]    | class of each pixel; negative where there is none      |

Training batches have the fields that their task names and `weight`; evaluation adds `label` where
the data have one. `codes` are for training with `data.codes` alone.

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
