"""Writing: captions from anything that can `init_cache` and `decode_step`."""

from vlx.decode.generate import generate
from vlx.decode.options import DecodeOptions, Ids
from vlx.decode.sample import Written
from vlx.decode.writer import Sentences, Writer

__all__ = ["DecodeOptions", "Ids", "Sentences", "Writer", "Written", "generate"]
