"""The training loop: what it learns, checkpoints, errors, and the learning rate."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.errors import ResumeError, TrainingError
from fastlstm.language_model import network
from fastlstm.language_model.loop import (
    LanguageModelEpoch,
    LanguageModelState,
    learning_rate,
    make_state,
    train_steps,
)

CPU = torch.device("cpu")
MODEL = LanguageModelConfig(vocabulary_size=31, embedding_size=7, hidden_sizes=(9, 5), direction="both")
TRAINING = LanguageModelTrainingConfig(
    epochs=2,
    streams=3,
    window=5,
    samples=16,
    learning_rate=0.02,
    warmup=2,
    embedding_dropout=0.1,
    input_dropout=0.1,
    weight_dropout=0.2,
    hidden_dropout=0.1,
    output_dropout=0.1,
    activation_penalty=2.0,
    change_penalty=1.0,
    seed=4,
)


def counting_texts(count: int = 40) -> list[np.ndarray]:
    """Return texts that count upward from a random token, so that each next token is known."""
    generator = np.random.default_rng(0)
    texts = []
    for _ in range(count):
        start = int(generator.integers(2, 20))
        texts.append(np.arange(start, start + int(generator.integers(1, 11)), dtype=np.int32))
    return texts


def current_weights(state: LanguageModelState) -> dict[str, np.ndarray]:
    state.optimizer.catch_up()
    return state.model.arrays()


def test_training_lowers_the_loss() -> None:
    config = LanguageModelConfig(vocabulary_size=31, embedding_size=8, hidden_sizes=(16,))
    training = LanguageModelTrainingConfig(epochs=30, streams=4, window=8, samples=31, learning_rate=0.02, warmup=0)
    events = train_steps(make_state(config, training, CPU), counting_texts(), training)
    epochs = [event for event in events if isinstance(event, LanguageModelEpoch)]
    assert epochs[0].loss > 2.0
    assert epochs[-1].loss < 1.0


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    texts, path = counting_texts(), tmp_path / "checkpoint"
    uninterrupted = make_state(MODEL, TRAINING, CPU)
    events = len(list(train_steps(uninterrupted, texts, TRAINING)))
    expected = current_weights(uninterrupted)
    for stop in (3, events // 2, events - 1):
        state = make_state(MODEL, TRAINING, CPU)
        run = train_steps(state, texts, TRAINING)
        for _ in range(stop):
            next(run)
        state.save(path, {"run": 1})
        resumed = make_state(MODEL, TRAINING, CPU)
        resumed.restore(path, {"run": 1})
        list(train_steps(resumed, texts, TRAINING))
        assert resumed.history[-1].loss == uninterrupted.history[-1].loss
        for name, value in current_weights(resumed).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_a_checkpoint_of_another_run_raises_resume_error(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    make_state(MODEL, TRAINING, CPU).save(path, {"seed": 1})
    with pytest.raises(ResumeError) as raised:
        make_state(MODEL, TRAINING, CPU).restore(path, {"seed": 2})
    error = raised.value
    assert (error.code, error.setting, error.saved, error.expected) == ("checkpoint-mismatch", "seed", 1, 2)


def test_a_checkpoint_of_another_shape_raises_resume_error(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    make_state(MODEL, TRAINING, CPU).save(path, {"seed": 1})
    other = LanguageModelConfig(vocabulary_size=31, embedding_size=7, hidden_sizes=(9, 6), direction="both")
    with pytest.raises(ResumeError) as raised:
        make_state(other, TRAINING, CPU).restore(path, {"seed": 1})
    assert raised.value.code == "corrupt-checkpoint"


def test_pytorch_and_the_kernel_train_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = counting_texts()
    training = LanguageModelTrainingConfig(
        epochs=1, streams=3, window=5, samples=31, input_dropout=0.2, weight_dropout=0.2, precision="float32"
    )
    with_kernel = make_state(MODEL, training, CPU)
    list(train_steps(with_kernel, texts, training))
    monkeypatch.setattr(network, "uses_kernel", lambda _: False)
    monkeypatch.setattr("fastlstm.nn.optimizer.uses_kernel", lambda _: False)
    with_pytorch = make_state(MODEL, training, CPU)
    list(train_steps(with_pytorch, texts, training))
    expected = current_weights(with_pytorch)
    for name, value in current_weights(with_kernel).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_too_few_tokens_for_the_streams_raise_training_error() -> None:
    training = LanguageModelTrainingConfig(streams=500)
    texts = counting_texts(3)
    with pytest.raises(TrainingError) as raised:
        next(train_steps(make_state(MODEL, training, CPU), texts, training))
    error = raised.value
    assert (error.code, error.streams, error.tokens) == ("too-few-tokens", 500, sum(map(len, texts)))


def test_a_non_finite_loss_raises_training_error() -> None:
    state = make_state(MODEL, TRAINING, CPU)
    with torch.no_grad():
        state.model.bias.fill_(math.nan)
    with pytest.raises(TrainingError) as raised:
        list(train_steps(state, counting_texts(), TRAINING))
    assert raised.value.code == "diverged"
    assert math.isnan(raised.value.loss)
    assert (state.epoch, state.step) == (0, 0)


@pytest.mark.parametrize("steps", [3, 40, 5000])
def test_the_learning_rate_rises_within_a_tenth_of_the_run_and_falls(steps: int) -> None:
    training = LanguageModelTrainingConfig(warmup=200, learning_rate=0.5, schedule="cosine")
    rates = [learning_rate(training, done, steps) for done in range(steps)]
    peak = int(np.argmax(rates))
    assert rates[peak] > 0.45
    assert peak <= steps // 10
    assert rates[-1] < 0.2 * rates[peak] or steps < 10
