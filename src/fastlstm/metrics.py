"""Classification metrics: accuracy, loss, F1, calibration error and the confusion matrix."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import DoubleArray, IndexArray
from fastlstm.notes import Note, known_words_note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CALIBRATION_BINS = 15
DEFAULT_THRESHOLD = 0.5
"""Decision threshold of two classes if none was fitted."""
MIN_PROBABILITY = 1e-7
"""Log loss replaces smaller probabilities by this one, so that one confident mistake does not make it infinite."""
MIN_TEXTS_WITHOUT_INTERVAL = 1000
"""An accuracy on fewer texts is shown with its 95% interval, which is at least about 2 points wide there."""
FEW_TEXTS = 100
"""An accuracy on fewer texts is reported as uncertain."""
MAX_CLASSES_SHOWN = 5
MIN_IMBALANCE = 1.5
"""Frequency of the largest class, as a multiple of that in equal classes, from which class weights are suggested."""
NORMAL_QUANTILE = 1.959964
"""Quantile of the normal distribution for 95% intervals."""


@dataclass(frozen=True)
class ClassReport:
    """Metrics of one class.

    Attributes:
        label: Name of the class.
        precision: Fraction of the texts predicted as this class that belong to it; 0 if there are none.
        recall: Fraction of the texts of this class that are predicted as it; 0 if there are none.
        f1: Harmonic mean of precision and recall.
        texts: Number of texts of this class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    texts: int


@dataclass(frozen=True)
class CalibrationBin:
    """Texts whose predictions have similar confidence.

    Attributes:
        confidence: Mean probability of the predicted class.
        accuracy: Fraction of correct predictions.
        texts: Number of texts.
    """

    confidence: float
    accuracy: float
    texts: int


@dataclass(frozen=True)
class Report:
    """Metrics of predictions on labelled texts.

    Attributes:
        texts: Number of texts.
        accuracy: Fraction of correct predictions.
        loss: Mean negative log probability of the true class, in nats.
        macro_f1: Mean F1 of the classes that the texts have or that are predicted.
        calibration_error: Expected calibration error of the predicted class over 15 bins of equal width (Naeini et
            al. 2015), between 0 and 1.
        classes: Metrics of each class, in the order of the labels.
        confusion: Number of texts by true class (row) and predicted class (column).
        calibration: The bins that contain texts, by rising confidence.
        known: Mean fraction of the tokens of a text that the model knows; None if not measured.
        unknown_texts: Number of texts without any known token; None if not measured.
        reading: Notes about how the texts were read, such as skipped rows.
    """

    texts: int
    accuracy: float
    loss: float
    macro_f1: float
    calibration_error: float
    classes: tuple[ClassReport, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: tuple[CalibrationBin, ...]
    known: float | None = None
    unknown_texts: int | None = None
    reading: tuple[Note, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.texts:,} texts: accuracy {format_accuracy(self.accuracy, self.texts)}, loss {self.loss:.4f}, "
            f"macro F1 {self.macro_f1:.4f}, calibration error {self.calibration_error:.2%}"
        )

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """The 95% interval of the accuracy, see `wilson_interval`."""
        return wilson_interval(self.accuracy, self.texts)

    @property
    def majority(self) -> ClassReport:
        """The class with the most texts, the first of equals."""
        return max(self.classes, key=lambda c: c.texts)

    @property
    def majority_accuracy(self) -> float:
        """The accuracy of always answering the most frequent class."""
        return self.majority.texts / self.texts

    def notes(self, baseline: Report | None = None, *, balanced: bool = False) -> tuple[Note, ...]:
        """Return what the figures alone do not say.

        These are: how the texts were read, few texts, unknown words, classes without texts, and a model that is no
        better than trivial ones.

        Args:
            baseline: The n-gram baseline on the same texts.
            balanced: Whether the model was trained with balanced class weights, so that they are not suggested.
        """
        unknown = None if self.known is None else known_words_note(self.known, "the model", "these texts")
        notes = [
            _few_texts_note(self),
            unknown,
            _unknown_texts_note(self),
            _missing_classes_note(self),
            _majority_note(self, balanced),
            _baseline_note(self, baseline),
        ]
        return (*self.reading, *(note for note in notes if note is not None))

    def to_json(self) -> dict[str, Any]:
        """Return all fields but `reading`, with `accuracy_interval` and `majority_accuracy`, as a JSON object."""
        fields = dataclasses.asdict(self)
        del fields["reading"]
        return {
            **fields,
            "accuracy_interval": list(self.accuracy_interval),
            "majority_accuracy": self.majority_accuracy,
        }

    def plot(self) -> Figure:
        """Draw the confusion matrix and the reliability diagram as a matplotlib figure.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from fastlstm import plots  # here and not above: predictions draw nothing

        return plots.report(
            labels=[c.label for c in self.classes],
            confusion=np.array(self.confusion),
            confidence=[b.confidence for b in self.calibration],
            accuracy=[b.accuracy for b in self.calibration],
            texts=[b.texts for b in self.calibration],
            calibration_error=self.calibration_error,
        )


def wilson_interval(accuracy: float, texts: int) -> tuple[float, float]:
    """Return the 95% interval of an accuracy (0..1) measured on `texts`, at least one (Wilson 1927)."""
    square = NORMAL_QUANTILE**2 / texts
    center = (accuracy + square / 2) / (1 + square)
    half = NORMAL_QUANTILE * math.sqrt(accuracy * (1 - accuracy) / texts + square / texts / 4) / (1 + square)
    return max(center - half, 0.0), min(center + half, 1.0)


def format_accuracy(accuracy: float, texts: int) -> str:
    """Return an accuracy in percent, with its 95% interval on fewer than `MIN_TEXTS_WITHOUT_INTERVAL` texts."""
    if texts >= MIN_TEXTS_WITHOUT_INTERVAL:
        return f"{accuracy:.2%}"
    low, high = wilson_interval(accuracy, texts)
    return f"{accuracy:.2%} (95% interval {100 * low:.1f} to {high:.1%})"


def _few_texts_note(report: Report) -> Note | None:
    if report.texts >= FEW_TEXTS:
        return None
    low, high = report.accuracy_interval
    texts = "1 text" if report.texts == 1 else f"{report.texts} texts"
    return Note(
        f"measured on {texts} only: the accuracy may be anything from {low:.1%} to {high:.1%} (95% interval); "
        "evaluate on more texts",
        "few-evaluation-texts",
    )


def _unknown_texts_note(report: Report) -> Note | None:
    if not report.unknown_texts:
        return None
    return Note(
        f"{report.unknown_texts:,} of {report.texts:,} texts contain no known word; they count with the label of their "
        "most probable class, although predictions of such texts have no label",
        "unknown-texts",
    )


def _missing_classes_note(report: Report) -> Note | None:
    """Return a note about classes without texts; none if all texts belong to one class."""
    missing = [repr(c.label) for c in report.classes if not c.texts]
    if not missing or report.majority.texts == report.texts:
        return None
    shown = ", ".join(missing[:MAX_CLASSES_SHOWN]) + (", ..." if len(missing) > MAX_CLASSES_SHOWN else "")
    return Note(
        f"no evaluated text has the label {shown}: the figures say nothing about "
        f"{'this class' if len(missing) == 1 else 'these classes'}",
        "classes-not-evaluated",
    )


def _majority_note(report: Report, balanced: bool) -> Note | None:
    """Return a note if the model is no better than always answering the most frequent class."""
    majority, accuracy = report.majority, report.majority_accuracy
    always = f"always answering {majority.label!r} ({accuracy:.2%})"
    predicted = np.array(report.confusion).sum(axis=0)
    remedy = "train on more texts like these"
    if accuracy * len(report.classes) > MIN_IMBALANCE:
        remedy = "train on more texts of the other classes"
        if not balanced:
            remedy += ", or with balanced class weights (`class_weights='balanced'`)"
    if majority.texts == report.texts:
        return Note(
            f"all texts belong to the class {majority.label!r}: the figures say nothing about the other classes",
            "one-class-evaluated",
        )
    if predicted.max() == report.texts:
        label = report.classes[int(predicted.argmax())].label
        verdict = "no better than" if report.accuracy >= accuracy else "worse than"
        return Note(
            f"predicts {label!r} for every text, {verdict} {always}; {remedy}",
            "one-class-predicted",
        )
    is_uncertain = report.texts >= FEW_TEXTS and report.accuracy_interval[0] <= accuracy
    if report.accuracy <= accuracy or is_uncertain:
        verdict = "no better than" if report.accuracy <= accuracy else "not clearly better than"
        majority_f1 = 2 * accuracy / (1 + accuracy) / sum(c.texts > 0 for c in report.classes)
        return Note(
            f"accuracy {report.accuracy:.2%} is {verdict} {always}; macro F1 is {report.macro_f1:.4f}, against "
            f"{majority_f1:.4f}; {remedy}",
            "below-majority",
        )
    return None


def _baseline_note(report: Report, baseline: Report | None) -> Note | None:
    if baseline is None or report.accuracy > baseline.accuracy:
        return None
    verdict = "equals that of" if report.accuracy == baseline.accuracy else "is below that of"
    return Note(
        f"accuracy {report.accuracy:.2%} {verdict} the n-gram baseline ({baseline.accuracy:.2%}), which is the simpler "
        "choice for these texts",
        "below-baseline",
    )


def predicted_classes(probabilities: npt.NDArray[np.floating], threshold: float = DEFAULT_THRESHOLD) -> IndexArray:
    """Return the index of the predicted class of each text [n], from probabilities [n, classes].

    With two classes, the second is predicted if its probability is at least `threshold`, rounded to the type of the
    probabilities. With more, the most probable class is predicted, the first one if several are equal.
    """
    if probabilities.shape[1] == 2:
        is_second: npt.NDArray[np.bool_] = probabilities[:, 1] >= probabilities.dtype.type(threshold)
        return is_second.astype(np.int64)
    most_probable: IndexArray = probabilities.argmax(axis=1)
    return most_probable


def evaluate(
    probabilities: npt.NDArray[np.floating],
    truth: npt.NDArray[np.integer],
    labels: tuple[str, ...],
    threshold: float = DEFAULT_THRESHOLD,
) -> Report:
    """Compute the metrics of predictions.

    Args:
        probabilities: [n, classes], n at least 1; each row sums to 1.
        truth: [n], index of the true class of each text.
        labels: Class names in the order of the columns.
        threshold: Decision threshold of two classes, as in `predicted_classes`.
    """
    predicted = predicted_classes(probabilities, threshold)
    rows, double = np.arange(len(truth)), probabilities.astype(np.float64)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    classes = tuple(_class_report(confusion, k, label) for k, label in enumerate(labels))
    bins = _calibration_bins(double[rows, predicted], predicted == truth)
    true_class_probability = np.clip(double[rows, truth], MIN_PROBABILITY, 1)
    return Report(
        texts=len(truth),
        accuracy=float((predicted == truth).mean()),
        loss=float(-np.log(true_class_probability).mean()),
        macro_f1=float(np.mean([c.f1 for k, c in enumerate(classes) if c.texts or confusion[:, k].any()])),
        calibration_error=sum(b.texts * abs(b.confidence - b.accuracy) for b in bins) / len(truth),
        classes=classes,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        calibration=bins,
    )


def _class_report(confusion: IndexArray, k: int, label: str) -> ClassReport:
    correct, predicted, true = int(confusion[k, k]), int(confusion[:, k].sum()), int(confusion[k].sum())
    return ClassReport(
        label=label,
        precision=correct / predicted if predicted else 0.0,
        recall=correct / true if true else 0.0,
        f1=2 * correct / (predicted + true) if predicted + true else 0.0,
        texts=true,
    )


def _calibration_bins(confidence: DoubleArray, correct: npt.NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    """Group predictions into bins of equal width, from their confidence [n] and whether they are correct [n]."""
    bin_index = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    masks = (bin_index == b for b in np.unique(bin_index))
    return tuple(
        CalibrationBin(float(confidence[mask].mean()), float(correct[mask].mean()), int(mask.sum()))
        for mask in masks
    )
