"""Character n-grams inside words, as features of a linear model whose weights become weights of the words.

The feature of a character n-gram is the number of distinct words of a text that contain it. A linear model of such
features is a linear model of words: the weight of a word is its own weight plus those of its character n-grams. So
"disappointing" shares what is learned from "disappointed", and inference does not look at characters. The idea is that
of fastText's subwords (Bojanowski et al. 2017), for a model of words that are all known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from scipy.sparse import csr_matrix
from tokenizers import Tokenizer

from fastlstm._typing import IndexArray
from fastlstm.text.tokenizer import PADDING, UNKNOWN

CHARACTER_NGRAM_SIZES = range(3, 6)
"""Lengths of character n-grams, in characters; a word's boundaries count as one character each."""
MIN_WORD_CHARACTERS = 3
"""Shorter words have no character n-grams."""
FULL_SCALE_WORDS = 50_000
"""Number of words of all training texts, repeated ones of a text not counted, up to which the scale is 1."""


def vocabulary_words(tokenizer: Tokenizer) -> list[str]:
    """Return the word of each token id; empty for padding and unknown words."""
    vocabulary = tokenizer.get_vocab()
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    return ["" if word in (PADDING, UNKNOWN) else word for word in words]


def character_ngrams(word: str) -> set[str]:
    """Return the distinct character n-grams of a word with its boundaries, `<` and `>`."""
    if len(word) < MIN_WORD_CHARACTERS:
        return set()
    bounded = f"<{word}>"
    return set(_runs(bounded))


def _runs(characters: str) -> Iterator[str]:
    for size in CHARACTER_NGRAM_SIZES:
        for start in range(len(characters) - size + 1):
            yield characters[start : start + size]


def character_matrix(words: Mapping[int, str], frequency: IndexArray, min_frequency: int = 1) -> csr_matrix:
    """Return a float32 matrix [K, G] with 1 where a word contains a character n-gram.

    Args:
        words: The words by their row, from 0 to K - 1. Other rows are empty.
        frequency: [K] number of texts with each word.
        min_frequency: Character n-grams of words that together occur in fewer texts are left out.
    """
    columns: dict[str, int] = {}
    rows_of_words, columns_of_words = [], []
    for row in sorted(words):
        for ngram in sorted(character_ngrams(words[row])):
            rows_of_words.append(row)
            columns_of_words.append(columns.setdefault(ngram, len(columns)))
    shape = (len(frequency), len(columns))
    ones = np.ones(len(rows_of_words), np.float32)
    matrix = csr_matrix((ones, (rows_of_words, columns_of_words)), shape)
    totals = matrix.T @ frequency.astype(np.float64)
    return matrix[:, np.flatnonzero(totals >= min_frequency)]


def character_scale(word_count: int) -> float:
    """Return the scale of character n-grams next to words.

    `word_count` is the number of distinct words of each training text, summed over the texts.

    The more often words occur, the better their own weights are known, and the less they need those of other words.
    """
    return min(1.0, math.sqrt(FULL_SCALE_WORDS / max(word_count, 1)))
