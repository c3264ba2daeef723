"""The data sets of `benchmarks/defaults.py`: texts to train on, and a fixed part that is held out.

Each data set is a function from the folder of all data sets to labelled texts. The official test splits are not read.
Repeated texts are kept once, so that no held-out text is a training text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

MAX_HELD_OUT = 2_500
HELD_OUT_FRACTION = 0.3
"""Largest part of a data set that is held out."""
MIN_SENTENCE_WORDS = 5
"""Phrases of the treebank with fewer words are not held out as sentences."""

Text = tuple[str, str]
"""A text and its label."""


@dataclass(frozen=True)
class DataSet:
    """Labelled texts to draw training texts from, and others that are held out, both in a fixed random order."""

    pool: list[Text]
    held_out: list[Text]

    def sample(self, rows: int, seed: int, *, development: bool = False) -> tuple[list[Text], list[Text]]:
        """Return `rows` training texts, or all if there are fewer, and the texts to evaluate on.

        Args:
            rows: Number of training texts.
            seed: Of the sample.
            development: Evaluate on texts of the pool that are not drawn, to make choices without the held-out texts.
        """
        pool, evaluated = self.pool, self.held_out
        if development:
            count = min(MAX_HELD_OUT, int(len(pool) * HELD_OUT_FRACTION))
            pool, evaluated = pool[count:], pool[:count]
        drawn = random.Random(seed).sample(pool, min(rows, len(pool)))
        known = {label for _, label in drawn}
        return drawn, [text for text in evaluated if text[1] in known]


def _split(texts: Iterable[Text]) -> DataSet:
    shuffled = list(dict(texts).items())
    random.Random(0).shuffle(shuffled)
    count = min(MAX_HELD_OUT, int(len(shuffled) * HELD_OUT_FRACTION))
    return DataSet(shuffled[count:], shuffled[:count])


def _read(path: Path, *columns: str) -> list[tuple[Any, ...]]:
    table = pq.read_table(path, columns=list(columns))
    return list(zip(*(table[column].to_pylist() for column in columns), strict=True))


def chinese_sentiment(folder: Path, categories: Collection[str]) -> DataSet:
    """Return positive and negative reviews of some categories."""
    rows = _read(folder / "chinese_reviews" / "train.parquet", "text", "label", "category")
    return _split((text, label) for text, label, category in rows if category in categories)


def chinese_topics(folder: Path) -> DataSet:
    """Return Chinese reviews of ten categories, with the category as the label."""
    return _split(_read(folder / "chinese_reviews" / "train.parquet", "text", "category"))


def plain(folder: Path, name: str) -> DataSet:
    """Return a data set of texts and labels."""
    rows = _read(folder / name / "train.parquet", "text", "label")
    return _split((text, str(label)) for text, label in rows)


def treebank(folder: Path) -> DataSet:
    """Return phrases of film reviews to train on, and whole sentences none of whose phrases are among them."""
    label_of = {text.strip(): label for text, label in _read(folder / "sst2" / "train.parquet", "text", "label")}
    texts = list(label_of)
    random.Random(0).shuffle(texts)
    inside = {part for text in texts for part in _parts(text) if part in label_of}
    sentences = [text for text in texts if text not in inside and len(text.split()) >= MIN_SENTENCE_WORDS]
    held_out = sentences[: len(sentences) // 4]
    forbidden = {*held_out, *(part for text in held_out for part in _parts(text))}
    pool = [text for text in texts if text not in forbidden]
    return DataSet([(text, label_of[text]) for text in pool], [(text, label_of[text]) for text in held_out])


def _parts(text: str) -> Iterator[str]:
    """Yield the runs of words that are shorter than the text."""
    words = text.split()
    for size in range(1, len(words)):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])


def emotions(folder: Path, groups: Mapping[str, str] | None = None) -> DataSet:
    """Return comments with one emotion each; with `groups`, only those in it, with the group as the label."""
    rows = _read(folder / "go_emotions" / "train.parquet", "text", "labels")
    labelled = [(text, labels[0]) for text, labels in rows if len(labels) == 1]
    if groups is not None:
        labelled = [(text, groups[label]) for text, label in labelled if label in groups]
    return _split(labelled)


_POSITIVE = (
    "admiration",
    "amusement",
    "approval",
    "caring",
    "desire",
    "excitement",
    "gratitude",
    "joy",
    "love",
    "optimism",
    "pride",
    "relief",
)
_NEGATIVE = (
    "anger",
    "annoyance",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "fear",
    "grief",
    "nervousness",
    "remorse",
    "sadness",
)
_AMBIGUOUS = ("confusion", "curiosity", "realization", "surprise")
EMOTION_GROUPS = {
    **dict.fromkeys(_POSITIVE, "positive"),
    **dict.fromkeys(_NEGATIVE, "negative"),
    **dict.fromkeys(_AMBIGUOUS, "ambiguous"),
    "neutral": "neutral",
}
"""The groups of the authors (Demszky et al. 2020)."""
BASIC_EMOTIONS = {name: name for name in ("anger", "fear", "joy", "love", "sadness", "surprise")}

DATA_SETS: Mapping[str, Callable[[Path], DataSet]] = {
    "Chinese reviews": lambda folder: chinese_sentiment(folder, ("酒店", "书籍", "计算机")),
    "Chinese hotels": lambda folder: chinese_sentiment(folder, ("酒店",)),
    "Chinese phones": lambda folder: chinese_sentiment(folder, ("手机", "平板")),
    "Chinese topics": chinese_topics,
    "AG News": lambda folder: plain(folder, "ag_news"),
    "SST-2": treebank,
    "IMDb": lambda folder: plain(folder, "imdb"),
    "Thai": lambda folder: plain(folder, "wisesight_thai"),
    "28 emotions": emotions,
    "4 groups of emotions": lambda folder: emotions(folder, EMOTION_GROUPS),
    "6 emotions": lambda folder: emotions(folder, BASIC_EMOTIONS),
}
UNSPACED = ("Chinese reviews", "Chinese hotels", "Chinese phones", "Chinese topics", "Thai")
"""Data sets whose script has no spaces between words."""
