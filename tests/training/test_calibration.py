from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import check_grad

from fastlstm.inference.network import probabilities_of
from fastlstm.metrics import evaluate
from fastlstm.training import calibration
from fastlstm.training.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    MIN_TEXTS,
    Calibration,
    calibrate,
    fit_temperature,
    fit_vector,
    log_probabilities,
)

Single = npt.NDArray[np.float32]
Truth = npt.NDArray[np.int64]

ONE_LOGIT, SOFTMAX_2, SOFTMAX_5, SIGMOID_5 = (1, True), (2, False), (5, False), (5, True)
OUTPUTS = [ONE_LOGIT, SOFTMAX_2, SOFTMAX_5, SIGMOID_5]
MORE_CLASSES = [SOFTMAX_5, SIGMOID_5]


def drawn(texts: int, logits: int, sigmoid: bool, seed: int = 0) -> tuple[Single, Truth]:
    """Logits, and classes that are drawn with the probabilities that the logits give."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 2, (texts, logits)).astype(np.float32)
    likely = probabilities_of(values, sigmoid).cumsum(axis=1)
    truth = (likely < generator.random((texts, 1))).sum(axis=1)
    return values, np.minimum(truth, likely.shape[1] - 1).astype(np.int64)


def loss_of(logits: Single, truth: Truth, sigmoid: bool) -> float:
    probabilities = probabilities_of(logits, sigmoid)
    return evaluate(probabilities, truth, tuple("abcde"[: probabilities.shape[1]])).loss


@pytest.mark.parametrize(("logits", "sigmoid"), OUTPUTS)
def test_log_probabilities_are_those_that_inference_gives(logits: int, sigmoid: bool) -> None:
    values, _ = drawn(50, logits, sigmoid)
    came = np.exp(log_probabilities(values.astype(np.float64), sigmoid))
    np.testing.assert_allclose(came, probabilities_of(values, sigmoid), rtol=0, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
@pytest.mark.parametrize(("logits", "sigmoid"), OUTPUTS)
def test_a_known_temperature_is_found_again(logits: int, sigmoid: bool, temperature: float) -> None:
    values, truth = drawn(6000, logits, sigmoid)
    found = calibrate(values * np.float32(temperature), truth, sigmoid=sigmoid)
    assert found.method == "temperature"
    assert found.temperature == pytest.approx(temperature, rel=0.08)
    assert (found.texts, found.why_not, found.threshold) == (6000, "", 0.5)


@pytest.mark.parametrize(("logits", "sigmoid"), OUTPUTS)
def test_overconfident_logits_have_a_lower_loss_and_calibration_error_on_held_out_texts(
    logits: int, sigmoid: bool
) -> None:
    values, truth = drawn(1000, logits, sigmoid)
    others, their_truth = drawn(1000, logits, sigmoid, seed=1)
    found = calibrate(values * 4, truth, sigmoid=sigmoid)
    labels = tuple("abcde"[: max(logits, 2)])
    before, after = (
        evaluate(probabilities_of(of, sigmoid), their_truth, labels) for of in (others * 4, found.apply(others * 4))
    )
    assert after.loss < before.loss - 0.1
    assert after.calibration_error < before.calibration_error / 2


@pytest.mark.parametrize("temperature", [MIN_TEMPERATURE, 0.3, 1.7, MAX_TEMPERATURE])
@pytest.mark.parametrize(("logits", "sigmoid"), OUTPUTS)
def test_a_temperature_leaves_every_prediction_as_it_is(logits: int, sigmoid: bool, temperature: float) -> None:
    values, _ = drawn(500, logits, sigmoid)
    if sigmoid and logits > 1:
        values *= np.float32(min(temperature, 1))  # float32 knows no sigmoid between 1 - 6e-8 and 1
    before, after = (
        probabilities_of(of, sigmoid) for of in (values, Calibration("temperature", temperature).apply(values))
    )
    assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))


@pytest.mark.parametrize(("logits", "sigmoid"), MORE_CLASSES)
def test_vector_scaling_helps_where_classes_are_biased(logits: int, sigmoid: bool) -> None:
    bias, scale = np.array([2, -1, 0, 1, -2], np.float32), np.array([3, 1, 2, 1, 3], np.float32)
    values, truth = drawn(3000, logits, sigmoid)
    others, their_truth = drawn(3000, logits, sigmoid, seed=1)
    found = calibrate(values * scale + bias, truth, sigmoid=sigmoid)
    assert found.method == "vector scaling"
    assert found.temperature == 1.0
    plain = fit_temperature((values * scale + bias).astype(np.float64), truth, sigmoid)
    by_temperature = loss_of((others * scale + bias) / np.float32(plain), their_truth, sigmoid)
    by_vector = loss_of(found.apply(others * scale + bias), their_truth, sigmoid)
    assert by_vector < by_temperature - 0.05
    assert by_vector == pytest.approx(loss_of(others, their_truth, sigmoid), abs=0.02)


@pytest.mark.parametrize(("logits", "sigmoid"), MORE_CLASSES)
def test_vector_scaling_is_left_out_where_there_is_little_to_fit_it_to(logits: int, sigmoid: bool) -> None:
    values, truth = drawn(MIN_TEXTS, logits, sigmoid)
    assert calibrate(values * 2, truth, sigmoid=sigmoid).method == "temperature"
    many, their_truth = drawn(150, 16, sigmoid)
    many += np.arange(16, dtype=np.float32)
    assert calibrate(many, their_truth, sigmoid=sigmoid).method == "temperature"


@pytest.mark.parametrize(("logits", "sigmoid"), OUTPUTS)
def test_validation_without_a_mistake_gives_a_temperature_that_leaves_room_for_one(
    logits: int, sigmoid: bool
) -> None:
    classes = max(logits, 2)
    truth = np.arange(100) % classes
    sure = np.where(np.arange(classes) == truth[:, None], 3, -3).astype(np.float32)
    values = sure[:, 1:] if logits == 1 else sure
    for scale in (0.01, 1.0, 100.0):
        found = calibrate(values * np.float32(scale), truth, sigmoid=sigmoid)
        assert MIN_TEMPERATURE <= found.temperature <= MAX_TEMPERATURE
        confidence = probabilities_of(found.apply(values * np.float32(scale)), sigmoid).max(axis=1)
        if scale == 1.0:
            np.testing.assert_allclose(confidence, 1 - 1 / 102, rtol=0, atol=0.005)


def test_texts_that_are_all_wrong_or_all_alike_give_a_temperature_within_bounds() -> None:
    truth = np.arange(60) % 2
    wrong = np.where(truth == 1, -5, 5).astype(np.float32)[:, None]
    assert calibrate(wrong, truth, sigmoid=True).temperature == pytest.approx(MAX_TEMPERATURE, rel=1e-3)
    assert calibrate(np.zeros((60, 1), np.float32), truth, sigmoid=True).temperature == 1.0
    assert calibrate(np.zeros((60, 3), np.float32), np.arange(60) % 3, sigmoid=True).method == "temperature"
    one_class = calibrate(np.ones((60, 4), np.float32), np.zeros(60, np.int64), sigmoid=False)
    for values in ([one_class.temperature], one_class.scale, one_class.bias):
        assert np.isfinite(values).all()


@pytest.mark.parametrize("logits", [1, 5])
def test_huge_logits_are_calibrated(logits: int) -> None:
    values, truth = drawn(200, logits, True)
    for sigmoid in {True, logits == 1}:
        found = calibrate(values * np.float32(1e4), truth, sigmoid=sigmoid)
        assert np.isfinite(found.apply(values)).all()


def test_few_texts_leave_the_probabilities_as_they_are_and_say_so() -> None:
    values, truth = drawn(MIN_TEXTS - 1, 1, True)
    found = calibrate(values * 3, truth, sigmoid=True)
    assert (found.method, found.temperature) == ("none", 1.0)
    assert found.why_not == "49 validation texts are too few, 50 are needed"
    assert np.array_equal(found.apply(values), values)
    assert calibrate(*drawn(MIN_TEXTS, 1, True), sigmoid=True).method == "temperature"


def test_of_very_many_texts_a_share_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    values, truth = drawn(4000, 3, False)
    whole = calibrate(values * 2, truth, sigmoid=False)
    monkeypatch.setattr(calibration, "MAX_LOGITS", 3 * 1500)
    share = calibrate(values * 2, truth, sigmoid=False)
    assert share.texts == whole.texts == 4000
    assert share != whole
    assert share.temperature == pytest.approx(whole.temperature, rel=0.15)


@pytest.mark.parametrize(("logits", "sigmoid"), OUTPUTS)
def test_the_same_logits_give_the_same_calibration(logits: int, sigmoid: bool) -> None:
    values, truth = drawn(300, logits, sigmoid)
    bias = np.arange(logits, dtype=np.float32)
    first, again = (calibrate((values + bias).copy(), truth.copy(), sigmoid=sigmoid) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(("logits", "sigmoid"), MORE_CLASSES)
def test_the_slope_of_vector_scaling_is_that_of_its_loss(
    logits: int, sigmoid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def look(loss: Any, start: Any, **_: Any) -> Any:
        at = start + np.random.default_rng(0).normal(0, 0.1, len(start))
        seen.append(check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], at))
        raise StopIteration

    values, truth = drawn(100, logits, sigmoid)
    monkeypatch.setattr(calibration, "minimize", look)
    with pytest.raises(StopIteration):
        fit_vector(values.astype(np.float64), truth, sigmoid)
    assert seen[0] < 1e-5


@pytest.mark.parametrize(("logits", "sigmoid"), MORE_CLASSES)
def test_folded_into_the_output_layer_vector_scaling_gives_the_same_logits(logits: int, sigmoid: bool) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "embedding.weight": generator.normal(size=(9, 3)).astype(np.float32),
        "output.weight": generator.normal(size=(logits, 7)).astype(np.float32),
        "output.bias": generator.normal(size=logits).astype(np.float32),
    }
    features = generator.normal(size=(40, 7)).astype(np.float32)
    found = Calibration("vector scaling", scale=(0.5, 2.0, 1.0, 0.05, 3.0), bias=(0.0, -1.0, 2.0, 0.5, 0.25))
    folded = found.fold(arrays)
    assert {name: array.dtype for name, array in folded.items()} == dict.fromkeys(arrays, np.dtype(np.float32))
    assert folded["embedding.weight"] is arrays["embedding.weight"]
    raw, scaled = (features @ of["output.weight"].T + of["output.bias"] for of in (arrays, folded))
    np.testing.assert_allclose(
        probabilities_of(scaled, sigmoid), probabilities_of(found.apply(raw), sigmoid), rtol=0, atol=1e-5
    )
    untouched = Calibration("temperature", 2.0).fold(arrays)
    assert all(untouched[name] is array for name, array in arrays.items())
