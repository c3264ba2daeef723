"""The training texts of the English sentiment model, each with the probability that it is positive.

    IMDB/{train,unsupervised}.parquet    reviews (Maas et al. 2011)
    SST2/{train,dev}.parquet             phrases of film reviews (Socher et al. 2013)
    EMOTIONS/train.parquet               Reddit comments with emotions (Demszky et al. 2020), columns text, labels
    RATED/*_GroundTruth.txt              sentences rated by 20 people each (Hutto & Gilbert 2014); they are in the
                                         source distribution of vaderSentiment 3.3.1 on PyPI, in
                                         additional_resources/hutto_ICWSM_2014.tar.gz

A hash of the text holds out a tenth of the reviews, and parts of SST-2's whole sentences, with all their phrases, and
of the sentences about products: one part of each selects settings, another one is measured at the end.
"""

from __future__ import annotations

import csv
import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import english_sentences
import english_subjects
from fastlstm.data.datasets import load_imdb
from fastlstm.data.datasets.imdb import load_imdb_unlabelled
from scored import Scored, join
from sst2 import Phrases

HELD_OUT_REVIEWS, PRODUCT_PARTS = 10, 5
"""One of this many reviews is held out; of the sentences about products, one part is validated and one measured."""
NEUTRAL_COMMENTS = 6_000
"""Comments without emotion: their probability is one half."""
GENERATED = 60_000
CERTAINTY = 0.97
"""Probability of the label of a generated sentence."""
RATING_SLOPE = 1.6
"""Logit per unit of the mean rating of a sentence, from -4 to 4."""
CLEAR_RATING = 0.5
"""Sentences with a mean rating closer to 0 have no label when the model is measured."""
PRODUCTS, OTHER_SOURCES = "amazonReviewSnippets", ("tweets", "nytEditorialSnippets")
MIN_WORDS, MAX_WORDS = 2, 40
"""Length of the sentences that are cut from reviews."""

POSITIVE_EMOTIONS = frozenset(
    ("admiration", "amusement", "approval", "caring", "excitement", "gratitude", "joy", "love", "optimism", "pride",
     "relief")
)  # fmt: skip
NEGATIVE_EMOTIONS = frozenset(
    ("anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment", "fear", "grief",
     "nervousness", "remorse", "sadness")
)  # fmt: skip
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|(?:<br\s*/?>)+|\n+")
_NEGATION_OR_CONTRAST = re.compile(
    r"\b(?:not|no|never|nothing|nobody|none|hardly|without|cannot|neither|nor|but|although|though|however|despite|yet)\b"
    r"|n't\b",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"\b(?:film|movie|show|series|flick|picture|documentary|comedy)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Reviews:
    """Labelled reviews to train on, those held out, and reviews without labels."""

    training: Scored
    held_out: Scored
    unlabelled: list[str]


def load_reviews(folder: Path) -> Reviews:
    """Read IMDb's reviews without the test split. Repeated ones are kept once."""
    dataset = load_imdb(folder).train
    labels = dict(zip(dataset.texts, dataset.labels, strict=True))
    scored = Scored(list(labels), np.array([label == "positive" for label in labels.values()], np.float64))
    held_out = [zlib.crc32(text.encode()) % HELD_OUT_REVIEWS == 0 for text in scored.texts]
    unlabelled = [text for text in dict.fromkeys(load_imdb_unlabelled(folder).texts) if text not in labels]
    return Reviews(scored.where(not held for held in held_out), scored.where(held_out), unlabelled)


def scored_phrases(phrases: Phrases) -> Scored:
    """Return phrases with the probability 0 or 1."""
    return Scored(phrases.texts, np.array([label == "positive" for label in phrases.labels], np.float64))


def emotions(folder: Path) -> Scored:
    """Return comments whose emotions are all positive or all negative, and some without emotion."""
    table = pq.read_table(folder / "train.parquet", columns=["text", "labels"])
    texts: list[str] = []
    positive: list[float] = []
    neutral: list[str] = []
    for text, labels in zip(table["text"].to_pylist(), table["labels"].to_pylist(), strict=True):
        names = set(labels)
        if names == {"neutral"}:
            neutral.append(text)
        elif names <= POSITIVE_EMOTIONS or names <= NEGATIVE_EMOTIONS:
            texts.append(text)
            positive.append(float(names <= POSITIVE_EMOTIONS))
    chosen = random.Random(0).sample(neutral, min(NEUTRAL_COMMENTS, len(neutral)))
    return Scored([*texts, *chosen], np.array([*positive, *[0.5] * len(chosen)]))


@dataclass(frozen=True)
class Rated:
    """Rated sentences to train on, and sentences about products: those that select settings, and those measured."""

    training: Scored
    validation: Scored
    measured: Scored


def rated(folder: Path) -> Rated:
    """Read rated sentences. Sentences without a clear rating are neither validated nor measured."""
    products = _ratings(folder / f"{PRODUCTS}_GroundTruth.txt")
    part = np.array([zlib.crc32(text.encode()) % PRODUCT_PARTS for text in products.texts])
    others = [_ratings(folder / f"{name}_GroundTruth.txt") for name in OTHER_SOURCES]
    is_clear = np.abs(products.positive - 0.5) > 1 / (1 + np.exp(-RATING_SLOPE * CLEAR_RATING)) - 0.5
    return Rated(
        join(products.where(part > 1), *others),
        products.where((part == 1) & is_clear),
        products.where((part == 0) & is_clear),
    )


def _ratings(path: Path) -> Scored:
    """Read lines of a number, a mean rating and a sentence."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if len(row) >= 3]
    ratings = np.array([float(row[1]) for row in rows])
    return Scored([row[2] for row in rows], 1 / (1 + np.exp(-RATING_SLOPE * ratings)))


def generated(count: int = GENERATED, seed: int = 0) -> Scored:
    """Return sentences with a known sentiment, see `english_sentences`."""
    sentences = english_sentences.generate(count, seed)
    labels = np.array([label for _, label in sentences])
    return Scored([text for text, _ in sentences], np.where(labels == 1, CERTAINTY, 1 - CERTAINTY))


def cut_sentences(reviews: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """Return random sentences of reviews, half of them with a negation or contrast; short ones are more likely."""
    with_negation: dict[str, None] = {}
    others: dict[str, None] = {}
    for review in reviews:
        for part in _SENTENCE_END.split(review):
            sentence = part.strip(" -*_\t")
            if MIN_WORDS <= len(sentence.split()) <= MAX_WORDS:
                (with_negation if _NEGATION_OR_CONTRAST.search(sentence) else others)[sentence] = None
    generator = np.random.default_rng(seed)
    pools = list(with_negation), list(others)
    return [sentence for pool in pools for sentence in _prefer_short(pool, count // 2, generator)]


def _prefer_short(sentences: list[str], count: int, generator: np.random.Generator) -> list[str]:
    weights = np.array([1 / (3 + len(sentence.split())) for sentence in sentences])
    chosen = generator.choice(len(sentences), min(count, len(sentences)), replace=False, p=weights / weights.sum())
    return [sentences[k] for k in chosen]


def about_other_subjects(sentences: Sequence[str], seed: int = 0) -> list[str]:
    """Return the sentences that name a film, about products and places instead."""
    things = [thing for subject in english_subjects.SUBJECTS[1:] for thing in subject.thing]
    chooser = random.Random(seed)
    return [_SUBJECT.sub(chooser.choice(things), text) for text in sentences if _SUBJECT.search(text)]
