"""Checks of golden files: values that the official code computed.

CHECKS maps (system, kind) to a function from a case to {name: error / tolerance}; a case passes if
no ratio exceeds 1. Models are built from each case's own official config.
"""

from golden_checks import (
    beit2,
    beit2_segmentation,
    beit3_captions,
    beit3_data,
    beit3_metrics,
    beit3_models,
    beit3_recipes,
    beit3_tokenizer,
    beit3_training,
    coca_evaluation,
    coca_generation,
    coca_losses,
    coca_models,
    coca_training,
    metrics,
    vlmo_answers,
    vlmo_data,
    vlmo_images,
    vlmo_interop,
    vlmo_models,
    vlmo_retrieval,
    vlmo_training,
)

MODULES = {
    "beit3": (
        beit2,
        beit2_segmentation,
        beit3_captions,
        beit3_data,
        beit3_metrics,
        beit3_models,
        beit3_recipes,
        beit3_tokenizer,
        beit3_training,
    ),
    "coca": (coca_evaluation, coca_generation, coca_losses, coca_models, coca_training),
    "metrics": (metrics,),
    "vlmo": (
        vlmo_answers,
        vlmo_data,
        vlmo_images,
        vlmo_interop,
        vlmo_models,
        vlmo_retrieval,
        vlmo_training,
    ),
}
CHECKS = {
    (system, kind): check
    for system, modules in MODULES.items()
    for module in modules
    for kind, check in module.CHECKS.items()
}

PENDING: dict[tuple[str, str], str] = {}  # (system, kind) -> why it cannot be checked yet
