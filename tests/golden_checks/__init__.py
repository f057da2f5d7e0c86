"""Checks of golden files: values that the official code computed.

CHECKS maps (system, kind) to a function from a case to {name: error / tolerance}; a case passes if
no ratio exceeds 1. Models are built from each case's own official config.
"""

from golden_checks import (
    coca_evaluation,
    coca_generation,
    coca_losses,
    coca_models,
    coca_training,
    metrics,
    vlmo_answers,
    vlmo_data,
)

COCA = coca_generation.CHECKS | coca_losses.CHECKS | coca_models.CHECKS | coca_training.CHECKS
COCA |= coca_evaluation.CHECKS
CHECKS = {("coca", kind): check for kind, check in COCA.items()}
CHECKS |= {("metrics", kind): check for kind, check in metrics.CHECKS.items()}
CHECKS |= {("vlmo", kind): check for kind, check in vlmo_models.CHECKS.items()}
CHECKS |= {("vlmo", kind): check for kind, check in vlmo_answers.CHECKS.items()}
CHECKS |= {("vlmo", kind): check for kind, check in vlmo_data.CHECKS.items()}

PENDING: dict[tuple[str, str], str] = {}  # (system, kind) -> why it cannot be checked yet
