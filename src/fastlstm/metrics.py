"""Probabilities and true labels -> Report."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastlstm import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CALIBRATION_BINS = 15
MIN_PROBABILITY = 1e-7
"""Log loss counts no probability as smaller: one sure mistake must not make it infinite."""


@dataclass(frozen=True)
class ClassReport:
    """How well one class is found: precision, recall and F1 in 0..1, and its number of texts."""

    label: str
    precision: float
    recall: float
    f1: float
    texts: int


@dataclass(frozen=True)
class CalibrationBin:
    """Texts of like confidence: their mean confidence, the share that was right, and their number."""

    confidence: float
    accuracy: float
    texts: int


@dataclass(frozen=True)
class Report:
    """How good predictions are.

    `loss` is the mean negative log probability of the truth (nats); `calibration_error` the expected
    calibration error of the predicted class over 15 equal bins (Naeini et al. 2015), its confidence the
    probability of that class; `confusion` counts texts, a row a true class, a column a predicted one.
    """

    texts: int
    accuracy: float
    loss: float
    macro_f1: float
    calibration_error: float
    classes: tuple[ClassReport, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: tuple[CalibrationBin, ...]

    def __str__(self) -> str:
        return (
            f"{self.texts:,} texts: accuracy {self.accuracy:.2%}, loss {self.loss:.4f}, "
            f"macro F1 {self.macro_f1:.4f}, calibration error {self.calibration_error:.2%}"
        )

    def to_json(self) -> dict[str, Any]:
        """The report as JSON takes it, `accuracy` at the top."""
        return dataclasses.asdict(self)

    def plot(self) -> Figure:
        """The confusion matrix and the reliability diagram side by side, as a matplotlib figure.

        Raises `MissingDependencyError` without matplotlib.
        """
        return plots.report(
            labels=[c.label for c in self.classes],
            confusion=np.array(self.confusion),
            confidence=[b.confidence for b in self.calibration],
            accuracy=[b.accuracy for b in self.calibration],
            texts=[b.texts for b in self.calibration],
            calibration_error=self.calibration_error,
        )


def predicted_classes(probabilities: npt.NDArray[np.floating], threshold: float = 0.5) -> npt.NDArray[np.int64]:
    """[n] the index of each predicted class, from probabilities [n, classes].

    Of two classes the second where its probability is at least `threshold`, taken in the type of the
    probabilities; of more the most likely one, the first of equals.
    """
    if probabilities.shape[1] == 2:
        second: npt.NDArray[np.bool_] = probabilities[:, 1] >= probabilities.dtype.type(threshold)
        return second.astype(np.int64)
    likeliest: npt.NDArray[np.int64] = probabilities.argmax(axis=1)
    return likeliest


def evaluate(
    probabilities: npt.NDArray[np.floating],
    truth: npt.NDArray[np.integer],
    labels: tuple[str, ...],
    threshold: float = 0.5,
) -> Report:
    """Compares predictions with the truth.

    Args:
        probabilities: [n, classes], rows sum to 1; n at least 1.
        truth: [n], the index of each true class.
        labels: the class names, in the order of the columns.
        threshold: of two classes, the probability of the second from which it is predicted.
    """
    predicted = predicted_classes(probabilities, threshold)
    double = probabilities.astype(np.float64)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    classes = tuple(_class_report(confusion, k, label) for k, label in enumerate(labels))
    bins = _calibration(double[np.arange(len(truth)), predicted], predicted == truth)
    of_truth = np.clip(double[np.arange(len(truth)), truth], MIN_PROBABILITY, 1)
    return Report(
        texts=len(truth),
        accuracy=float((predicted == truth).mean()),
        loss=float(-np.log(of_truth).mean()),
        macro_f1=float(np.mean([c.f1 for c in classes])),
        calibration_error=sum(b.texts * abs(b.confidence - b.accuracy) for b in bins) / len(truth),
        classes=classes,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        calibration=bins,
    )


def _class_report(confusion: npt.NDArray[np.int64], k: int, label: str) -> ClassReport:
    right, predicted, true = int(confusion[k, k]), int(confusion[:, k].sum()), int(confusion[k].sum())
    return ClassReport(
        label=label,
        precision=right / predicted if predicted else 0.0,
        recall=right / true if true else 0.0,
        f1=2 * right / (predicted + true) if predicted + true else 0.0,
        texts=true,
    )


def _calibration(confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    of_bin = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return tuple(
        CalibrationBin(
            float(confidence[of_bin == b].mean()), float(right[of_bin == b].mean()), int((of_bin == b).sum())
        )
        for b in np.unique(of_bin)
    )
