"""Accuracy on IMDb's test split by length and by rating."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as parquet

from fastlstm.text.segmentation import WORD_PATTERN

LENGTHS = (0, 100, 200, 300, 500, 10**6)
"""The bounds of the groups of lengths, in tokens."""


def slices(
    texts: list[str], correct: npt.NDArray[np.bool_], ratings: npt.NDArray[np.int64]
) -> dict[str, list[dict[str, Any]]]:
    """Return accuracy and number of texts for each group of lengths and each rating (1 to 10 stars).

    Args:
        texts: [n]
        correct: [n] whether the prediction is correct.
        ratings: [n] stars.
    """
    words = re.compile(WORD_PATTERN)
    lengths = np.array([len(words.findall(text)) for text in texts])

    def summarize(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return {"texts": int(mask.sum()), "accuracy": float(correct[mask].mean())}

    by_length = [
        {"from": begin, "below": end, **summarize((lengths >= begin) & (lengths < end))}
        for begin, end in itertools.pairwise(LENGTHS)
    ]
    by_rating = [{"rating": int(stars), **summarize(ratings == stars)} for stars in np.unique(ratings)]
    return {"by_length": by_length, "by_rating": by_rating}


def ratings_of(data_dir: Path, texts: list[str]) -> npt.NDArray[np.int64]:
    """Return the stars of the test split's texts, [n]. Raises `KeyError` for a text that is not in the data."""
    table = parquet.read_table(data_dir / "test.parquet", columns=["text", "rating"]).to_pydict()
    stars = dict(zip(table["text"], table["rating"], strict=True))
    return np.array([stars[text] for text in texts], np.int64)
