"""Batches of token ids of similar lengths, padded to the longest: the fastest arrangement for transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def batches_by_length(lengths: Sequence[int], max_tokens: int, max_texts: int) -> list[IntArray]:
    """Return batches of text numbers, sorted by length.

    Args:
        lengths: Tokens of each text.
        max_tokens: Largest size of a padded batch, unless a single text is longer.
        max_texts: Largest number of texts in a batch.
    """
    result: list[list[int]] = [[]]
    for text in np.argsort(np.asarray(lengths), kind="stable"):
        batch = result[-1]
        if batch and (len(batch) == max_texts or (len(batch) + 1) * lengths[text] > max_tokens):
            batch = []
            result.append(batch)
        batch.append(int(text))
    return [np.array(batch) for batch in result if batch]


def pad(ids: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    """Return padded ids [texts, tokens] and a mask [texts, tokens] of ones and zeros."""
    lengths = np.array([len(text) for text in ids])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    padded = np.zeros(mask.shape, np.int64)
    padded[mask.astype(bool)] = np.concatenate([np.asarray(text) for text in ids])
    return padded, mask


def padded_batches(
    ids: Sequence[Sequence[int]], max_tokens: int, max_texts: int
) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Yield the text numbers, padded ids and mask of each batch."""
    for batch in batches_by_length([len(text) for text in ids], max_tokens, max_texts):
        yield batch, *pad([ids[text] for text in batch])
