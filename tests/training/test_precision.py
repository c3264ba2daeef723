"""Training in bfloat16: passes with gradients use it, others do not, and the seed determines the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fastlstm.config import ModelConfig, TrainingConfig
from fastlstm.nn import kernel_lstm
from fastlstm.nn.layers import LSTMDirection
from fastlstm.nn.numerics import training_numerics
from fastlstm.text.batches import pack_batch
from fastlstm.training.events import EpochResult
from fastlstm.training.loop import LabelledIds, TrainingState, compute_logits, make_optimizer, train_epochs
from fastlstm.training.model import TextClassifier

needs_bfloat16 = pytest.mark.skipif(
    kernel_lstm.effective_precision("bfloat16") != "bfloat16", reason="no bfloat16 on this processor, or no kernel"
)
BATCH = pack_batch([np.arange(length, dtype=np.int32) * 7 % 11 for length in (9, 7, 5, 3, 1)])
MODEL = ModelConfig(vocabulary_size=23, embedding_size=5, hidden_sizes=(7, 3), bidirectional=True)


def make_layer() -> LSTMDirection:
    torch.manual_seed(3)
    return LSTMDirection(3, 5, reverse=True)


def outputs_and_gradients(precision: str) -> dict[str, Tensor]:
    layer, inputs = make_layer(), torch.randn(len(BATCH.ids), 3, generator=torch.Generator().manual_seed(1))
    with training_numerics(precision):
        outputs, last = layer(inputs, BATCH)
        (outputs.square().sum() + last.sum()).backward()
    weights: dict[str, Any] = {"ih": layer.weight_ih.grad, "hh": layer.weight_hh.grad, "bias": layer.bias.grad}
    return {"outputs": outputs.detach(), **weights}


@needs_bfloat16
def test_passes_with_gradients_use_bfloat16() -> None:
    rounded, exact = outputs_and_gradients("bfloat16"), outputs_and_gradients("float32")
    for name, value in exact.items():
        difference = float((rounded[name] - value).norm() / value.norm())
        assert 1e-5 < difference < 2e-2, name


@needs_bfloat16
def test_passes_without_gradients_use_float32() -> None:
    layer, inputs = make_layer(), torch.randn(len(BATCH.ids), 3)
    with torch.no_grad():
        outside, _ = layer(inputs, BATCH)
        with training_numerics("bfloat16"):
            inside, _ = layer(inputs, BATCH)
    assert torch.equal(outside, inside)


def test_precision_applies_inside_the_context_only() -> None:
    assert kernel_lstm.current_precision() == "float32"
    with training_numerics("bfloat16"):
        assert kernel_lstm.current_precision() == kernel_lstm.effective_precision("bfloat16")
        with training_numerics():
            assert kernel_lstm.current_precision() == "float32"
    assert kernel_lstm.current_precision() == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_converges_and_is_reproducible(precision: Any) -> None:
    generator = np.random.default_rng(0)
    ids = [generator.integers(3, 23, generator.integers(1, 19)).astype(np.int32) for _ in range(77)]
    classes = generator.integers(0, 2, 77)
    for text, label in zip(ids, classes, strict=True):
        text[generator.integers(len(text))] = 2 if label else text[0]
    texts = LabelledIds(ids, classes)
    config = TrainingConfig(epochs=12, batch_size=8, learning_rate=0.02, patience=12, precision=precision)

    def run() -> tuple[list[float], bytes]:
        model = TextClassifier(MODEL, 2, seed=0)
        events = train_epochs(TrainingState(model, make_optimizer(model, config)), texts, texts, config)
        losses = [event.loss for event in events if isinstance(event, EpochResult)]
        return losses, compute_logits(model, ids).numpy().tobytes()

    losses, bits = run()
    assert losses[-1] < 0.3 < losses[0]
    assert run() == (losses, bits)
