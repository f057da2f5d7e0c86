"""open_clip's CoCa: a training step as open_clip's own loop takes it, on random pairs."""

import argparse
import resource
import time

from answer import serve
from torch_open_clip import ABOUT, open_clip, torch


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="coca_ViT-B-32")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--remat", type=int, default=0)
    parser.add_argument("--compiled", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="as JAX calls it")
    c = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True  # as open_clip's training script
    torch.backends.cudnn.allow_tf32 = True
    device = torch.device("cpu" if c.device == "cpu" else "cuda")
    model = open_clip.create_model(c.preset, output_dict=True).to(device).train()
    torch.nn.init.normal_(model.text_decoder.text_projection, std=0.02)  # open_clip leaves it unset
    model.set_grad_checkpointing(bool(c.remat))
    parameters = list(model.parameters())
    trained = torch.compile(model) if c.compiled else model
    loss = open_clip.CoCaLoss(caption_loss_weight=2.0, clip_loss_weight=1.0)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.2},
        ],
        lr=5e-4,
        betas=(0.9, 0.98),
        eps=1e-6,
    )
    size, length = model.visual.image_size[0], model.context_length
    image = torch.randn(c.batch, 3, size, size, device=device)
    words = open_clip.get_model_config(c.preset)["text_cfg"]["vocab_size"]
    text = torch.randint(1, words, (c.batch, length), device=device)
    cast = torch.autocast(device.type, torch.bfloat16, enabled=c.dtype == "bfloat16")

    def step(_) -> dict:
        start, cpu = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        with cast:
            total = sum(loss(**trained(image, text), output_dict=True).values())
        total.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.605170)
        value = total.item()  # waits for the device
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return {"seconds": seconds, "cpu": cpu, "loss": value, "memory": memory(device)}

    serve(step, ABOUT | {"parameters": sum(p.numel() for p in parameters)})


def memory(device: torch.device) -> int:
    """Most bytes so far: of the device, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
