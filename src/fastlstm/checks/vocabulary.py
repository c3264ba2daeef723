"""What a vocabulary of the training texts lacks: in these texts themselves, and in those held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.checks.corpus import Corpus, CorpusTokens
from fastlstm.text.tokenizer import PADDING_ID, UNKNOWN_ID, train_tokenizer

COVERED = 0.98


@dataclass(frozen=True)
class Frequent:
    """A word that the vocabulary lacks, and how often it stands in the training texts, and in the others."""

    word: str
    training: int
    held_out: int


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary that training with these options has, and what it lacks.

    asked, size: entries, padding and unknown included; `size` is smaller where training has fewer words.
    words: the different words of the training texts; `once`: of these, the ones that stand there only once.
    unknown: part -> the share of its tokens that the vocabulary lacks, which a model reads as "unknown".
    unseen: part -> the share of its tokens that stand nowhere in the training texts.
    enough: the size at which 98% of the training texts' tokens are known.
    missing: the most frequent words that the vocabulary lacks.
    """

    asked: int
    size: int
    words: int
    once: int
    unknown: dict[str, float]
    unseen: dict[str, float]
    enough: int
    missing: tuple[Frequent, ...]


def measure_vocabulary(pool: Corpus, words: CorpusTokens, vocabulary_size: int, most: int) -> Vocabulary:
    """Builds the vocabulary as training does; `most` limits the words named."""
    training = next(iter(pool.parts))
    inside = pool.within(training)
    counts, held_out = words.counts(inside), words.counts(~inside)
    vocabulary = train_tokenizer(pool.parts[training].texts, vocabulary_size).get_vocab()
    known = np.fromiter((name in vocabulary for name in words.names), bool, len(words.names))
    missing = np.where(known, 0, counts + held_out)
    frequent = [int(k) for k in np.argsort(-missing, kind="stable")[:most] if missing[k]]
    return Vocabulary(
        asked=vocabulary_size,
        size=len(vocabulary),
        words=int((counts > 0).sum()),
        once=int((counts == 1).sum()),
        unknown={part: _share(~known, words, pool, part) for part in pool.parts},
        unseen={part: _share(counts == 0, words, pool, part) for part in pool.parts},
        enough=_enough(counts),
        missing=tuple(Frequent(words.names[k], int(counts[k]), int(held_out[k])) for k in frequent),
    )


def _share(of: npt.NDArray[np.bool_], words: CorpusTokens, pool: Corpus, part: str) -> float:
    """The share of the part's tokens that are one `of` [names] some words."""
    counts = words.counts(pool.within(part))
    return float(counts[of].sum() / max(counts.sum(), 1))


def _enough(counts: npt.NDArray[np.int64]) -> int:
    covered = np.cumsum(np.sort(counts)[::-1])
    return int(np.searchsorted(covered, COVERED * covered[-1])) + 1 + len((PADDING_ID, UNKNOWN_ID))
