"""Training on a GPU, in float16, agrees with training on a CPU. Skipped without a CUDA device."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig, ModelConfig, TrainingConfig
from fastlstm.data import Dataset
from fastlstm.language_model.loop import LanguageModelEpoch, make_state, train_steps
from fastlstm.nn.numerics import autocast
from fastlstm.text.batches import pack_batch
from fastlstm.training.events import EpochResult
from fastlstm.training.finetuning import fit_head
from fastlstm.training.loop import compute_logits
from fastlstm.training.model import TextClassifier
from fastlstm.training.prepare import PreparedRun, prepare

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

DATASET = Dataset(
    [f"{word} film number {i}" for i in range(30) for word in ("great", "dull")], ["good", "bad"] * 30
)
MODEL = ModelConfig(embedding_size=8, hidden_sizes=(16,), bidirectional=True, pooling="concat", dropout=0.1)
TRAINING = TrainingConfig(epochs=12, batch_size=8, learning_rate=0.02)
DEVICES = ("cpu", "cuda")


def prepare_run(device: str) -> PreparedRun:
    return prepare(DATASET, DATASET, MODEL, TRAINING, device=device, cap_vocabulary=True)


@pytest.mark.parametrize("device", DEVICES)
def test_classifier_is_trained_to_perfect_accuracy(device: str) -> None:
    run = prepare_run(device)
    history = [event for event in run.epochs() if isinstance(event, EpochResult)]
    assert history[-1].validation_accuracy == 1
    assert run.identity["device"] == device


def test_logits_agree() -> None:
    cpu, cuda = (compute_logits(run.state.model, run.validation.texts).numpy() for run in map(prepare_run, DEVICES))
    np.testing.assert_allclose(cpu, cuda, atol=5e-3)


def test_language_models_reach_the_same_loss() -> None:
    config = LanguageModelConfig(vocabulary_size=31, embedding_size=8, hidden_sizes=(16, 12), direction="both")
    training = LanguageModelTrainingConfig(
        epochs=20,
        streams=4,
        window=8,
        samples=31,
        learning_rate=0.02,
        warmup=0,
        weight_dropout=0.1,
        input_dropout=0.1,
    )
    texts = [np.arange(start, start + 9, dtype=np.int32) for start in range(2, 20) for _ in range(3)]
    losses = []
    for device in DEVICES:
        state = make_state(config, training, torch.device(device))
        epochs = [event for event in train_steps(state, texts, training) if isinstance(event, LanguageModelEpoch)]
        assert epochs[-1].loss < 0.7 * epochs[0].loss
        losses.append(np.mean(state.model.sum_losses(texts)) / sum(len(ids) + 1 for ids in texts))
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_both_directions_at_once_agree_with_one_after_the_other() -> None:
    texts = [np.arange(2, 2 + length, dtype=np.int32) for length in (9, 7, 7, 1)]
    model = TextClassifier(dataclasses.replace(MODEL, vocabulary_size=20), 2, seed=1).to("cuda")
    batch = pack_batch(texts)
    separate = model.features(batch)
    with autocast(torch.device("cuda")):
        together = model.features(batch)
    torch.testing.assert_close(together.float(), separate, atol=1e-2, rtol=0)


def test_output_layer_is_fitted() -> None:
    run = prepare_run("cuda")
    fit_head(run.state.model, run.training, run.validation)
    logits = compute_logits(run.state.model, run.validation.texts)
    correct = run.state.model.predicted(logits).numpy() == run.validation.classes
    assert correct.mean() > 0.9
