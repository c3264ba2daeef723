"""Pretrained word vectors as the first embeddings of a classifier."""

from __future__ import annotations

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


def find_vectors(path: Path, tokenizer: Tokenizer) -> KnownVectors:
    """Read the vectors of the words in the vocabulary. Raise `DataError`, see `read_word_vectors`."""
    vocabulary = tokenizer.get_vocab()
    vectors = read_word_vectors(path, vocabulary)
    words = sorted(vectors, key=vocabulary.__getitem__)
    ids = np.array([vocabulary[word] for word in words], np.int32)
    return KnownVectors(ids, np.stack([vectors[word] for word in words]))
