"""How many texts each class has in each part."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.checks.corpus import Corpus, Example

SHORT_TEXT = 3
"""A text of fewer tokens is very short."""
MIN_LETTER_FRACTION = 1 / 3
"""A text with a smaller share of letters among what is not white space is hardly words."""

_LETTERS = re.compile(r"[^\W\d_]+")
_SPACE = re.compile(r"\s+")
# Line breaks are not told: `clean` takes them out.
_MARKUP = re.compile(
    r"</?(?!br\s*/?>)[a-z][a-z0-9]*(?:\s[^<>]*)?/?>|&(?:[a-z]{2,8}|#\d{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE
)
# UTF-8 read as Windows-1252: "Ã©" for "é", "â€™" for an apostrophe; or a character that was lost for good.
_BROKEN = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€|Â[\u00a0-\u00bf]")


@dataclass(frozen=True)
class TextIssue:
    """A kind of fault, how many texts of each part have it, and the first of them, from where it is to be seen."""

    kind: str
    texts: dict[str, int]
    examples: tuple[Example, ...]


def find_text_issues(pool: Corpus, lengths: npt.NDArray[np.int64], most: int) -> tuple[TextIssue, ...]:
    """The kinds that occur. `lengths` [n] are the texts' tokens; `most` limits each kind's examples."""
    found: dict[str, dict[int, int]] = {
        "very short": dict.fromkeys(map(int, np.flatnonzero(lengths < SHORT_TEXT)), 0),
        "hardly any letters": {index: 0 for index, text in enumerate(pool.texts) if _hardly_letters(text)},
        "HTML": _matches(_MARKUP, pool.texts),
        "broken characters": _matches(_BROKEN, pool.texts),
    }
    return tuple(_blemish(pool, kind, places, most) for kind, places in found.items() if places)


def _blemish(pool: Corpus, kind: str, places: dict[int, int], most: int) -> TextIssue:
    chosen = np.zeros(len(pool), bool)
    chosen[list(places)] = True
    some = itertools.islice(places.items(), most)
    return TextIssue(kind, pool.counted(chosen), tuple(pool.example(index, at) for index, at in some))


def _matches(pattern: re.Pattern[str], texts: list[str]) -> dict[int, int]:
    """Index -> where the pattern first matches, of the texts in which it does."""
    found = ((index, pattern.search(text)) for index, text in enumerate(texts))
    return {index: match.start() for index, match in found if match is not None}


def _hardly_letters(text: str) -> bool:
    letters = sum(map(len, _LETTERS.findall(text)))
    if letters >= len(text) * MIN_LETTER_FRACTION:  # with white space counted in: so it is of nearly every text
        return False
    return letters < len(_SPACE.sub("", text)) * MIN_LETTER_FRACTION


@dataclass(frozen=True)
class ClassCounts:
    """A part of the data: where it comes from, its texts, and how many of them each class of training has."""

    source: str
    texts: int
    classes: dict[str, int]


def count_classes(pool: Corpus) -> dict[str, ClassCounts]:
    """Part by part, training first."""
    return {
        name: ClassCounts(records.source, len(records), _counted(records.labels, pool.classes))
        for name, records in pool.parts.items()
    }


def _counted(labels: list[str], classes: list[str]) -> dict[str, int]:
    counts = Counter(labels)
    return {name: counts[name] for name in classes}
