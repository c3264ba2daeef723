"""Training in bfloat16: what is trained multiplies in it, what is only computed does not; seeds still decide."""

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

native = kernel_lstm.kernel()
needs_bfloat16 = pytest.mark.skipif(
    native is None or not native.supports("bfloat16"), reason="the processor multiplies no bfloat16, or has no kernel"
)
BATCH = pack_batch([np.arange(length, dtype=np.int32) * 7 % 11 for length in (9, 7, 5, 3, 1)])
MODEL = ModelConfig(vocabulary_size=23, embedding_size=5, hidden_sizes=(7, 3), bidirectional=True)


def layer() -> LSTMDirection:
    torch.manual_seed(3)
    return LSTMDirection(3, 5, reverse=True)


def gradients(precision: str) -> dict[str, Tensor]:
    of, inputs = layer(), torch.randn(len(BATCH.ids), 3, generator=torch.Generator().manual_seed(1))
    with training_numerics(precision):
        outputs, last = of(inputs, BATCH)
        (outputs.square().sum() + last.sum()).backward()
    weights: dict[str, Any] = {"ih": of.weight_ih.grad, "hh": of.weight_hh.grad, "bias": of.bias.grad}
    return {"outputs": outputs.detach(), **weights}


@needs_bfloat16
def test_what_is_trained_multiplies_in_it() -> None:
    narrow, wide = gradients("bfloat16"), gradients("float32")
    for name, value in wide.items():
        difference = float((narrow[name] - value).norm() / value.norm())
        assert 1e-5 < difference < 2e-2, name


@needs_bfloat16
def test_what_is_only_computed_does_not() -> None:
    of, inputs = layer(), torch.randn(len(BATCH.ids), 3)
    with torch.no_grad():
        wide, _ = of(inputs, BATCH)
        with training_numerics("bfloat16"):
            inside, _ = of(inputs, BATCH)
    assert torch.equal(wide, inside)


def test_it_is_asked_for_inside_alone() -> None:
    assert kernel_lstm.current_precision() == "float32"
    with training_numerics("bfloat16"):
        there = native is not None and native.supports("bfloat16")
        assert kernel_lstm.current_precision() == ("bfloat16" if there else "float32")
        with training_numerics():
            assert kernel_lstm.current_precision() == "float32"
    assert kernel_lstm.current_precision() == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_learns_and_its_seed_decides_its_bits(precision: str) -> None:
    generator = np.random.default_rng(0)
    ids = [generator.integers(3, 23, generator.integers(1, 19)).astype(np.int32) for _ in range(77)]
    truth = generator.integers(0, 2, 77)
    for text, label in zip(ids, truth, strict=True):
        text[generator.integers(len(text))] = 2 if label else text[0]
    texts = LabelledIds(ids, truth)
    config = TrainingConfig(epochs=12, batch_size=8, learning_rate=0.02, patience=12, precision=precision)  # type: ignore[arg-type]

    def run() -> tuple[list[float], bytes]:
        model = TextClassifier(MODEL, 2, seed=0)
        events = train_epochs(TrainingState(model, make_optimizer(model, config)), texts, texts, config)
        losses = [event.loss for event in events if isinstance(event, EpochResult)]
        return losses, compute_logits(model, ids).numpy().tobytes()

    losses, bits = run()
    assert losses[-1] < 0.3 < losses[0]
    assert run() == (losses, bits)
