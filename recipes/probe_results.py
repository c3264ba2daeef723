"""Results of a model on the probes: accuracy by kind, subject and length, calibration, and the worst errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastlstm._typing import DoubleArray
from fastlstm.metrics import Report, evaluate
from probes import CHINESE, ENGLISH, LABELS, NEGATIVE, POSITIVE, Probe

LENGTHS = {ENGLISH: (5, 10, 20), CHINESE: (8, 15, 30)}
"""The last lengths of the groups, in words of English and characters of Chinese."""
UNDECIDED = 0.35, 0.65
"""A probability between these is near one half."""


@dataclass(frozen=True)
class Neutral:
    """The answers to sentences without a label.

    Attributes:
        texts: Number of sentences.
        mean: Mean probability of "positive".
        undecided: Number of sentences whose probability is within `UNDECIDED`.
    """

    texts: int
    mean: float
    undecided: int


@dataclass(frozen=True)
class ProbeResults:
    """The answers of one model.

    Attributes:
        language: Language of the probes.
        probes: [n]
        positive: Probability of "positive" of each probe, [n]. From one half on, the answer is "positive".
    """

    language: str
    probes: tuple[Probe, ...]
    positive: DoubleArray

    @cached_property
    def labelled(self) -> list[int]:
        """The indices of the probes that have a label."""
        return [index for index, probe in enumerate(self.probes) if probe.label is not None]

    @property
    def total(self) -> Report:
        """The metrics of all labelled probes."""
        return self._report(self.labelled)

    @property
    def short(self) -> Report:
        """The metrics of the labelled probes within the last bound of the lengths."""
        last = self._bounds[-1]
        return self._report([index for index in self.labelled if self._length(index) <= last])

    @property
    def short_limit(self) -> str:
        """The length of the longest probe in `short`, with its unit."""
        return f"{self._bounds[-1]} {self.unit}"

    @property
    def unit(self) -> str:
        """The unit of lengths."""
        return "characters" if self.language == CHINESE else "words"

    def by_kind(self) -> dict[str, Report]:
        """Return the metrics of each kind that has labels."""
        return self._grouped(lambda index: self.probes[index].kind)

    def by_subject(self) -> dict[str, Report]:
        """Return the metrics of each subject."""
        return self._grouped(lambda index: self.probes[index].subject)

    def by_length(self) -> dict[str, Report]:
        """Return the metrics of each group of lengths, from short to long."""
        firsts = (1, *(bound + 1 for bound in self._bounds))
        names = [f"{first} to {last}" for first, last in zip(firsts, self._bounds, strict=False)]
        names.append(f"{firsts[-1]} or more")
        groups = self._grouped(lambda index: names[int(np.searchsorted(self._bounds, self._length(index)))])
        return {name: groups[name] for name in names if name in groups}

    def neutral(self) -> dict[str, Neutral]:
        """Return the answers to each kind without labels."""
        groups = defaultdict[str, list[float]](list)
        for probe, positive in zip(self.probes, self.positive.tolist(), strict=True):
            if probe.label is None:
                groups[probe.kind].append(positive)
        low, high = UNDECIDED
        return {
            kind: Neutral(len(group), float(np.mean(group)), sum(low <= positive <= high for positive in group))
            for kind, group in groups.items()
        }

    def worst_errors(self, count: int) -> list[tuple[Probe, float]]:
        """Return at most `count` wrong answers with the probability of the wrong label, by falling probability."""
        confidence = {
            index: float(self.positive[index] if self.probes[index].label == NEGATIVE else 1 - self.positive[index])
            for index in self.labelled
            if self.probes[index].label != LABELS[int(self.positive[index] >= 0.5)]
        }
        indices = sorted(confidence, key=confidence.__getitem__, reverse=True)[:count]
        return [(self.probes[index], confidence[index]) for index in indices]

    @property
    def _bounds(self) -> tuple[int, ...]:
        return LENGTHS[self.language]

    def _length(self, index: int) -> int:
        text = self.probes[index].text
        return len(text) if self.language == CHINESE else len(text.split())

    def _grouped(self, name_of: Callable[[int], str]) -> dict[str, Report]:
        groups = defaultdict[str, list[int]](list)
        for index in self.labelled:
            groups[name_of(index)].append(index)
        return {name: self._report(indices) for name, indices in groups.items()}

    def _report(self, indices: list[int]) -> Report:
        positive = self.positive[indices]
        truth = np.array([self.probes[index].label == POSITIVE for index in indices], np.int64)
        return evaluate(np.stack([1 - positive, positive], axis=1), truth, LABELS)
