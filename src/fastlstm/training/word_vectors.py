"""Pretrained word vectors as the first embeddings of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.data.readers.word_vectors import read_word_vectors


@dataclass(frozen=True)
class KnownVectors:
    """The vectors of the words that a file and a vocabulary have in common.

    Attributes:
        ids: Token ids int32 [n], increasing.
        values: Vectors float32 [n, size].
    """

    ids: TokenIds
    values: FloatArray

    def copy_to(self, embedding: nn.Module) -> None:
        """Replace the embeddings of these tokens; `weight` is [vocabulary, size]."""
        weight = embedding.weight
        assert isinstance(weight, torch.Tensor)
        with torch.no_grad():
            rows = torch.from_numpy(self.ids.astype(np.int64)).to(weight.device)
            weight[rows] = torch.from_numpy(self.values).to(weight)

    def words(self, tokenizer: Tokenizer) -> dict[str, FloatArray]:
        """Return the vector of each word."""
        word_of = {i: word for word, i in tokenizer.get_vocab().items()}
        return {word_of[i]: vector for i, vector in zip(self.ids.tolist(), self.values, strict=True)}


def find_vectors(vectors: Path | Mapping[str, FloatArray], tokenizer: Tokenizer) -> KnownVectors:
    """Return the vectors of the words in the vocabulary.

    Args:
        vectors: A file that has at least one of the words; or the vectors float32 [size] of one or more words.
        tokenizer: The tokenizer of words.

    Raises:
        DataError: See `read_word_vectors`.
    """
    vocabulary = tokenizer.get_vocab()
    if isinstance(vectors, Path):
        vectors = read_word_vectors(vectors, vocabulary)
    words = sorted(vectors.keys() & vocabulary.keys(), key=vocabulary.__getitem__)
    ids = np.array([vocabulary[word] for word in words], np.int32)
    size = len(next(iter(vectors.values())))
    return KnownVectors(ids, np.array([vectors[word] for word in words], np.float32).reshape(-1, size))
