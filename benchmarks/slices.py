"""Accuracy on IMDb's test split by length and by rating: where a model fails, from one scoring's probabilities."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as parquet

from fastlstm.text.tokenizer import WORD_PATTERN

LENGTHS = (0, 100, 200, 300, 500, 10**6)
"""Tokens: where each group of lengths begins, and where the last ends."""


def slices(
    texts: list[str], right: npt.NDArray[np.bool_], ratings: npt.NDArray[np.int64]
) -> dict[str, list[dict[str, Any]]]:
    """Accuracy and number of texts, for texts of like length and for each rating (1 to 10 stars).

    Args:
        texts: [n]
        right: [n] whether the model had each one right.
        ratings: [n] stars.
    """
    words = re.compile(WORD_PATTERN)
    lengths = np.array([len(words.findall(text)) for text in texts])

    def figures(of: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return {"texts": int(of.sum()), "accuracy": float(right[of].mean())}

    by_length = [
        {"from": first, "below": last, **figures((lengths >= first) & (lengths < last))}
        for first, last in itertools.pairwise(LENGTHS)
    ]
    by_rating = [{"rating": int(stars), **figures(ratings == stars)} for stars in np.unique(ratings)]
    return {"by_length": by_length, "by_rating": by_rating}


def ratings_of(data_dir: Path, texts: list[str]) -> npt.NDArray[np.int64]:
    """[n] the stars of the test split's texts, in their order. Raises `KeyError` for a text that is not there."""
    table = parquet.read_table(data_dir / "test.parquet", columns=["text", "rating"]).to_pydict()
    stars = dict(zip(table["text"], table["rating"], strict=True))
    return np.array([stars[text] for text in texts], np.int64)
