"""Layers with experts in PyTorch: shared attention, and a feed-forward part for each kind."""

import argparse
import time

import torch
from answer import serve
from torch import nn
from torch.nn import functional

TEXT, IMAGE = 40, 197


class Layer(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.heads = width // 64
        self.attention_norm = nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.scales = nn.Parameter(torch.full((2, width), 0.1))
        self.experts = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width, eps=1e-6),
                nn.Linear(width, 4 * width),
                nn.GELU(),
                nn.Linear(4 * width, width),
            )
            for _ in range(2)
        )

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).reshape(batch, length, 3, self.heads, -1)
        y = functional.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))
        x = x + self.scales[0] * self.out(y.transpose(1, 2).reshape(batch, length, width))
        parts = zip(self.experts, x.split((TEXT, IMAGE), dim=1), strict=True)
        return torch.cat([part + self.scales[1] * expert(part) for expert, part in parts], dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", help="as JAX calls it")
    for name in ("width", "layers", "batch"):
        parser.add_argument(f"--{name}", type=int, required=True)
    c = parser.parse_args()
    device = torch.device("cpu" if c.device == "cpu" else "cuda")
    model = nn.Sequential(*[Layer(c.width) for _ in range(c.layers)]).to(device)
    x = torch.randn(c.batch, TEXT + IMAGE, c.width, device=device)

    def run(request: dict) -> dict:
        start = time.perf_counter()
        if request["call"] == "forward":
            with torch.no_grad():
                model(x)
        else:
            torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
        if device.type == "cuda":
            torch.cuda.synchronize()
        return {"seconds": time.perf_counter() - start}

    serve(run, {"name": f"PyTorch {torch.__version__}"})


if __name__ == "__main__":
    main()
