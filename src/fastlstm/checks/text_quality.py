"""Class counts, and texts with quality issues: very short, few letters, HTML, broken characters."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import IndexArray
from fastlstm.checks.corpus import Corpus, Example

MIN_TOKENS = 3
"""A text with fewer tokens is very short."""
MIN_LETTER_FRACTION = 1 / 3
"""A text with a smaller fraction of letters among its characters, without white space, has few letters."""

VERY_SHORT = "very short"
FEW_LETTERS = "few letters"
HTML = "HTML"
BROKEN_CHARACTERS = "broken characters"

_LETTERS = re.compile(r"[^\W\d_]+")
_SPACE = re.compile(r"\s+")
# Not line breaks (<br>): the tokenizer removes them.
_MARKUP = re.compile(
    r"</?(?!br\s*/?>)[a-z][a-z0-9]*(?:\s[^<>]*)?/?>|&(?:[a-z]{2,8}|#\d{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE
)
# UTF-8 decoded as Windows-1252 ("Ã©" for "é", "â€™" for an apostrophe), or a lost character.
_BROKEN = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€|Â[\u00a0-\u00bf]")


@dataclass(frozen=True)
class ClassCounts:
    """The source of a part, its number of texts, and the number of texts of each training class."""

    source: str
    texts: int
    classes: dict[str, int]


@dataclass(frozen=True)
class TextIssue:
    """A kind of quality issue, the number of affected texts of each part, and examples that show the issue."""

    kind: str
    texts: dict[str, int]
    examples: tuple[Example, ...]


def count_classes(corpus: Corpus) -> dict[str, ClassCounts]:
    """Return the class counts of each part, training first."""
    result = {}
    for part, dataset in corpus.parts.items():
        counts = Counter(dataset.labels)
        classes = {name: counts[name] for name in corpus.classes}
        result[part] = ClassCounts(dataset.source, len(dataset), classes)
    return result


def find_text_issues(corpus: Corpus, lengths: IndexArray, max_examples: int) -> tuple[TextIssue, ...]:
    """Return the issues that occur.

    Args:
        corpus: The corpus.
        lengths: The number of tokens of each text: [n].
        max_examples: The maximum number of examples per kind.
    """
    positions: dict[str, dict[int, int]] = {
        VERY_SHORT: dict.fromkeys(map(int, np.flatnonzero(lengths < MIN_TOKENS)), 0),
        FEW_LETTERS: {index: 0 for index, text in enumerate(corpus.texts) if _has_few_letters(text)},
        HTML: _first_matches(_MARKUP, corpus.texts),
        BROKEN_CHARACTERS: _first_matches(_BROKEN, corpus.texts),
    }
    return tuple(_text_issue(corpus, kind, texts, max_examples) for kind, texts in positions.items() if texts)


def _text_issue(corpus: Corpus, kind: str, positions: dict[int, int], max_examples: int) -> TextIssue:
    """Return the issue of the texts in `positions`: index of the text -> position of the issue."""
    mask = np.zeros(len(corpus), bool)
    mask[list(positions)] = True
    shown = itertools.islice(positions.items(), max_examples)
    examples = tuple(corpus.example(index, position) for index, position in shown)
    return TextIssue(kind, corpus.count_by_part(mask), examples)


def _first_matches(pattern: re.Pattern[str], texts: list[str]) -> dict[int, int]:
    """Return the position of the first match in each text that matches, by index of the text."""
    matches = ((index, pattern.search(text)) for index, text in enumerate(texts))
    return {index: match.start() for index, match in matches if match is not None}


def _has_few_letters(text: str) -> bool:
    letters = sum(map(len, _LETTERS.findall(text)))
    if letters >= len(text) * MIN_LETTER_FRACTION:  # fast path, with white space: true for nearly all texts
        return False
    return letters < len(_SPACE.sub("", text)) * MIN_LETTER_FRACTION
