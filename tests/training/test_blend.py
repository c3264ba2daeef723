import numpy as np
import pytest

from fastlstm.training.calibration import Blend, fit_blend, log_probabilities
from fastlstm.training.linear import Wide


def noisy(truth: np.ndarray, logits: int, scale: float, seed: int) -> np.ndarray:
    """Logits that lean to the truth, as one opinion of several."""
    generator = np.random.default_rng(seed)
    signed = np.eye(2)[truth][:, 1:] * 2 - 1 if logits == 1 else np.eye(logits)[truth] * 2 - 1
    leaning: np.ndarray = (signed + generator.normal(0, 1.5, (len(truth), logits))) * scale
    return leaning.astype(np.float32)


def loss_of(mixed: np.ndarray, truth: np.ndarray, sigmoid: bool) -> float:
    logs = log_probabilities(mixed.astype(np.float64), sigmoid)
    return -float(logs[np.arange(len(truth)), truth].mean())


@pytest.mark.parametrize(("logits", "sigmoid"), [(1, True), (2, False), (4, False), (4, True)])
def test_two_opinions_blended_are_better_than_either(logits: int, sigmoid: bool) -> None:
    truth = np.random.default_rng(9).integers(0, max(logits, 2), 2000)
    one, other = noisy(truth, logits, 3.0, 1), noisy(truth, logits, 0.2, 2)
    half = slice(0, 1000)
    blend = fit_blend(one[half], other[half], truth[half], sigmoid=sigmoid)
    rest = slice(1000, 2000)
    blended = loss_of(blend.apply(one[rest], other[rest]), truth[rest], sigmoid)
    for part, zero in ((one, other * 0), (other, one * 0)):
        alone = fit_blend(part[half], zero[half], truth[half], sigmoid=sigmoid)
        assert blended < loss_of(alone.apply(part[rest], zero[rest]), truth[rest], sigmoid)


def test_an_opinion_that_says_nothing_hardly_counts() -> None:
    truth = np.random.default_rng(9).integers(0, 2, 2000)
    noise = np.random.default_rng(3).normal(size=(2000, 1)).astype(np.float32)
    blend = fit_blend(noisy(truth, 1, 1.0, 1), noise, truth, sigmoid=True)
    assert blend.lstm > 0.3
    assert blend.wide < 0.1


def test_the_folded_weights_give_the_blended_logits() -> None:
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
    )
    blend = Blend(0.7, 1.9)
    logits = features @ arrays["output.weight"].T + arrays["output.bias"]
    expected = blend.apply(logits, (counts @ wide.weight + wide.bias).astype(np.float32))
    folded = blend.fold(arrays, wide)
    came = features @ folded["output.weight"].T + folded["output.bias"] + counts @ folded["wide.weight"]
    np.testing.assert_allclose(came, expected, rtol=1e-5, atol=1e-5)


def test_few_texts_do_not_move_the_shares_far_from_the_usual_ones() -> None:
    truth = np.array([0, 1])
    sure = np.array([[-9.0], [9.0]], np.float32)
    for logits, evidence in ((sure, 0 * sure), (0 * sure, sure), (-sure, sure)):
        blend = fit_blend(logits, evidence, truth, sigmoid=True)
        assert abs(blend.lstm - 0.5) < 1
        assert abs(blend.wide - 0.5) < 1
    many = np.tile(truth, 2000)
    assert fit_blend(noisy(many, 1, 0.1, 1), np.zeros((4000, 1), np.float32), many, sigmoid=True).lstm > 3
