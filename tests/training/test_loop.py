"""The training loop: its events, the epoch it keeps, and bit-exact resuming."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.errors import ResumeError, TrainingError
from fastlstm.training import loop
from fastlstm.training.events import EpochResult, StepDone
from fastlstm.training.loop import (
    LabelledIds,
    TrainingState,
    compute_logits,
    drop_tokens,
    learning_rate,
    make_optimizer,
    train_epochs,
)
from fastlstm.training.model import TextClassifier

MODEL = ModelConfig(vocabulary_size=23, embedding_size=5, hidden_sizes=(7, 3), dropout=0.3, bidirectional=True)


def make_texts(count: int, seed: int) -> LabelledIds:
    """Return ragged texts of class 1 if they contain token 2, otherwise of class 0."""
    generator = np.random.default_rng(seed)
    ids = [generator.integers(3, 23, generator.integers(1, 19)).astype(np.int32) for _ in range(count)]
    classes = generator.integers(0, 2, count)
    for text, label in zip(ids, classes, strict=True):
        if label:
            text[generator.integers(len(text))] = 2
    return LabelledIds(ids, classes)


TRAINING, VALIDATION = make_texts(77, 0), make_texts(31, 1)


def make_state(config: TrainingConfig, model: ModelConfig = MODEL) -> TrainingState:
    classifier = TextClassifier(model, 2, seed=config.seed)
    return TrainingState(classifier, make_optimizer(classifier, config))


def run(config: TrainingConfig, state: TrainingState | None = None) -> tuple[TrainingState, list[EpochResult]]:
    state = state or make_state(config)
    events = list(train_epochs(state, TRAINING, VALIDATION, config))
    return state, [event for event in events if isinstance(event, EpochResult)]


def have_equal_weights(first: TrainingState, second: TrainingState) -> bool:
    weights, others = first.model.arrays(), second.model.arrays()
    return all(weights[name].tobytes() == others[name].tobytes() for name in weights)


def test_training_converges_and_keeps_the_best_epoch() -> None:
    state, history = run(TrainingConfig(epochs=25, batch_size=8, learning_rate=0.02, patience=25))
    assert [result.epoch for result in history] == list(range(1, 26))
    assert history[-1].loss < 0.2 < history[0].loss
    lowest = min(result.validation_loss for result in history)
    logits, classes = compute_logits(state.model, VALIDATION.texts), torch.from_numpy(VALIDATION.classes)
    assert float(state.model.losses(logits, classes).mean()) == pytest.approx(lowest, abs=1e-6)


def test_events_count_all_steps_and_tokens_of_an_epoch() -> None:
    config = TrainingConfig(epochs=1, batch_size=8)
    events = list(train_epochs(make_state(config), TRAINING, VALIDATION, config))
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.step for event in steps] == list(range(1, steps[0].steps + 1))
    assert steps[-1].tokens == sum(len(text) for text in TRAINING.texts)
    assert isinstance(events[-1], EpochResult)
    assert events[-1].padding <= 0.10


def test_seed_determines_the_weights() -> None:
    first, same, other = (run(TrainingConfig(epochs=2, batch_size=8, seed=seed))[0] for seed in (4, 4, 5))
    assert have_equal_weights(first, same)
    assert not have_equal_weights(first, other)


@pytest.mark.parametrize("count", [1, 4, 10, 13, 22])
def test_stopped_run_is_resumed_with_the_same_bits(tmp_path: Path, count: int) -> None:
    config = TrainingConfig(epochs=3, batch_size=8, schedule="cosine", class_weights="balanced")
    whole, history = run(config)
    stopped = make_state(config)
    events: Iterator[Any] = train_epochs(stopped, TRAINING, VALIDATION, config)
    for _ in range(count):
        next(events)
    stopped.save(tmp_path / "run", {"seed": 0})

    resumed = make_state(config)
    resumed.restore(tmp_path / "run", {"seed": 0})
    assert (resumed.epoch, resumed.step) == (stopped.epoch, stopped.step)
    resumed, resumed_history = run(config, resumed)
    assert have_equal_weights(whole, resumed)
    assert [r.validation_loss for r in resumed.history] == [r.validation_loss for r in history]
    assert resumed_history[-1].loss == history[-1].loss


def test_missing_checkpoint_raises_resume_error(tmp_path: Path) -> None:
    with pytest.raises(ResumeError) as raised:
        make_state(TrainingConfig()).restore(tmp_path / "run", {})
    assert (raised.value.code, raised.value.path) == ("no-checkpoint", tmp_path / "run")


def test_checkpoint_of_another_run_raises_resume_error(tmp_path: Path) -> None:
    state = make_state(TrainingConfig())
    state.save(tmp_path / "run", {"batch_size": 64, "seed": 0})
    with pytest.raises(ResumeError) as raised:
        state.restore(tmp_path / "run", {"batch_size": 32, "seed": 0})
    error = raised.value
    assert (error.code, error.setting, error.saved, error.expected) == ("checkpoint-mismatch", "batch_size", 64, 32)


@pytest.mark.parametrize("damage", ["truncated", "other content"])
def test_damaged_checkpoint_raises_resume_error(tmp_path: Path, damage: str) -> None:
    path, state = tmp_path / "run", make_state(TrainingConfig())
    state.save(path, {"seed": 0})
    path.write_bytes(path.read_bytes()[:-10] if damage == "truncated" else b"not a checkpoint")
    with pytest.raises(ResumeError) as raised:
        state.restore(path, {"seed": 0})
    assert (raised.value.code, raised.value.path) == ("corrupt-checkpoint", path)


@pytest.mark.parametrize(
    ("missing", "metadata", "code"),
    [
        ("adam.exp_avg.", {}, "corrupt-checkpoint"),
        ("best.", {}, "corrupt-checkpoint"),
        ("weights.output", {}, "corrupt-checkpoint"),
        ("features.", {}, "corrupt-checkpoint"),
        ("nothing", {"checkpoint_version": "99"}, "checkpoint-version"),
        ("nothing", {"identity": "[]"}, "corrupt-checkpoint"),
    ],
)
def test_incomplete_checkpoint_raises_resume_error_and_changes_nothing(
    tmp_path: Path, missing: str, metadata: dict[str, str], code: str
) -> None:
    config = TrainingConfig(epochs=1, batch_size=8)
    state, _ = run(config)
    path, damaged = tmp_path / "run", tmp_path / "damaged"
    state.save(path, {"seed": 0})
    with safetensors.safe_open(path, "pt") as file:
        metadata = {**file.metadata(), **metadata}
    tensors = safetensors.torch.load_file(path)
    remaining = {name: tensor for name, tensor in tensors.items() if not name.startswith(missing)}
    safetensors.torch.save_file(remaining, damaged, metadata)
    target = make_state(config)
    before = target.model.arrays()
    with pytest.raises(ResumeError) as raised:
        target.restore(damaged, {"seed": 0})
    assert raised.value.code == code
    assert all((target.model.arrays()[name] == before[name]).all() for name in before)


def test_training_stops_without_improvement_and_restores_the_best_epoch() -> None:
    config = TrainingConfig(epochs=40, batch_size=8, learning_rate=0.02, patience=3)
    state = make_state(config)
    wrong = LabelledIds(VALIDATION.texts, 1 - VALIDATION.classes)  # the validation loss rises while training works
    events = train_epochs(state, TRAINING, wrong, config)
    history = [event for event in events if isinstance(event, EpochResult)]
    assert len(history) < 40
    assert not any(result.best for result in history[-3:])
    assert history[-4].best
    assert all((state.model.arrays()[name] == w.numpy()).all() for name, w in state.best.items())


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_monitored_metric_selects_the_best_epoch(monitor: Any) -> None:
    config = TrainingConfig(epochs=12, batch_size=8, learning_rate=0.03, monitor=monitor)
    _, history = run(config)
    best = history[max(result.epoch for result in history if result.best) - 1]
    if monitor == "loss":
        assert best.validation_loss == min(result.validation_loss for result in history)
    else:
        assert best.validation_accuracy == max(result.validation_accuracy for result in history)


def test_tie_in_accuracy_is_broken_by_loss() -> None:
    config = TrainingConfig(monitor="accuracy")
    assert loop.best_epoch([(0.4, 0.9), (0.3, 0.9), (0.3, 0.9), (0.1, 0.8)], config) == 1


@pytest.mark.parametrize(
    ("schedule", "rates"), [("constant", [0.1, 0.1, 0.1]), ("linear", [0.1, 0.05, 0]), ("cosine", [0.1, 0.05, 0])]
)
def test_learning_rate_follows_the_schedule(schedule: Any, rates: list[float]) -> None:
    config = TrainingConfig(learning_rate=0.1, schedule=schedule)
    assert [learning_rate(config, progress) for progress in (0, 0.5, 1)] == pytest.approx(rates)


@pytest.mark.parametrize(("class_weights", "probability"), [("none", 0.1), ("balanced", 0.5)])
def test_balanced_classes_have_equal_weight(class_weights: Any, probability: float) -> None:
    """All texts are equal, so that the model can only fit the weighted share of each class."""
    texts = LabelledIds([np.array([3], np.int32)] * 10, np.array([0] * 9 + [1]))
    config = TrainingConfig(epochs=60, batch_size=10, learning_rate=0.1, patience=60, class_weights=class_weights)
    state = make_state(config, ModelConfig(vocabulary_size=4, embedding_size=2, hidden_sizes=(3,)))
    for event in train_epochs(state, texts, texts, config):
        if isinstance(event, EpochResult) and event.epoch == config.epochs:
            break
    fitted = torch.sigmoid(compute_logits(state.model, texts.texts[:1])).item()
    assert fitted == pytest.approx(probability, abs=0.03)


def test_clipping_limits_the_gradient() -> None:
    unlimited, clipped = (run(TrainingConfig(epochs=1, batch_size=8, clip_norm=norm))[0] for norm in (0, 1e-3))
    assert not have_equal_weights(unlimited, clipped)


def test_dropped_tokens_leave_at_least_one_of_each_text() -> None:
    texts = [np.arange(2, 2 + length, dtype=np.int32) for length in (12, 7, 3, 1)]
    batch = np.array([4, 9, 2, 7])
    by_index = dict(zip(batch.tolist(), texts, strict=True))
    for seed in range(20):
        remaining, order = drop_tokens(texts, batch, 0.8, np.random.default_rng(seed))
        lengths = [len(ids) for ids in remaining]
        assert lengths == sorted(lengths, reverse=True)
        assert lengths[-1] >= 1
        assert sorted(order) == sorted(batch)
        for ids, index in zip(remaining, order.tolist(), strict=True):
            assert np.isin(ids, by_index[index]).all()
    first, second = (drop_tokens(texts, batch, 0.5, np.random.default_rng(seed))[0] for seed in (1, 2))
    assert [ids.tolist() for ids in first] != [ids.tolist() for ids in second]


def test_training_with_word_dropout_has_finite_losses() -> None:
    _, history = run(TrainingConfig(epochs=3, batch_size=8, word_dropout=0.9))
    assert len(history) == 3
    assert all(np.isfinite(result.loss) for result in history)


def test_non_finite_training_loss_raises_training_error() -> None:
    config = TrainingConfig(epochs=1, batch_size=8)
    state = make_state(config)
    with torch.no_grad():
        state.model.output.bias.fill_(float("nan"))
    with pytest.raises(TrainingError) as raised:
        list(train_epochs(state, TRAINING, VALIDATION, config))
    assert raised.value.code == "diverged"
    assert np.isnan(raised.value.loss)
    assert (state.epoch, state.step) == (0, 0)


def test_non_finite_validation_loss_raises_training_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "compute_logits", lambda _, texts: torch.full((len(texts), 1), float("nan")))
    config = TrainingConfig(epochs=1)
    state = make_state(config)
    with pytest.raises(TrainingError) as raised:
        list(train_epochs(state, TRAINING, VALIDATION, config))
    assert raised.value.code == "diverged"
    assert not state.best
