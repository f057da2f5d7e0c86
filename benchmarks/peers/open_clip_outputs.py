"""open_clip builds a model from an exported folder alone, and computes on given inputs.

The folder holds `export/` and `inputs.npz`; `outputs.npz` is added.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch_open_clip import open_clip, torch


def main():
    folder = Path(sys.argv[1])
    model = open_clip.create_model(f"local-dir:{folder / 'export'}", output_dict=True).eval()
    weights = load_file(folder / "export" / "open_clip_model.safetensors")
    model.load_state_dict(weights, strict=True)
    inputs = np.load(folder / "inputs.npz")
    with torch.inference_mode():
        out = model(torch.tensor(inputs["image"]), torch.tensor(inputs["text"]).long())
    names = {"image": "image_features", "text": "text_features", "logits": "logits"}
    np.savez(
        folder / "outputs.npz", **{k: out[name].numpy() for k, name in names.items() if name in out}
    )


if __name__ == "__main__":
    main()
