"""On a GPU: the same model learns the same thing, with float16 arithmetic. Skipped where there is none."""

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
from fastlstm.training.prepare import prepare

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

RECORDS = Dataset(
    [f"{word} film number {i}" for i in range(30) for word in ("great", "dull")], ["good", "bad"] * 30
)
MODEL = ModelConfig(embedding_size=8, hidden_sizes=(16,), bidirectional=True, pooling="concat", dropout=0.1)
TRAINING = TrainingConfig(epochs=12, batch_size=8, learning_rate=0.02)


def test_it_learns_on_a_gpu_what_it_learns_on_a_cpu() -> None:
    for device in ("cpu", "cuda"):
        fitting = prepare(RECORDS, RECORDS, MODEL, TRAINING, device=device, cap_vocabulary=True)
        history = [event for event in fitting.epochs() if isinstance(event, EpochResult)]
        assert history[-1].validation_accuracy == 1
        assert fitting.identity["device"] == device


def test_a_gpu_gives_a_cpu_s_logits() -> None:
    logits = []
    for device in ("cpu", "cuda"):
        fitting = prepare(RECORDS, RECORDS, MODEL, TRAINING, device=device, cap_vocabulary=True)
        logits.append(compute_logits(fitting.state.model, fitting.validation.texts).numpy())
    np.testing.assert_allclose(logits[0], logits[1], atol=5e-3)


def test_a_stacked_language_model_learns_on_a_gpu_what_it_learns_on_a_cpu() -> None:
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
    lost = []
    for device in ("cpu", "cuda"):
        state = make_state(config, training, torch.device(device))
        epochs = [event for event in train_steps(state, texts, training) if isinstance(event, LanguageModelEpoch)]
        assert epochs[-1].loss < 0.7 * epochs[0].loss
        lost.append(np.mean(state.model.sum_losses(texts)) / sum(len(ids) + 1 for ids in texts))
    assert lost[1] == pytest.approx(lost[0], rel=0.1)


def test_both_directions_at_once_are_the_two_read_apart() -> None:
    texts = [np.arange(2, 2 + length, dtype=np.int32) for length in (9, 7, 7, 1)]
    model = TextClassifier(dataclasses.replace(MODEL, vocabulary_size=20), 2, seed=1).to("cuda")
    batch = pack_batch(texts)
    apart = model.features(batch)
    with autocast(torch.device("cuda")):
        together = model.features(batch)
    torch.testing.assert_close(together.float(), apart, atol=1e-2, rtol=0)


def test_an_output_layer_is_fitted_on_a_gpu() -> None:
    fitting = prepare(RECORDS, RECORDS, MODEL, TRAINING, device="cuda", cap_vocabulary=True)
    fit_head(fitting.state.model, fitting.training, fitting.validation)
    logits = compute_logits(fitting.state.model, fitting.validation.texts)
    right = fitting.state.model.predicted(logits).numpy() == fitting.validation.classes
    assert right.mean() > 0.9
