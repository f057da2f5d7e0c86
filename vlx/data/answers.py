"""Short answers to questions about images, spelled as the VQA benchmark compares them."""

import re
from collections.abc import Sequence

# Each is removed if the answer has it beside a space or has a number like 1,000; else it becomes a
# space.
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
ARTICLES = ("a", "an", "the")
NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
           "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10"}  # fmt: skip
# Recognised also with one of their apostrophes missing.
CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't
    mightn't've must've mustn't needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
    shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
    someone's something'd something'd've something'll that's there'd there'd've there're there's
    they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're
    what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're
    why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're
    you've
"""
CONTRACTIONS = {
    word[: apostrophe.start()] + word[apostrophe.end() :]: word
    for word in CONTRACTED.split()
    for apostrophe in re.finditer("'", word)
} | {"somebody'd": "somebodyd"}  # so in the benchmark's own list
PERIODS = 32  # so many lose their place: the official code hands over a flag as this count
SOFT_SCORES = (0.0, 0.3, 0.6, 0.9, 1.0)
SPELLINGS = ("written", "normalised")


def normalise(answer: str) -> str:
    """The answer in small letters, without articles and punctuation, numbers to ten as digits.

    The rules are those of the official VQA evaluation, which also made the answer vocabularies of
    published models.
    """
    number = re.search(r"\d,\d", answer)
    text = answer
    for mark in PUNCTUATION:
        remove = number or f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if remove else " ")
    text = re.sub(r"\.(?!\d)", "", text, count=PERIODS)
    words = [NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def spelled(answers: Sequence[str], spelling: str) -> Sequence[str]:
    """What annotators answered, as they wrote it or normalised.

    The answer of a single annotator stays: as a target it is compared by its letters.
    """
    keep = spelling == "written" or len(answers) < 2
    return answers if keep else tuple(map(normalise, answers))


def soft_score(annotators: int) -> float:
    """What an answer that so many of ten annotators gave is worth as a label."""
    return SOFT_SCORES[min(annotators, len(SOFT_SCORES) - 1)]
