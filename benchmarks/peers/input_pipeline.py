"""torch's DataLoader over JPEG files: open_clip's training transform in Pillow alone."""

import argparse
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import PIL
import torch
from answer import serve
from PIL import Image
from process import cpu_seconds

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's


class Pictures(torch.utils.data.Dataset):
    """Item n is picture n modulo their number, cropped by chance."""

    def __init__(self, paths: list[str], size: int, images: int, floats: bool):
        self._paths, self._size, self._images, self._floats = paths, size, images, floats
        self._mean, self._std = (torch.tensor(x).view(3, 1, 1) for x in (MEAN, STD))

    def __len__(self) -> int:
        return self._images

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self._paths[index % len(self._paths)]) as file:
            image = file.convert("RGB")
        left, top, width, height = draw_box(*image.size)
        image = image.crop((left, top, left + width, top + height))
        image = image.resize((self._size, self._size), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return (pixels.float().div_(255) - self._mean) / self._std if self._floats else pixels


def draw_box(width: int, height: int) -> tuple[int, int, int, int]:
    """torchvision's RandomResizedCrop: left, top, width, height."""
    for _ in range(10):
        area = width * height * random.uniform(0.9, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (width - w) // 2, (height - h) // 2, w, h


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listing", help="JSON lines with `image`")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=64)
    c = parser.parse_args()
    paths = [json.loads(line)["image"] for line in Path(c.listing).read_text().splitlines()]
    torch.set_num_threads(1)

    def run(request: dict) -> dict:
        pictures = Pictures(paths, c.size, c.images, request["floats"])
        loader = torch.utils.data.DataLoader(
            pictures, c.batch, shuffle=True, num_workers=request["workers"]
        )
        start, cpu = time.perf_counter(), cpu_seconds()
        for batch in loader:
            assert len(batch) == c.batch
        del batch
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
        return {"images": c.images / seconds, "images_cpu": c.images / cpu}

    serve(run, {"name": f"torch {torch.__version__}, Pillow {PIL.__version__}"})


if __name__ == "__main__":
    main()
