"""Checks of golden files: values that the official code computed.

CHECKS maps (system, kind) to a function from a case to {name: error / tolerance}; a case passes if
no ratio exceeds 1. Models are built from each case's own official config.
"""

from golden_checks import coca_losses, coca_models, coca_training

COCA = coca_losses.CHECKS | coca_models.CHECKS | coca_training.CHECKS
CHECKS = {("coca", kind): check for kind, check in COCA.items()}

PENDING = {  # (system, kind) -> why it cannot be checked yet
    ("coca", "clip_bpe"): "needs the CLIP tokenizer of the evaluation step",
    ("coca", "preprocess"): "needs the evaluation transforms of the evaluation step",
    ("coca", "generate"): "needs generation",
    ("coca", "logits_processors"): "needs generation",
    ("coca", "retrieval_metrics"): "needs the metrics of the evaluation step",
    ("coca", "zero_shot"): "needs the metrics of the evaluation step",
}
