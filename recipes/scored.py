"""Texts with the probability that each is positive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import DoubleArray
from fastlstm.data import Dataset
from probes import LABELS


@dataclass(frozen=True)
class Scored:
    """Texts, and the probability [n] that each is positive."""

    texts: list[str]
    positive: DoubleArray

    def dataset(self, source: str) -> Dataset:
        """Return the texts with the label that is more probable."""
        return Dataset(self.texts, [LABELS[int(positive > 0.5)] for positive in self.positive], source)

    def where(self, chosen: Iterable[bool]) -> Scored:
        """Return those that are chosen."""
        rows = np.flatnonzero(np.fromiter(chosen, np.bool_, len(self.texts)))
        return Scored([self.texts[row] for row in rows], self.positive[rows])


def join(*parts: Scored) -> Scored:
    """Return the texts of all parts."""
    return Scored(
        [text for part in parts for text in part.texts], np.concatenate([part.positive for part in parts])
    )
