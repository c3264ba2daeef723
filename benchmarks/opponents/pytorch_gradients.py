"""Integrated gradients of unidirectional models by PyTorch's autograd: the same points as fastlstm, in one batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.serialization.classifier import SavedModel


class Opponent:
    """The layers of a saved model, and one output weight per feature."""

    def __init__(self, model: SavedModel, weight: FloatArray, threads: int) -> None:
        self.threads, config = threads, model.config
        self.pooling, self.weight = config.pooling, torch.from_numpy(weight)
        self.embedding = torch.from_numpy(model.weights["embedding.weight"])
        self.layers: list[nn.LSTM] = []
        size = config.embedding_size
        for number, units in enumerate(config.hidden_sizes):
            layer = nn.LSTM(size, units)
            for name, parameter in layer.named_parameters():
                parameter.requires_grad_(False)
                parameter.zero_()
                source = {"weight_ih_l0": "weight_ih", "weight_hh_l0": "weight_hh", "bias_ih_l0": "bias"}.get(name)
                if source is not None:
                    parameter.copy_(torch.from_numpy(model.weights[f"lstm.{number}.forward.{source}"]))
            self.layers.append(layer)
            size = units

    def __call__(self, ids: TokenIds, nodes: FloatArray, node_weights: FloatArray) -> FloatArray:
        """Return the attribution of each token, [T]."""
        torch.set_num_threads(self.threads)
        vectors = self.embedding[torch.from_numpy(ids.astype(np.int64))]
        points = (vectors[:, None] * torch.from_numpy(nodes)[None, :, None]).requires_grad_()
        outputs = points
        for layer in self.layers:
            outputs, _ = layer(outputs)
        pooled = {"last": outputs[-1], "max": outputs.amax(0), "mean": outputs.mean(0)}
        names = ("last", "max", "mean") if self.pooling == "concat" else (self.pooling,)
        logits = torch.cat([pooled[name] for name in names], 1) @ self.weight
        (gradient,) = torch.autograd.grad(logits @ torch.from_numpy(node_weights), points)
        attributions: FloatArray = torch.einsum("tbi,ti->t", gradient, vectors).numpy()
        return attributions
