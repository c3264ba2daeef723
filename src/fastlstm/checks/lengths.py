"""How long texts are, in tokens, and what a limit cuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.checks.corpus import Corpus
from fastlstm.config import ModelConfig

BINS = 40
DRAWN = 0.995
"""The share of texts that the histogram reaches to; the few longest would squeeze the rest."""


@dataclass(frozen=True)
class Percentiles:
    """Tokens of a text: the mean, the shortest, those at the 5th to 99th percentile, the longest."""

    mean: float
    shortest: int
    p5: int
    p25: int
    median: int
    p75: int
    p95: int
    p99: int
    longest: int


@dataclass(frozen=True)
class TruncationShare:
    """What a limit does: the share of the texts that it cuts, and the share of all tokens that are never read."""

    name: str
    max_tokens: int
    truncate: str
    texts: float
    tokens: float


@dataclass(frozen=True)
class Lengths:
    """Token counts by part, what limits cut of all texts, and a histogram: texts by equal bins from 0 to `to`."""

    parts: dict[str, Percentiles]
    cuts: tuple[TruncationShare, ...]
    histogram: tuple[int, ...]
    to: int


def measure_lengths(pool: Corpus, lengths: npt.NDArray[np.int64], limits: Mapping[str, ModelConfig]) -> Lengths:
    """Args: `lengths` [n], each text's tokens; `limits`: what to call a configuration -> the configuration."""
    to = max(int(np.quantile(lengths, DRAWN, method="inverted_cdf")), 1)
    return Lengths(
        parts={part: _percentiles(lengths[pool.within(part)]) for part in pool.parts},
        cuts=tuple(_cut(name, lengths, config) for name, config in limits.items()),
        histogram=tuple(int(count) for count in np.histogram(lengths, min(BINS, to), (0, to))[0]),
        to=to,
    )


def _percentiles(lengths: npt.NDArray[np.int64]) -> Percentiles:
    at = np.percentile(lengths, [0, 5, 25, 50, 75, 95, 99, 100], method="inverted_cdf")
    return Percentiles(float(lengths.mean()), *map(int, at))


def _cut(name: str, lengths: npt.NDArray[np.int64], config: ModelConfig) -> TruncationShare:
    lost = np.maximum(lengths - config.max_tokens, 0)
    share = float(lost.sum() / max(lengths.sum(), 1))
    return TruncationShare(name, config.max_tokens, config.truncate, float((lost > 0).mean()), share)
