"""Learning when an answer is settled, from what a model says of texts on the way through them.

At each stage, an isotonic regression tells how likely an answer of so much probability is the whole text's answer.
Reading stops where that is at least some share, the same at every stage; the share is the lowest by which no more
texts than promised have another answer, the standard error of that number included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from fastlstm.early_exit import NEVER, Bar, EarlyExit

FloatArray = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
AGREEMENTS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
"""What is learned; more needs more texts than usual validation has."""
FEWEST = 20
"""Different probabilities at a stage, from which something is learned of it."""
SHARES = np.concatenate([np.arange(0.5, 0.9, 0.02), np.arange(0.9, 1.0, 0.0025)])
"""What may be asked of an answer at a stage: how likely it is to stay."""


@dataclass(frozen=True)
class _Curve:
    """How likely an answer is to stay, by its probability: both rising."""

    probabilities: FloatArray
    stays: npt.NDArray[np.float64]

    def reaches(self, share: float) -> float:
        """The lowest probability at which it is at least `share`; `NEVER` if it nowhere is."""
        at = int(np.searchsorted(self.stays, share))
        return float(self.probabilities[at]) if at < len(self.stays) else NEVER


@dataclass(frozen=True)
class Course:
    """What a model said of texts at each of its `stages`.

    `predicted` [n, stages] and its `probability` [n, stages], which is -1 where a text was over before; `whole`
    [n], the class of the whole text, and `lengths` [n].
    """

    stages: tuple[int, ...]
    predicted: Indices
    probability: FloatArray
    whole: Indices
    lengths: Indices

    def curve(self, stage: int) -> _Curve:
        """How likely answers are to stay, of the texts that go on after this stage."""
        going = self.lengths > self.stages[stage]
        probability = self.probability[going, stage]
        if len(np.unique(probability)) < FEWEST:
            return _Curve(np.empty(0, np.float32), np.empty(0))
        stays = self.predicted[going, stage] == self.whole[going]
        fitted = IsotonicRegression(out_of_bounds="clip").fit(probability, stays)
        grid = np.unique(probability)
        return _Curve(grid, fitted.predict(grid))

    def stopped(self, probabilities: Sequence[float]) -> tuple[float, float]:
        """The share of tokens saved, and that of texts whose answer is another, where reading stops by these."""
        going = self.lengths[:, None] > np.array(self.stages)
        stops = going & (self.probability >= np.array(probabilities, np.float32))
        first = stops.argmax(axis=1)
        stopped = stops.any(axis=1)
        rows = np.arange(len(first))
        read = np.where(stopped, np.array(self.stages)[first], self.lengths)
        answer = np.where(stopped, self.predicted[rows, first], self.whole)
        return 1 - float(read.sum()) / float(self.lengths.sum()), float((answer != self.whole).mean())


def learn_early_exit(course: Course) -> EarlyExit:
    """What can be saved, and how, from what a model said on the way through texts that it was not trained on."""
    curves = [course.curve(stage) for stage in range(len(course.stages))]
    tried = [tuple(curve.reaches(share) for curve in curves) for share in SHARES]
    came = [course.stopped(probabilities) for probabilities in tried]
    bars = []
    for agreement in AGREEMENTS:
        for probabilities, (saved, disagreement) in zip(tried, came, strict=True):
            error = np.sqrt(disagreement * (1 - disagreement) / len(course.whole))
            if disagreement + error <= 1 - agreement:
                bars.append(Bar(agreement, probabilities, saved, disagreement))
                break
        else:
            bars.append(Bar(agreement, (NEVER,) * len(course.stages), 0.0, 0.0))
    return EarlyExit(course.stages, tuple(bars), len(course.whole))
