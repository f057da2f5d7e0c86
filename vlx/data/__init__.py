"""Records to batches: sources, decoding, augmentation, tokenizers, loading."""

from vlx.data.answer_vocabulary import Answers, build_answers
from vlx.data.batch import Batch, pad
from vlx.data.coded_source import CodedSource
from vlx.data.config import DataConfig, TokenizerConfig
from vlx.data.loader import Batches, Together, evaluation_batches, train_batches
from vlx.data.pipeline import EvalTransform, TrainTransform, build_transforms
from vlx.data.records import Record, Source
from vlx.data.sample import SampleSource
from vlx.data.sources import SOURCES, build_source, classification_source, retrieval_source
from vlx.data.tokenizers import TOKENIZERS, Tokenizer, build_tokenizer

__all__ = [
    "SOURCES",
    "TOKENIZERS",
    "Answers",
    "Batch",
    "Batches",
    "CodedSource",
    "DataConfig",
    "EvalTransform",
    "Record",
    "SampleSource",
    "Source",
    "Together",
    "Tokenizer",
    "TokenizerConfig",
    "TrainTransform",
    "build_answers",
    "build_source",
    "build_tokenizer",
    "build_transforms",
    "classification_source",
    "evaluation_batches",
    "pad",
    "retrieval_source",
    "train_batches",
]
