"""The model card of a folder: README.md as the Hugging Face hub reads it."""

import math

import vlx
from vlx.interop.pretrained import Pretrained
from vlx.models import name_of

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
| texts | {texts} |
| vectors | {embedding} numbers |

```python
import vlx

model = vlx.load("{title}")
model.zero_shot("photo.jpg", ["a cat", "a dog"]){caption}
```

## Data, use and limits

To be written by whoever trained the model.
"""


def card(pretrained: Pretrained, title: str) -> str:
    """The text, from what the model knows of itself."""
    p, tokenizer = pretrained, pretrained.tokenizer
    count = sum(math.prod(x.shape) for x in p.params.values())
    height, width = p.pixels.size
    name = name_of(p.model)
    return CARD.format(
        model=name,
        title=title,
        count=f"{count:,}",
        version=vlx.__version__,
        height=height,
        width=width,
        statistics=p.pixels.statistics,
        texts=f"`{tokenizer.name}`, {tokenizer.length} tokens" if tokenizer else "none",
        embedding=p.model.config.embedding,
        caption='\nmodel.caption("photo.jpg")' if hasattr(p.model, "decode_step") else "",
    )
