"""Penn Treebank tokens of captions, as the COCO caption evaluation takes them before it scores."""

from collections.abc import Iterator, Sequence

import regex

from vlx.evaluate.captions.ptb_rules import RULES, word

# What the evaluation removes, and spaces. Brackets stay: its list names them in capitals, but they
# have been put into small letters before. Runs such as "?!" stay, too.
REMOVED = {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", " ", ""}

_COMMON = regex.compile(r"[A-Za-z]+(?=[ \n])|[ \n]")  # what needs no rules: most of every caption
_SIGHT = regex.compile(r"[^\n]*\n*[^\n]*\n?")  # of a line: the next one decides about periods
_WIDE = regex.compile(r"[\U00010000-\U0010FFFF]")  # unknown to the lexer, most emoji too


def tokenize(texts: Sequence[str]) -> list[str]:
    """Each text as tokens in small letters, joined by single spaces, without punctuation.

    The texts are read one after the other, as lines of one file: in rare cases, such as one that
    ends in "section A.", the next one decides about the period.
    """
    lines = [" ".join(text.splitlines()) for text in texts]
    result = [[]]
    for token in _tokens(_WIDE.sub(" ", "\n".join(lines))):
        if token == "\n":
            result.append([])
        elif token not in REMOVED:
            result[-1].append(token)
    return [" ".join(tokens) for tokens in result[: len(texts)]]


def _tokens(text: str) -> Iterator[str]:
    """Tokens in small letters, and spaces and line ends; skips what no rule reads."""
    start = end = 0
    while start < len(text):
        if start == 0 or text[start - 1] == "\n":
            end = _SIGHT.match(text, start).end()  # patterns look for what they need up to there
        if match := _COMMON.match(text, start):
            start = match.end()
            yield word(match[0]).lower()
            continue
        reach, token, spell = start, None, str
        for rule in RULES:
            match = rule.pattern.match(text, start, end)
            if match and match.end() > reach:
                reach, token, spell = match.end(), match, rule.spell
        start = token.end(1) if token else start + 1
        if token:
            yield spell(token[1]).lower()
