"""The loop: what it yields, what it keeps, and that a stopped run goes on to the same bits."""

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
    learning_rate,
    make_optimizer,
    train_epochs,
)
from fastlstm.training.model import TextClassifier

MODEL = ModelConfig(vocabulary_size=23, embedding_size=5, hidden_sizes=(7, 3), dropout=0.3, bidirectional=True)


def texts(count: int, seed: int) -> LabelledIds:
    """Ragged texts whose class is whether token 2 stands in them."""
    generator = np.random.default_rng(seed)
    ids = [generator.integers(3, 23, generator.integers(1, 19)).astype(np.int32) for _ in range(count)]
    truth = generator.integers(0, 2, count)
    for text, label in zip(ids, truth, strict=True):
        if label:
            text[generator.integers(len(text))] = 2
    return LabelledIds(ids, truth)


TRAINING, VALIDATION = texts(77, 0), texts(31, 1)


def fresh(config: TrainingConfig) -> TrainingState:
    model = TextClassifier(MODEL, 2, seed=config.seed)
    return TrainingState(model, make_optimizer(model, config))


def run(config: TrainingConfig, state: TrainingState | None = None) -> tuple[TrainingState, list[EpochResult]]:
    state = state or fresh(config)
    events = list(train_epochs(state, TRAINING, VALIDATION, config))
    return state, [event for event in events if isinstance(event, EpochResult)]


def same(first: TrainingState, second: TrainingState) -> bool:
    mine, theirs = first.model.arrays(), second.model.arrays()
    return all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


def test_it_learns_what_can_be_learned() -> None:
    state, history = run(TrainingConfig(epochs=25, batch_size=8, learning_rate=0.02, patience=25))
    assert [result.epoch for result in history] == list(range(1, 26))
    assert history[-1].loss < 0.2 < history[0].loss
    kept = max(history, key=lambda result: -result.validation_loss)
    logits, truth = compute_logits(state.model, VALIDATION.texts), torch.from_numpy(VALIDATION.classes)
    assert float(state.model.losses(logits, truth).mean()) == pytest.approx(kept.validation_loss, abs=1e-6)


def test_a_step_and_an_epoch_are_counted_whole() -> None:
    config = TrainingConfig(epochs=1, batch_size=8)
    events = list(train_epochs(fresh(config), TRAINING, VALIDATION, config))
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [event.step for event in steps] == list(range(1, steps[0].steps + 1))
    assert steps[-1].tokens == sum(len(text) for text in TRAINING.texts)
    assert isinstance(events[-1], EpochResult)
    assert events[-1].padding <= 0.10


def test_equal_seeds_give_equal_bits_and_others_do_not() -> None:
    first, again, other = (run(TrainingConfig(epochs=2, batch_size=8, seed=seed))[0] for seed in (4, 4, 5))
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("events", [1, 4, 10, 13, 22])
def test_a_run_that_is_stopped_and_restored_ends_with_the_same_bits(tmp_path: Path, events: int) -> None:
    config = TrainingConfig(epochs=3, batch_size=8, schedule="cosine", class_weights="balanced")
    whole, history = run(config)
    stopped = fresh(config)
    running: Iterator[Any] = train_epochs(stopped, TRAINING, VALIDATION, config)
    for _ in range(events):
        next(running)
    stopped.save(tmp_path / "run", {"seed": 0})

    resumed = fresh(config)
    resumed.restore(tmp_path / "run", {"seed": 0})
    assert (resumed.epoch, resumed.step) == (stopped.epoch, stopped.step)
    resumed, resumed_history = run(config, resumed)
    assert same(whole, resumed)
    assert [r.validation_loss for r in resumed.history] == [r.validation_loss for r in history]
    assert resumed_history[-1].loss == history[-1].loss


def test_a_checkpoint_is_refused_where_it_does_not_belong_or_is_damaged(tmp_path: Path) -> None:
    state = fresh(TrainingConfig())
    path = tmp_path / "run"
    with pytest.raises(ResumeError, match=r"nothing to resume: no checkpoint at .*run.*without --resume"):
        state.restore(path, {})
    state.save(path, {"batch_size": 64, "seed": 0})
    with pytest.raises(ResumeError, match="its batch-size is 64, this one's is 32"):
        state.restore(path, {"batch_size": 32, "seed": 0})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ResumeError, match="damaged"):
        state.restore(path, {"batch_size": 64, "seed": 0})
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ResumeError, match="damaged"):
        state.restore(path, {"batch_size": 64, "seed": 0})


def test_training_stops_when_patience_is_out_and_the_best_epoch_comes_back() -> None:
    config = TrainingConfig(epochs=40, batch_size=8, learning_rate=0.02, patience=3)
    state = fresh(config)
    opposite = LabelledIds(
        VALIDATION.texts, 1 - VALIDATION.classes
    )  # the more is learned, the worse it does on these
    events = train_epochs(state, TRAINING, opposite, config)
    history = [event for event in events if isinstance(event, EpochResult)]
    assert len(history) < 40
    assert not any(result.best for result in history[-3:])
    assert history[-4].best
    assert all((state.model.arrays()[name] == w.numpy()).all() for name, w in state.best.items())


def test_the_monitor_decides_which_epoch_is_best() -> None:
    for monitor in ("loss", "accuracy"):
        config = TrainingConfig(epochs=12, batch_size=8, learning_rate=0.03, monitor=monitor)
        _, history = run(config)
        scores = [loop.score(result, config) for result in history]
        best = max(result.epoch for result in history if result.best)
        assert scores[best - 1] == max(scores)


def test_the_learning_rate_follows_its_schedule() -> None:
    def rates(schedule: str) -> list[float]:
        config = TrainingConfig(learning_rate=0.1, schedule=schedule)  # type: ignore[arg-type]
        return [learning_rate(config, progress) for progress in (0, 0.5, 1)]

    assert rates("constant") == [0.1, 0.1, 0.1]
    assert rates("linear") == pytest.approx([0.1, 0.05, 0])
    assert rates("cosine") == pytest.approx([0.1, 0.05, 0])


def test_balanced_classes_count_alike() -> None:
    config = TrainingConfig(class_weights="balanced")
    truth = np.array([0] * 9 + [1])
    class_weights = loop._class_weights(truth, TextClassifier(MODEL, 2, seed=0), config)
    assert class_weights is not None
    assert class_weights.tolist() == pytest.approx([10 / 18, 5])


def test_clipping_bounds_the_step() -> None:
    free, clipped = (run(TrainingConfig(epochs=1, batch_size=8, clip_norm=norm))[0] for norm in (0, 1e-3))
    assert not same(free, clipped)


def test_a_loss_that_is_no_number_ends_the_run_with_advice() -> None:
    config = TrainingConfig(epochs=1, batch_size=8)
    state = fresh(config)
    with torch.no_grad():
        state.model.output.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the loss is nan in step 1 of epoch 1; pass a lower --learning-rate"):
        list(train_epochs(state, TRAINING, VALIDATION, config))


def test_a_model_that_is_lost_on_validation_is_never_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "compute_logits", lambda _, texts: torch.full((len(texts), 1), float("nan")))
    state = fresh(TrainingConfig(epochs=1))
    with pytest.raises(TrainingError, match="the loss is nan on validation after epoch 1"):
        list(train_epochs(state, TRAINING, VALIDATION, TrainingConfig(epochs=1)))
    assert not state.best


def test_of_equal_accuracies_the_lower_loss_is_better() -> None:
    result = EpochResult(1, 0.5, 0.5, 0.4, 0.9, 0.1, 1.0, 10, 0.0, False)
    lower = EpochResult(2, 0.5, 0.5, 0.3, 0.9, 0.1, 1.0, 10, 0.0, False)
    assert loop.score(lower, TrainingConfig(monitor="accuracy")) > loop.score(
        result, TrainingConfig(monitor="accuracy")
    )


def test_a_checkpoint_of_another_version_or_with_missing_parts_is_refused(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, batch_size=8)
    state, _ = run(config)
    state.save(tmp_path / "run", {"seed": 0})
    tensors, metadata = safetensors.torch.load_file(tmp_path / "run"), {}
    with safetensors.safe_open(tmp_path / "run", "pt") as file:
        metadata = file.metadata()

    def refused(without: str, **changed: str) -> None:
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(without)}
        safetensors.torch.save_file(kept, tmp_path / "bad", {**metadata, **changed})
        target = fresh(config)
        before = target.model.arrays()
        with pytest.raises(ResumeError):
            target.restore(tmp_path / "bad", {"seed": 0})
        assert all((target.model.arrays()[name] == before[name]).all() for name in before)

    refused("adam.exp_avg.")
    refused("best.")
    refused("weights.output")
    refused("none", checkpoint_version="99")
    refused("none", identity="[]")
