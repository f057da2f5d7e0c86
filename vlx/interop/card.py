"""The model card of a folder: README.md as the Hugging Face hub reads it."""

import math

import vlx
from vlx.interop.pretrained import Pretrained
from vlx.models import name_of
from vlx.models.capabilities import PAIR_OF_IMAGES, can

CARD = """---
library_name: vlx
tags:
- vision-language
- {model}
---

# {title}

A {model} model of {count} parameters, in the format of vlx {version}.

| | |
|---|---|
| pictures | {height} x {width} pixels, statistics `{statistics}` |
| texts | {texts} |{vectors}

```python
import vlx

model = vlx.load("{title}"){examples}
```

## Data, use and limits

To be written by whoever trained the model.
"""

# What a model is asked for, in Python -> the method and the part that it needs.
EXAMPLES = {
    'zero_shot("photo.jpg", ["a cat", "a dog"])': ("encode_text", ""),
    'caption("photo.jpg")': ("decode_step", ""),
    'match("photo.jpg", "a cat")': ("match", ""),
    'answer("photo.jpg", "what is it?")': ("answer", ""),
    'answer("left.jpg", "both show a cat", "right.jpg")': ("answer", PAIR_OF_IMAGES),
    'features("photo.jpg")': ("features", ""),
}


def card(pretrained: Pretrained, title: str) -> str:
    """The text, from what the model knows of itself."""
    p, tokenizer = pretrained, pretrained.tokenizer
    count = sum(math.prod(x.shape) for x in p.params.values())
    height, width = p.pixels.size
    name, vectors = name_of(p.model), ""
    if can(p.model, "encode_text"):
        vectors = f"\n| vectors | {p.model.config.embedding} numbers |"
    return CARD.format(
        model=name,
        title=title,
        count=f"{count:,}",
        version=vlx.__version__,
        height=height,
        width=width,
        statistics=p.pixels.statistics,
        texts=f"`{tokenizer.name}`, {tokenizer.length} tokens" if tokenizer else "none",
        vectors=vectors,
        examples="".join(f"\nmodel.{x}" for x, needed in EXAMPLES.items() if can(p.model, *needed)),
    )
