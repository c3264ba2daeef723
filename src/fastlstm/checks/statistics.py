"""Statistics of texts: length in tokens, truncation, and vocabulary coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import BoolArray, IndexArray
from fastlstm.checks.corpus import Corpus, CorpusTokens
from fastlstm.config import ModelConfig
from fastlstm.text.tokenizer import PADDING_ID, UNKNOWN_ID, train_tokenizer

MAX_HISTOGRAM_BINS = 40
HISTOGRAM_QUANTILE = 0.995
"""The histogram ends at this quantile of lengths; otherwise a few very long texts would compress it."""
TARGET_COVERAGE = 0.98


@dataclass(frozen=True)
class LengthPercentiles:
    """Percentiles and mean of the number of tokens per text."""

    mean: float
    min: int
    p5: int
    p25: int
    median: int
    p75: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True)
class Truncation:
    """The effect of a token limit: the fraction of texts truncated and the fraction of all tokens dropped."""

    name: str
    max_tokens: int
    truncate: str
    texts: float
    tokens: float


@dataclass(frozen=True)
class Lengths:
    """Lengths in tokens.

    Attributes:
        parts: Part -> percentiles.
        truncation: The effect of token limits on all texts, the configured limit first.
        histogram: The number of texts in equal bins from 0 to `histogram_max` tokens.
        histogram_max: The end of the histogram.
    """

    parts: dict[str, LengthPercentiles]
    truncation: tuple[Truncation, ...]
    histogram: tuple[int, ...]
    histogram_max: int


@dataclass(frozen=True)
class MissingWord:
    """A word that is not in the vocabulary, and its number of occurrences in training and held-out texts."""

    word: str
    training: int
    held_out: int


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of the training texts.

    Attributes:
        requested_size: The configured maximum size, including the padding and unknown tokens.
        size: The actual size, smaller if the training texts have fewer words.
        training_words: The number of distinct words in the training texts.
        singletons: The number of words that occur once in the training texts.
        unknown: Part -> the fraction of tokens that are not in the vocabulary.
        unseen: Part -> the fraction of tokens that do not occur in the training texts.
        sufficient_size: The size that covers 98% of the training tokens.
        missing: The most frequent words that are not in the vocabulary.
    """

    requested_size: int
    size: int
    training_words: int
    singletons: int
    unknown: dict[str, float]
    unseen: dict[str, float]
    sufficient_size: int
    missing: tuple[MissingWord, ...]


def measure_lengths(corpus: Corpus, lengths: IndexArray, limits: Mapping[str, ModelConfig]) -> Lengths:
    """Compute length statistics.

    Args:
        corpus: The corpus.
        lengths: The number of tokens of each text: [n].
        limits: Name -> configuration with the limit `max_tokens`.
    """
    histogram_max = max(int(np.quantile(lengths, HISTOGRAM_QUANTILE, method="inverted_cdf")), 1)
    histogram = np.histogram(lengths, min(MAX_HISTOGRAM_BINS, histogram_max), (0, histogram_max))[0]
    return Lengths(
        parts={part: _percentiles(lengths[corpus.part_mask(part)]) for part in corpus.parts},
        truncation=tuple(_truncation(name, lengths, config) for name, config in limits.items()),
        histogram=tuple(int(count) for count in histogram),
        histogram_max=histogram_max,
    )


def measure_vocabulary(corpus: Corpus, tokens: CorpusTokens, vocabulary_size: int, max_examples: int) -> Vocabulary:
    """Build the vocabulary as training does and compute its coverage.

    Args:
        corpus: The corpus.
        tokens: Its tokens.
        vocabulary_size: The maximum size of the vocabulary.
        max_examples: The maximum number of `missing` words.
    """
    training = next(iter(corpus.parts))
    in_training = corpus.part_mask(training)
    training_counts, held_out_counts = tokens.word_counts(in_training), tokens.word_counts(~in_training)
    vocabulary = train_tokenizer(corpus.parts[training].texts, vocabulary_size).get_vocab()
    is_known = np.fromiter((word in vocabulary for word in tokens.words), bool, len(tokens.words))
    missing_counts = np.where(is_known, 0, training_counts + held_out_counts)
    most_frequent = [int(k) for k in np.argsort(-missing_counts, kind="stable")[:max_examples] if missing_counts[k]]
    return Vocabulary(
        requested_size=vocabulary_size,
        size=len(vocabulary),
        training_words=int((training_counts > 0).sum()),
        singletons=int((training_counts == 1).sum()),
        unknown={part: _token_fraction(~is_known, tokens, corpus, part) for part in corpus.parts},
        unseen={part: _token_fraction(training_counts == 0, tokens, corpus, part) for part in corpus.parts},
        sufficient_size=_sufficient_size(training_counts),
        missing=tuple(
            MissingWord(tokens.words[k], int(training_counts[k]), int(held_out_counts[k])) for k in most_frequent
        ),
    )


def _percentiles(lengths: IndexArray) -> LengthPercentiles:
    percentiles = np.percentile(lengths, [0, 5, 25, 50, 75, 95, 99, 100], method="inverted_cdf")
    return LengthPercentiles(float(lengths.mean()), *map(int, percentiles))


def _truncation(name: str, lengths: IndexArray, config: ModelConfig) -> Truncation:
    dropped = np.maximum(lengths - config.max_tokens, 0)
    fraction = float(dropped.sum() / max(lengths.sum(), 1))
    return Truncation(name, config.max_tokens, config.truncate, float((dropped > 0).mean()), fraction)


def _token_fraction(words: BoolArray, tokens: CorpusTokens, corpus: Corpus, part: str) -> float:
    """Return the fraction of the part's tokens that are one of the `words` [words]."""
    counts = tokens.word_counts(corpus.part_mask(part))
    return float(counts[words].sum() / max(counts.sum(), 1))


def _sufficient_size(counts: IndexArray) -> int:
    covered = np.cumsum(np.sort(counts)[::-1])
    return int(np.searchsorted(covered, TARGET_COVERAGE * covered[-1])) + 1 + len((PADDING_ID, UNKNOWN_ID))
