"""The LSTM layers and pooling in float64, written from the equations, differentiable by PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.serialization import weights

Steps = dict[str, list[Tensor]]


def lstm_steps(config: ModelConfig, arrays: Mapping[str, FloatArray], vectors: Tensor) -> dict[str, Steps]:
    """Return i, f, g, o, c and h [H] of each token of `vectors` [T, I], by the prefix of the layer and direction."""
    result: dict[str, Steps] = {}
    inputs, outputs = vectors, list[Tensor]()
    for spec in weights.directions(config):
        if not spec.reverse and spec.layer:
            inputs, outputs = torch.cat(outputs, 1), []
        weight_ih, weight_hh, bias = (
            torch.from_numpy(arrays[f"{spec.prefix}.{name}"]).double()
            for name in ("weight_ih", "weight_hh", "bias")
        )
        h = c = torch.zeros(spec.hidden_size, dtype=torch.float64)
        steps: Steps = {name: [] for name in "ifgoch"}
        for x in reversed(inputs) if spec.reverse else inputs:
            gates = torch.split(weight_ih @ x + weight_hh @ h + bias, spec.hidden_size)
            i, f, o = (torch.sigmoid(gates[k]) for k in (0, 1, 3))
            g = torch.tanh(gates[2])
            c = f * c + i * g
            h = o * torch.tanh(c)
            for name, value in zip("ifgoch", (i, f, g, o, c, h), strict=True):
                steps[name].append(value)
        if spec.reverse:
            steps = {name: values[::-1] for name, values in steps.items()}
        result[spec.prefix] = steps
        outputs.append(torch.stack(steps["h"]))
    return result


def lstm_features(config: ModelConfig, arrays: Mapping[str, FloatArray], vectors: Tensor) -> Tensor:
    """Return the pooled features [F] of word vectors [T, I]."""
    steps = lstm_steps(config, arrays, vectors)
    last_layer = [spec for spec in weights.directions(config) if spec.layer == len(config.hidden_sizes) - 1]
    outputs = [torch.stack(steps[spec.prefix]["h"]) for spec in last_layer]
    pooled = {
        "last": [h[0 if spec.reverse else -1] for spec, h in zip(last_layer, outputs, strict=True)],
        "max": [h.amax(0) for h in outputs],
        "mean": [h.mean(0) for h in outputs],
    }
    names = ("last", "max", "mean") if config.pooling == "concat" else (config.pooling,)
    return torch.cat([part for name in names for part in pooled[name]])
