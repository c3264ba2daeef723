"""Perplexity: how well a language model predicts texts."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastlstm._typing import TokenIds
from fastlstm.text.batches import PackedBatch, batches_by_length, lengths_of, pack_batch
from fastlstm.text.tokenizer import BOUNDARY_ID, UNKNOWN_ID

MAX_LOSS = math.log(sys.float_info.max)
"""The largest loss (nats) whose exponential is finite."""


def perplexity_of(loss: float) -> float:
    """Return the perplexity of a mean loss in nats per token; at most the largest finite float."""
    return math.exp(min(loss, MAX_LOSS))


@dataclass(frozen=True)
class Perplexity:
    """The perplexity of texts under a language model.

    Perplexities are comparable only between models of the same vocabulary: for a token outside the vocabulary, a
    model predicts only that it is unknown.

    Attributes:
        texts: Number of texts.
        tokens: Number of predicted tokens, including one end per text.
        loss: Mean negative log likelihood per token, in nats, over the whole vocabulary.
        perplexity: exp(loss).
        vocabulary_size: Size of the vocabulary.
        unknown: Fraction of tokens outside the vocabulary.
    """

    texts: int
    tokens: int
    loss: float
    perplexity: float
    vocabulary_size: int
    unknown: float

    @classmethod
    def from_losses(cls, texts: Sequence[TokenIds], losses: Sequence[float], vocabulary_size: int) -> Perplexity:
        """Return the perplexity of texts from their summed loss in each direction of the model."""
        tokens = int(lengths_of(texts).sum()) + len(texts)
        loss = float(np.mean(losses)) / tokens
        return cls(
            texts=len(texts),
            tokens=tokens,
            loss=loss,
            perplexity=perplexity_of(loss),
            vocabulary_size=vocabulary_size,
            unknown=sum(int((ids == UNKNOWN_ID).sum()) for ids in texts) / tokens,
        )

    def __str__(self) -> str:
        texts = "1 text" if self.texts == 1 else f"{self.texts:,} texts"
        return (
            f"{texts}, {self.tokens:,} tokens: perplexity {self.perplexity:.1f} "
            f"({self.loss:.4f} nats per token), vocabulary {self.vocabulary_size:,}, unknown {self.unknown:.2%}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        return asdict(self)


def evaluation_batches(
    texts: Sequence[TokenIds], direction: str, batch_size: int
) -> Iterator[tuple[PackedBatch, TokenIds]]:
    """Yield batches of texts of similar length, each text between two boundaries: inputs, and targets [N].

    A target is the token after its input; with direction "backward", the token before it.
    """
    boundary = np.array([BOUNDARY_ID], np.int32)
    ordered = texts if direction == "forward" else [ids[::-1] for ids in texts]
    framed = [np.concatenate([boundary, ids, boundary]) for ids in ordered]
    for rows in batches_by_length(lengths_of(framed), batch_size):
        yield pack_batch([framed[i][:-1] for i in rows]), pack_batch([framed[i][1:] for i in rows]).ids
