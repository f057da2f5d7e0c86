"""What the data must have in common with the model."""

from vlx.data import Answers, Source, Tokenizer
from vlx.errors import UserError
from vlx.models.capabilities import can
from vlx.tasks import Task


def check_tokenizer(tokenizer: Tokenizer, task: Task) -> None:
    """Refuses a tokenizer with more words than the model has rows, or other special ones."""
    most, words = task.vocabulary, tokenizer.vocab_size
    if words > most:
        raise UserError(
            f"The tokenizer has {words} words, the model {most}. "
            f"Set model.vocabulary={words}, or take a smaller tokenizer."
        )
    config = getattr(task.model, "config", None)
    for name in ("pad", "mask") if can(task.model, "decode_step") else ("pad",):
        own = getattr(config, name, None)
        if own is not None and own != (given := getattr(tokenizer, name)):
            raise UserError(
                f"The {name} of the tokenizer is word {given}, that of the model {own}; set "
                f"model.{name}={given}, or take the tokenizer that the model was trained with."
            )


def check_classes(source: Source, task: Task) -> None:
    """Refuses maps with classes that the model has no logits for."""
    names, classes = source.class_names, task.config.classes
    if len(names) > classes:
        raise UserError(
            f"The data have {len(names)} classes, the model {classes}; set "
            f"model.classes={len(names)}."
        )


def check_answers(answers: Answers, task: Task) -> None:
    """Refuses another number of answers than the model has logits for."""
    if len(answers) != task.answers:
        raise UserError(
            f"The data have {len(answers)} answers, the model {task.answers}. Set "
            f"model.answers={len(answers)}, or change data.answers or data.answer_count."
        )
