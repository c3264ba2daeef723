"""Temperature and vector scaling, and the blend of LSTM and n-gram part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad

from fastlstm._typing import FloatArray, IndexArray
from fastlstm.inference.network import probabilities_of
from fastlstm.metrics import evaluate
from fastlstm.training import calibration
from fastlstm.training.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    MIN_TEXTS,
    Blend,
    Calibration,
    calibrate,
    calibration_note,
    choose_logits,
    fit_blend,
    fit_temperature,
    fit_vector,
    log_probabilities,
)
from fastlstm.training.linear import Wide

ONE_LOGIT, SOFTMAX_2, SOFTMAX_5, SIGMOID_5 = (1, True), (2, False), (5, False), (5, True)
OUTPUTS = pytest.mark.parametrize(("logits", "sigmoid"), [ONE_LOGIT, SOFTMAX_2, SOFTMAX_5, SIGMOID_5])
FIVE_CLASSES = pytest.mark.parametrize(("logits", "sigmoid"), [SOFTMAX_5, SIGMOID_5])


def draw(texts: int, logits: int, sigmoid: bool, seed: int = 0) -> tuple[FloatArray, IndexArray]:
    """Return random logits, and classes drawn with the probabilities of these logits."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 2, (texts, logits)).astype(np.float32)
    cumulative = probabilities_of(values, sigmoid).cumsum(axis=1)
    classes = (cumulative < generator.random((texts, 1))).sum(axis=1)
    return values, np.minimum(classes, cumulative.shape[1] - 1).astype(np.int64)


def mean_loss(logits: FloatArray, classes: IndexArray, sigmoid: bool) -> float:
    probabilities = probabilities_of(logits, sigmoid)
    return evaluate(probabilities, classes, tuple("abcde"[: probabilities.shape[1]])).loss


@OUTPUTS
def test_log_probabilities_are_those_of_inference(logits: int, sigmoid: bool) -> None:
    values, _ = draw(50, logits, sigmoid)
    probabilities = np.exp(log_probabilities(values.astype(np.float64), sigmoid))
    np.testing.assert_allclose(probabilities, probabilities_of(values, sigmoid), rtol=0, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.4, 0.8, 3.0])
@OUTPUTS
def test_known_temperature_is_recovered(logits: int, sigmoid: bool, temperature: float) -> None:
    values, classes = draw(6000, logits, sigmoid)
    fitted = calibrate(values * np.float32(temperature), classes, sigmoid=sigmoid)
    assert fitted.method == "temperature"
    assert fitted.temperature == pytest.approx(temperature, rel=0.08)
    assert (fitted.texts, fitted.skip_reason, fitted.threshold) == (6000, "", 0.5)


@OUTPUTS
def test_overconfident_logits_improve_on_held_out_texts(logits: int, sigmoid: bool) -> None:
    values, classes = draw(1000, logits, sigmoid)
    test_values, test_classes = draw(1000, logits, sigmoid, seed=1)
    fitted = calibrate(values * 4, classes, sigmoid=sigmoid)
    labels = tuple("abcde"[: max(logits, 2)])
    before, after = (
        evaluate(probabilities_of(scores, sigmoid), test_classes, labels)
        for scores in (test_values * 4, fitted.apply(test_values * 4))
    )
    assert after.loss < before.loss - 0.1
    assert after.calibration_error < before.calibration_error / 2


@pytest.mark.parametrize("temperature", [MIN_TEMPERATURE, 0.3, 1.7, MAX_TEMPERATURE])
@OUTPUTS
def test_temperature_changes_no_prediction(logits: int, sigmoid: bool, temperature: float) -> None:
    values, _ = draw(500, logits, sigmoid)
    if sigmoid and logits > 1:
        values *= np.float32(min(temperature, 1))  # float32 has no sigmoid between 1 - 6e-8 and 1
    scaled = Calibration("temperature", temperature).apply(values)
    before, after = (probabilities_of(scores, sigmoid) for scores in (values, scaled))
    assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))


@FIVE_CLASSES
def test_vector_scaling_corrects_biased_classes(logits: int, sigmoid: bool) -> None:
    bias, scale = np.array([2, -1, 0, 1, -2], np.float32), np.array([3, 1, 2, 1, 3], np.float32)
    values, classes = draw(3000, logits, sigmoid)
    test_values, test_classes = draw(3000, logits, sigmoid, seed=1)
    fitted = calibrate(values * scale + bias, classes, sigmoid=sigmoid)
    assert fitted.method == "vector scaling"
    assert fitted.temperature == 1.0
    temperature = fit_temperature((values * scale + bias).astype(np.float64), classes, sigmoid)
    by_temperature = mean_loss((test_values * scale + bias) / np.float32(temperature), test_classes, sigmoid)
    by_vector = mean_loss(fitted.apply(test_values * scale + bias), test_classes, sigmoid)
    assert by_vector < by_temperature - 0.05
    assert by_vector == pytest.approx(mean_loss(test_values, test_classes, sigmoid), abs=0.02)


@FIVE_CLASSES
def test_few_texts_get_a_temperature_instead_of_vector_scaling(logits: int, sigmoid: bool) -> None:
    values, classes = draw(MIN_TEXTS, logits, sigmoid)
    assert calibrate(values * 4, classes, sigmoid=sigmoid).method != "vector scaling"
    many_classes, their_classes = draw(150, 16, sigmoid)
    many_classes += np.arange(16, dtype=np.float32)
    assert calibrate(many_classes, their_classes, sigmoid=sigmoid).method != "vector scaling"


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@OUTPUTS
def test_texts_without_any_error_give_a_finite_temperature(logits: int, sigmoid: bool, scale: float) -> None:
    class_count = max(logits, 2)
    classes = np.arange(100) % class_count
    certain = np.where(np.arange(class_count) == classes[:, None], 3, -3).astype(np.float32) * np.float32(scale)
    values = certain[:, 1:] if logits == 1 else certain
    fitted = calibrate(values, classes, sigmoid=sigmoid)
    assert MIN_TEMPERATURE <= fitted.temperature <= MAX_TEMPERATURE
    confidence = probabilities_of(fitted.apply(values), sigmoid).max(axis=1)
    if scale == 1.0 and (logits, sigmoid) != SOFTMAX_2:  # whose logits are already surer than the smoothed targets
        np.testing.assert_allclose(confidence, 1 - 1 / 102, rtol=0, atol=0.005)


def test_texts_that_are_all_wrong_give_the_highest_temperature() -> None:
    classes = np.arange(60) % 2
    wrong = np.where(classes == 1, -5, 5).astype(np.float32)[:, None]
    assert calibrate(wrong, classes, sigmoid=True).temperature == pytest.approx(MAX_TEMPERATURE, rel=1e-3)


def test_equal_logits_give_the_temperature_1() -> None:
    assert calibrate(np.zeros((60, 1), np.float32), np.arange(60) % 2, sigmoid=True).temperature == 1.0
    assert calibrate(np.zeros((60, 3), np.float32), np.arange(60) % 3, sigmoid=True).skip_code == "no-gain"


def test_texts_of_one_class_give_finite_parameters() -> None:
    fitted = calibrate(np.ones((60, 4), np.float32), np.zeros(60, np.int64), sigmoid=False)
    for values in ([fitted.temperature], fitted.scale, fitted.bias):
        assert np.isfinite(values).all()


@OUTPUTS
def test_huge_logits_are_calibrated(logits: int, sigmoid: bool) -> None:
    values, classes = draw(200, logits, sigmoid)
    fitted = calibrate(values * np.float32(1e4), classes, sigmoid=sigmoid)
    assert np.isfinite(fitted.apply(values)).all()


def test_too_few_texts_give_no_calibration_and_a_reason() -> None:
    values, classes = draw(MIN_TEXTS - 1, 1, True)
    fitted = calibrate(values * 3, classes, sigmoid=True)
    assert (fitted.method, fitted.temperature, fitted.texts) == ("none", 1.0, 49)
    assert {"49", "50"} <= set(fitted.skip_reason.split())
    assert np.array_equal(fitted.apply(values), values)
    assert fitted.skip_code == "too-few-texts"
    more_values, more_classes = draw(MIN_TEXTS, 1, True)
    assert calibrate(more_values * 3, more_classes, sigmoid=True).method == "temperature"


@OUTPUTS
@pytest.mark.parametrize("texts", [50, 200])
@pytest.mark.parametrize("temperature", [0.9, 1.3])
def test_a_fit_is_never_worse_on_its_own_texts(logits: int, sigmoid: bool, texts: int, temperature: float) -> None:
    for seed in range(3):
        values, classes = draw(texts, logits, sigmoid, seed)
        fitted = calibrate(values, classes, sigmoid=sigmoid, temperature=temperature)
        labels = tuple("abcde"[: max(logits, 2)])
        before, after = (
            evaluate(probabilities_of(scores, sigmoid), classes, labels)
            for scores in (values / np.float32(temperature), fitted.apply(values))
        )
        assert after.loss <= before.loss
        assert after.accuracy >= before.accuracy
        if fitted.method == "none":
            assert (fitted.temperature, fitted.skip_code) == (temperature, "no-gain")


def test_vector_scaling_that_lowers_the_accuracy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    values, classes = draw(300, 3, False)
    monkeypatch.setattr(calibration, "vector_scaling_is_better", lambda *_: True)
    monkeypatch.setattr(calibration, "fit_vector", lambda *_: (np.ones(3) / 2, np.array([0.0, 0.0, 5.0])))
    fitted = calibrate(values * 2, classes, sigmoid=False)
    assert (fitted.method, fitted.scale) == ("temperature", ())
    assert fitted.temperature == pytest.approx(2, rel=0.3)


def test_calibration_error_rises_only_if_the_loss_falls_clearly() -> None:
    values = np.full((100, 1), 3.5, np.float32)
    classes = (np.arange(100) >= 10).astype(np.int64)  # nine of ten are right with 97% confidence
    clear = calibrate(values, classes, sigmoid=True)
    assert clear.method == "temperature"
    assert clear.temperature > 1.3
    kept = calibrate(values, classes, sigmoid=True, temperature=clear.temperature)
    assert (kept.temperature, kept.method) == (clear.temperature, "none")


@pytest.mark.parametrize(
    ("skip_code", "code"), [("too-few-texts", "not-calibrated"), ("no-gain", "calibration-no-gain")]
)
def test_missing_calibration_has_a_note(skip_code: str, code: str) -> None:
    note = calibration_note(Calibration(skip_reason="why", skip_code=skip_code))
    assert note is not None
    assert note.code == code
    assert calibration_note(Calibration("temperature", 1.2)) is None


def test_many_texts_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    values, classes = draw(4000, 3, False)
    whole = calibrate(values * 2, classes, sigmoid=False)
    monkeypatch.setattr(calibration, "MAX_LOGITS", 3 * 1500)
    sampled = calibrate(values * 2, classes, sigmoid=False)
    assert sampled.texts == whole.texts == 4000
    assert sampled != whole
    assert sampled.temperature == pytest.approx(whole.temperature, rel=0.15)


@OUTPUTS
def test_calibration_is_deterministic(logits: int, sigmoid: bool) -> None:
    values, classes = draw(300, logits, sigmoid)
    bias = np.arange(logits, dtype=np.float32)
    first, second = (calibrate((values + bias).copy(), classes.copy(), sigmoid=sigmoid) for _ in range(2))
    assert first == second


@FIVE_CLASSES
def test_gradient_of_vector_scaling_is_that_of_its_loss(
    logits: int, sigmoid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[float] = []

    def compare(loss: Any, start: Any, **_: Any) -> Any:
        point = start + np.random.default_rng(0).normal(0, 0.1, len(start))
        errors.append(check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], point))
        raise StopIteration

    values, classes = draw(100, logits, sigmoid)
    monkeypatch.setattr(calibration, "minimize", compare)
    with pytest.raises(StopIteration):
        fit_vector(values.astype(np.float64), classes, sigmoid)
    assert errors[0] < 1e-5


@FIVE_CLASSES
def test_vector_scaling_folded_into_the_weights_gives_the_same_logits(logits: int, sigmoid: bool) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "embedding.weight": generator.normal(size=(9, 3)).astype(np.float32),
        "output.weight": generator.normal(size=(logits, 7)).astype(np.float32),
        "output.bias": generator.normal(size=logits).astype(np.float32),
    }
    features = generator.normal(size=(40, 7)).astype(np.float32)
    vector = Calibration("vector scaling", scale=(0.5, 2.0, 1.0, 0.05, 3.0), bias=(0.0, -1.0, 2.0, 0.5, 0.25))
    folded = vector.fold(arrays)
    assert {name: array.dtype for name, array in folded.items()} == dict.fromkeys(arrays, np.dtype(np.float32))
    assert folded["embedding.weight"] is arrays["embedding.weight"]
    raw, scaled = (features @ weights["output.weight"].T + weights["output.bias"] for weights in (arrays, folded))
    np.testing.assert_allclose(
        probabilities_of(scaled, sigmoid), probabilities_of(vector.apply(raw), sigmoid), rtol=0, atol=1e-5
    )
    untouched = Calibration("temperature", 2.0).fold(arrays)
    assert all(untouched[name] is array for name, array in arrays.items())


def draw_part(classes: IndexArray, logits: int, scale: float, seed: int) -> FloatArray:
    """Return noisy logits [n, logits] of one of two parts that are correct more often than not."""
    generator = np.random.default_rng(seed)
    signs = np.eye(2)[classes][:, 1:] * 2 - 1 if logits == 1 else np.eye(logits)[classes] * 2 - 1
    values: FloatArray = ((signs + generator.normal(0, 1.5, (len(classes), logits))) * scale).astype(np.float32)
    return values


@pytest.mark.parametrize(("logits", "sigmoid"), [ONE_LOGIT, SOFTMAX_2, (4, False), (4, True)])
def test_blend_of_two_parts_is_better_than_either(logits: int, sigmoid: bool) -> None:
    classes = np.random.default_rng(9).integers(0, max(logits, 2), 2000)
    lstm, wide = draw_part(classes, logits, 3.0, 1), draw_part(classes, logits, 0.2, 2)
    half, rest = slice(0, 1000), slice(1000, 2000)
    blend = fit_blend(lstm[half], wide[half], classes[half], sigmoid=sigmoid)
    blended = mean_loss(blend.apply(lstm[rest], wide[rest]), classes[rest], sigmoid)
    for part, zeros in ((lstm, wide * 0), (wide, lstm * 0)):
        alone = fit_blend(part[half], zeros[half], classes[half], sigmoid=sigmoid)
        assert blended < mean_loss(alone.apply(part[rest], zeros[rest]), classes[rest], sigmoid)


def test_part_without_information_gets_a_small_scale() -> None:
    classes = np.random.default_rng(9).integers(0, 2, 2000)
    noise = np.random.default_rng(3).normal(size=(2000, 1)).astype(np.float32)
    blend = fit_blend(draw_part(classes, 1, 1.0, 1), noise, classes, sigmoid=True)
    assert blend.lstm > 0.3
    assert blend.wide < 0.1


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_the_logits_that_tell_most_are_chosen_at_any_scale(scale: float) -> None:
    classes = np.random.default_rng(2).integers(0, 2, 2000)
    weak, strong = draw_part(classes, 1, 0.5, 1), draw_part(classes, 1, 1.5, 2)
    assert choose_logits([weak, scale * strong], classes, sigmoid=True) == 1
    assert choose_logits([scale * strong, weak], classes, sigmoid=True) == 0


def test_blend_folded_into_the_weights_gives_the_same_logits() -> None:
    generator = np.random.default_rng(0)
    features, counts = generator.normal(size=(5, 6)).astype(np.float32), generator.integers(0, 2, (5, 7))
    arrays = {
        "output.weight": generator.normal(size=(3, 6)).astype(np.float32),
        "output.bias": generator.normal(size=3).astype(np.float32),
    }
    wide = Wide(
        "pairs",
        np.arange(7, dtype=np.int32),
        generator.normal(size=(7, 3)).astype(np.float32),
        generator.normal(size=3).astype(np.float32),
        0.3,
    )
    blend = Blend(0.7, 1.9)
    logits = features @ arrays["output.weight"].T + arrays["output.bias"]
    expected = blend.apply(logits, (counts @ wide.weight + wide.bias).astype(np.float32))
    folded = blend.fold(arrays, wide)
    actual = features @ folded["output.weight"].T + folded["output.bias"] + counts @ folded["wide.weight"]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_few_texts_leave_the_scales_near_their_prior() -> None:
    classes = np.array([0, 1])
    certain = np.array([[-9.0], [9.0]], np.float32)
    for lstm, wide in ((certain, 0 * certain), (0 * certain, certain), (-certain, certain)):
        blend = fit_blend(lstm, wide, classes, sigmoid=True)
        assert abs(blend.lstm - 0.5) < 1
        assert abs(blend.wide - 0.5) < 1
    many = np.tile(classes, 2000)
    lstm, zeros = draw_part(many, 1, 0.1, 1), np.zeros((4000, 1), np.float32)
    assert fit_blend(lstm, zeros, many, sigmoid=True).lstm > 3
