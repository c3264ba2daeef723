"""Classification metrics, compared with scikit-learn and direct definitions."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import sklearn.metrics
from matplotlib.figure import Figure
from scipy.stats import binomtest

from fastlstm._typing import DoubleArray, IndexArray
from fastlstm.metrics import (
    CALIBRATION_BINS,
    FEW_TEXTS,
    MIN_PROBABILITY,
    MIN_TEXTS_WITHOUT_INTERVAL,
    Report,
    evaluate,
    format_accuracy,
    predicted_classes,
    wilson_interval,
)


def labels(classes: int) -> tuple[str, ...]:
    return tuple(f"class {k}" for k in range(classes))


def random_predictions(classes: int, texts: int = 997, seed: int = 0) -> tuple[DoubleArray, IndexArray]:
    """Return probabilities, mostly correct, and the true classes."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, texts)
    logits = generator.normal(size=(texts, classes)) * 2
    logits[np.arange(texts), truth] += 1
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_report_matches_scikit_learn(classes: int, seed: int) -> None:
    probabilities, truth = random_predictions(classes, seed=seed)
    report, predicted = evaluate(probabilities, truth, labels(classes)), probabilities.argmax(axis=1)
    assert report.texts == len(truth)
    assert report.accuracy == pytest.approx(sklearn.metrics.accuracy_score(truth, predicted), abs=1e-12)
    assert report.loss == pytest.approx(sklearn.metrics.log_loss(truth, probabilities), abs=1e-12)
    assert report.macro_f1 == pytest.approx(sklearn.metrics.f1_score(truth, predicted, average="macro"), abs=1e-12)
    assert np.array_equal(report.confusion, sklearn.metrics.confusion_matrix(truth, predicted))
    expected = np.transpose(sklearn.metrics.precision_recall_fscore_support(truth, predicted))
    actual = [(c.precision, c.recall, c.f1, c.texts) for c in report.classes]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)
    assert tuple(c.label for c in report.classes) == labels(classes)


@pytest.mark.parametrize("classes", [2, 7])
def test_calibration_error_matches_its_definition(classes: int) -> None:
    probabilities, truth = random_predictions(classes)
    report = evaluate(probabilities, truth, labels(classes))
    error, bins = 0.0, 0
    for b in range(CALIBRATION_BINS):
        low, high = b / CALIBRATION_BINS, (b + 1) / CALIBRATION_BINS
        members = [i for i, row in enumerate(probabilities) if low <= row.max() < high]
        if members:
            confidence = sum(probabilities[i].max() for i in members) / len(members)
            accuracy = sum(probabilities[i].argmax() == truth[i] for i in members) / len(members)
            error += len(members) / len(truth) * abs(confidence - accuracy)
            bins += 1
    assert report.calibration_error == pytest.approx(error, abs=1e-12)
    assert error > 0.01
    assert len(report.calibration) == bins
    assert sum(b.texts for b in report.calibration) == len(truth)


def test_confident_correct_predictions_are_perfect() -> None:
    truth = np.array([0, 1, 2, 1])
    report = evaluate(np.eye(3)[truth], truth, labels(3))
    assert (report.accuracy, report.macro_f1, report.loss, report.calibration_error) == (1, 1, 0, 0)
    assert [c.f1 for c in report.classes] == [1, 1, 1]


def test_confident_predictions_that_are_half_wrong_have_finite_loss() -> None:
    report = evaluate(np.eye(2)[[0, 0, 1, 1]], np.array([0, 1, 0, 1]), labels(2))
    assert report.accuracy == 0.5
    assert report.calibration_error == 0.5
    assert report.loss == pytest.approx(-np.log(MIN_PROBABILITY) / 2, rel=1e-12)


def test_calibration_error_is_zero_if_accuracy_equals_confidence() -> None:
    probabilities = np.tile([0.75, 0.25], (8, 1))
    assert evaluate(probabilities, np.array([0, 1, 0, 0, 0, 0, 0, 1]), labels(2)).calibration_error == 0
    overconfident = evaluate(probabilities, np.array([0, 1] * 4), labels(2))
    assert overconfident.calibration_error == pytest.approx(0.25, abs=1e-12)


def test_class_without_texts_has_zero_metrics() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]])
    report = evaluate(probabilities, np.array([0, 1, 1]), labels(3))
    absent = report.classes[2]
    assert (absent.precision, absent.recall, absent.f1, absent.texts) == (0, 0, 0, 0)
    assert report.confusion == ((1, 0, 0), (0, 1, 1), (0, 0, 0))
    assert report.macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3, abs=1e-12)


def test_class_that_is_never_predicted_has_zero_metrics() -> None:
    report = evaluate(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]), labels(2))
    missed = report.classes[1]
    assert (missed.precision, missed.recall, missed.f1, missed.texts) == (0, 0, 0, 1)


def test_float32_probabilities_give_the_same_report() -> None:
    probabilities, truth = random_predictions(7)
    single = probabilities.astype(np.float32)
    assert evaluate(single, truth, labels(7)) == evaluate(single.astype(np.float64), truth, labels(7))


def test_one_text_is_enough_for_a_report() -> None:
    report = evaluate(np.array([[0.25, 0.75]]), np.array([1]), labels(2))
    assert (report.texts, report.accuracy) == (1, 1)
    assert report.calibration_error == pytest.approx(0.25)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("threshold", "predicted"),
    [
        (0.0, [1, 1, 1, 1, 1]),
        (0.3, [0, 1, 1, 1, 1]),
        (0.4, [0, 0, 0, 1, 1]),
        (0.5, [0, 0, 0, 1, 1]),
        (1.0, [0, 0, 0, 0, 1]),
    ],
)
def test_second_of_two_classes_is_predicted_from_the_threshold(
    dtype: type[np.floating], threshold: float, predicted: list[int]
) -> None:
    second = np.array([0.0, 0.3, 0.30000007, 0.5, 1.0], dtype)
    probabilities = np.stack([1 - second, second], axis=1)
    assert predicted_classes(probabilities, threshold).tolist() == predicted


def test_default_threshold_is_a_half() -> None:
    probabilities = np.array([[0.5, 0.5], [0.50001, 0.49999]])
    assert predicted_classes(probabilities).tolist() == predicted_classes(probabilities, 0.5).tolist() == [1, 0]


def test_first_of_the_most_probable_classes_is_predicted() -> None:
    probabilities = np.array([[0.2, 0.4, 0.4], [0.5, 0.1, 0.4], [0.1, 0.2, 0.7]], np.float32)
    assert predicted_classes(probabilities).tolist() == [1, 0, 2]


def test_threshold_changes_predictions_and_confidence_but_not_the_loss() -> None:
    probabilities, truth = np.array([[0.7, 0.3], [0.9, 0.1]]), np.array([1, 0])
    default, lower = (evaluate(probabilities, truth, labels(2), threshold) for threshold in (0.5, 0.3))
    assert (default.accuracy, lower.accuracy) == (0.5, 1)
    assert default.loss == lower.loss
    assert lower.confusion == ((1, 0), (0, 1))
    assert [(b.confidence, b.accuracy, b.texts) for b in lower.calibration] == [(0.3, 1, 1), (0.9, 1, 1)]


@pytest.mark.parametrize("classes", [2, 7])
def test_report_round_trips_through_json(classes: int) -> None:
    report = evaluate(*random_predictions(classes), labels(classes))
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert values["accuracy"] == report.accuracy
    assert values["classes"][1]["label"] == "class 1"
    assert np.array_equal(values["confusion"], report.confusion)
    assert values["accuracy_interval"] == list(report.accuracy_interval)
    assert values["majority_accuracy"] == max(c.texts for c in report.classes) / report.texts
    fields = set(Report.__dataclass_fields__) - {"reading"}
    assert set(values) == {*fields, "accuracy_interval", "majority_accuracy"}


@pytest.mark.parametrize(("correct", "texts"), [(0, 1), (1, 1), (3, 20), (50, 100), (997, 1000), (20_000, 20_000)])
def test_accuracy_interval_is_that_of_scipy(correct: int, texts: int) -> None:
    low, high = wilson_interval(correct / texts, texts)
    expected = binomtest(correct, texts).proportion_ci(method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-7)
    assert high == pytest.approx(expected.high, abs=1e-7)


def test_accuracy_of_few_texts_has_its_interval_and_of_many_has_not() -> None:
    assert "20.7 to 100.0%" in format_accuracy(1.0, 1)
    assert format_accuracy(0.5, MIN_TEXTS_WITHOUT_INTERVAL) == "50.00%"
    assert "20.7 to 100.0%" in str(evaluate(np.array([[0.25, 0.75]]), np.array([1]), labels(2)))


def report_of(predicted: list[int], truth: list[int], repeat: int = 50, classes: int = 2) -> Report:
    """Return the report of confident predictions, each repeated."""
    return evaluate(np.eye(classes)[predicted * repeat], np.array(truth * repeat), labels(classes))


@pytest.mark.parametrize(
    ("predicted", "truth", "code"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 1], "one-class-predicted"),
        ([1, 1, 1, 1], [0, 0, 0, 1], "one-class-predicted"),
        ([0, 0, 1, 0], [0, 0, 0, 1], "below-majority"),
        ([1, 0, 0, 1], [0, 0, 0, 1], "below-majority"),
        ([0, 1, 0, 0], [0, 0, 0, 0], "one-class-evaluated"),
        ([0, 0, 0, 1], [0, 0, 0, 1], None),
        ([0, 0, 1, 1], [0, 0, 0, 1], "below-majority"),
        ([0, 0, 1, 1], [0, 1, 0, 1], "below-majority"),
        ([0, 0, 0, 1], [0, 1, 0, 1], None),
    ],
)
def test_figures_that_are_no_better_than_one_answer_have_a_note(
    predicted: list[int], truth: list[int], code: str | None
) -> None:
    notes = report_of(predicted, truth).notes()
    assert [note.code for note in notes] == ([] if code is None else [code])


def test_note_about_one_class_names_it_and_its_frequency() -> None:
    report = report_of([0] * 200, [0] * 199 + [1], repeat=1)
    (note,) = report.notes()
    assert "'class 0'" in note.text
    assert "(99.50%)" in note.text
    assert "`class_weights='balanced'`" in note.text
    assert (report.majority.label, report.majority_accuracy) == ("class 0", 0.995)
    (already_balanced,) = report.notes(balanced=True)
    (equal_classes,) = report_of([0, 0], [0, 1]).notes()
    for other in (already_balanced, equal_classes):
        assert other.code == "one-class-predicted"
        assert "class_weights" not in other.text


@pytest.mark.parametrize(("texts", "codes"), [(400, ["below-majority"]), (40_000, [])])
def test_accuracy_that_is_not_clearly_above_the_majority_has_a_note(texts: int, codes: list[str]) -> None:
    truth = np.arange(texts) % 200 == 0
    predicted = np.arange(texts) % 400 == 0
    report = evaluate(np.eye(2)[predicted.astype(int)], truth.astype(int), labels(2))
    assert report.accuracy == pytest.approx(0.9975)
    assert [note.code for note in report.notes()] == codes


def test_classes_without_texts_have_a_note_and_do_not_count_in_macro_f1() -> None:
    report = report_of([0, 1], [0, 1], classes=3)
    assert [note.code for note in report.notes()] == ["classes-not-evaluated"]
    assert "'class 2'" in report.notes()[0].text
    assert report.macro_f1 == 1.0
    assert report_of([0, 1, 2], [0, 1, 1], classes=3).macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_few_texts_have_a_note() -> None:
    assert [note.code for note in report_of([0, 1], [0, 1], repeat=1).notes()] == ["few-evaluation-texts"]
    assert report_of([0, 1], [0, 1], repeat=FEW_TEXTS // 2).notes() == ()


@pytest.mark.parametrize(("baseline", "codes"), [(0.7, []), (0.75, ["below-baseline"]), (0.9, ["below-baseline"])])
def test_model_that_does_not_beat_the_baseline_has_a_note(baseline: float, codes: list[str]) -> None:
    report = report_of([0, 0, 1, 0], [0, 0, 1, 1])
    other = dataclasses.replace(report, accuracy=baseline)
    assert [note.code for note in report.notes(other)] == codes


@pytest.mark.parametrize("classes", [2, 25])
def test_report_plot_has_two_axes(classes: int) -> None:
    figure = evaluate(*random_predictions(classes), labels(classes)).plot()
    assert isinstance(figure, Figure)
    assert [axes.get_title().split(" (")[0] for axes in figure.axes] == ["Confusion matrix", "Reliability"]
