"""open_clip's ClipLoss with gradients of features and scale."""

import argparse
import re
import time
from functools import cache
from pathlib import Path

import numpy as np
from answer import serve
from torch_open_clip import ABOUT, open_clip, torch


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", help="as JAX calls it")
    parser.add_argument("--width", type=int, default=512)
    c = parser.parse_args()
    device = torch.device("cpu" if c.device == "cpu" else "cuda")
    loss = open_clip.ClipLoss()

    @cache
    def arguments(size: int) -> list:
        """The features of the vlx side: rows of unit length."""
        rows = np.random.default_rng(0).standard_normal((2, size, c.width), np.float32)
        rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
        scale = np.float32(1 / 0.07)
        return [torch.tensor(x, device=device, requires_grad=True) for x in (*rows, scale)]

    def run(request: dict) -> dict:
        tensors = arguments(request["size"])
        memory = Memory(device)
        start = time.perf_counter()
        value = loss(*tensors)
        gradients = torch.autograd.grad(value, tensors)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        del gradients
        return {"seconds": seconds, "memory": memory.grown(), "loss": value.item()}

    serve(run, ABOUT)


class Memory:
    """How far the peak of memory rises above what is in use now."""

    def __init__(self, device: torch.device):
        self._cuda = device.type == "cuda"
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts anew
            self._before = _status("VmRSS")

    def grown(self) -> int:
        peak = torch.cuda.max_memory_allocated() if self._cuda else _status("VmHWM")
        return peak - self._before


def _status(key: str) -> int:
    """A number of bytes from Linux's notes on this process."""
    return int(re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


if __name__ == "__main__":
    main()
