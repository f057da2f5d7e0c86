"""open_clip's CoCa writes captions with its own `generate`."""

import argparse
import time

import numpy as np
from answer import serve
from safetensors.torch import save_file
from torch_open_clip import ABOUT, open_clip, torch


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="coca_ViT-B-32")
    parser.add_argument("--weights", required=True, help="where to write the weights")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu", help="as JAX calls it")
    c = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device("cpu" if c.device == "cpu" else "cuda")
    model = open_clip.create_model(c.preset, output_dict=True).eval()
    torch.nn.init.normal_(model.text_decoder.text_projection, std=0.02)  # open_clip leaves it unset
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, c.weights)
    model = model.to(device)
    cast = torch.autocast(device.type, torch.bfloat16, enabled=c.dtype == "bfloat16")
    # The end is forbidden until the last slot, so that every text has all its tokens.
    options = {"seq_len": c.tokens, "min_seq_len": c.tokens - 1}
    if c.beams > 1:
        options |= {"generation_type": "beam_search", "num_beams": c.beams, "num_beam_groups": 1}
    else:
        options |= {"generation_type": "top_k", "top_k": 1}

    def run(request: dict) -> dict:
        image = torch.tensor(np.load(request["images"]).transpose(0, 3, 1, 2), device=device)
        start = time.perf_counter()
        with torch.inference_mode(), cast:
            text = model.generate(image, **options).tolist()
        return {"seconds": time.perf_counter() - start, "text": text}

    serve(run, ABOUT)


if __name__ == "__main__":
    main()
