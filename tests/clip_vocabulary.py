"""CLIP's tokenizer for tests that need its vocabulary, which is not part of vlx."""

from pathlib import Path

import pytest

from vlx.data import TokenizerConfig, build_tokenizer
from vlx.errors import UserError


def clip_tokenizer(folder: Path, **settings):
    """The tokenizer that a run in `folder` would have; skips where there is no vocabulary."""
    config = TokenizerConfig(name="clip_bpe", **settings)
    try:
        return build_tokenizer(config, str(folder), source=list)
    except UserError as error:
        pytest.skip(str(error))
