"""How well a language model in training foretells texts, by PyTorch: what a GPU tells sooner than the kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from fastlstm.batches import by_length, lengths_of, packed
from fastlstm.tokens import BOUNDARY_ID
from fastlstm.training import pytorch_lstm
from fastlstm.training.language_model.network import LanguageModelNetwork, LanguageModelNetworks
from fastlstm.training.layer import LSTMDirection
from fastlstm.training.transfer import Coming, sent

Ids = npt.NDArray[np.int32]

BATCH_TEXTS = 128
SCORED_ROWS = 8192
"""Tokens whose scores over the whole vocabulary are in memory at a time."""


def summed_losses(model: LanguageModelNetworks, texts: Sequence[Ids]) -> list[float]:
    """The summed loss (nats) of all texts, each between two boundaries, by each direction, in float32."""
    with torch.inference_mode():
        return [_summed_loss(model, network, texts) for network in model.each()]


def _summed_loss(model: LanguageModelNetworks, network: LanguageModelNetwork, texts: Sequence[Ids]) -> float:
    device = model.bias.device
    boundary = np.array([BOUNDARY_ID], np.int32)
    turned = texts if network.direction == "forward" else [ids[::-1] for ids in texts]
    between = [np.concatenate([boundary, ids, boundary]) for ids in turned]
    total = torch.zeros((), dtype=torch.float64, device=device)
    for members in by_length(lengths_of(between), BATCH_TEXTS):
        batch = packed([between[i][:-1] for i in members])
        outputs: Tensor = model.embedding.weight[sent(batch.ids, device).long()]
        for layer in network.layers:
            assert isinstance(layer, LSTMDirection)
            outputs, _ = pytorch_lstm.lstm(layer.lstm, outputs, batch)
        if network.projection is not None:
            outputs = outputs @ network.projection.T
        expected = sent(packed([between[i][1:] for i in members]).ids, device).long()
        for at in range(0, len(outputs), SCORED_ROWS):
            rows = slice(at, at + SCORED_ROWS)
            scores = outputs[rows] @ model.embedding.weight.T + model.bias
            total += functional.cross_entropy(scores, expected[rows], reduction="sum")
    return Coming(total)()
