"""On a GPU: the same model learns the same thing, with bfloat16 arithmetic. Skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.records import Records
from fastlstm.training.fitting import prepare
from fastlstm.training.history import EpochResult
from fastlstm.training.loop import logits_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

RECORDS = Records(
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
        logits.append(logits_of(fitting.state.model, fitting.validation.texts).numpy())
    np.testing.assert_allclose(logits[0], logits[1], atol=5e-3)
