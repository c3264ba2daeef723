"""The network in float64, written out from the equations, on word vectors that PyTorch differentiates by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fastlstm.config import ModelConfig
from fastlstm.serialization import weights

Steps = dict[str, list[Tensor]]


def steps_of(
    config: ModelConfig, arrays: Mapping[str, npt.NDArray[np.float32]], vectors: Tensor
) -> dict[str, Steps]:
    """By each layer's and direction's prefix, i, f, g, o, c and h [H] of every token of vectors [T, I]."""
    found: dict[str, Steps] = {}
    inputs, outputs = vectors, list[Tensor]()
    for of in weights.directions(config):
        if not of.reverse and of.layer:
            inputs, outputs = torch.cat(outputs, 1), []
        weight_ih, weight_hh, bias = (
            torch.from_numpy(arrays[f"{of.prefix}.{name}"]).double() for name in ("weight_ih", "weight_hh", "bias")
        )
        h = c = torch.zeros(of.hidden_size, dtype=torch.float64)
        steps: Steps = {name: [] for name in "ifgoch"}
        for x in reversed(inputs) if of.reverse else inputs:
            gates = torch.split(weight_ih @ x + weight_hh @ h + bias, of.hidden_size)
            i, f, o = (torch.sigmoid(gates[k]) for k in (0, 1, 3))
            g = torch.tanh(gates[2])
            c = f * c + i * g
            h = o * torch.tanh(c)
            for name, value in zip("ifgoch", (i, f, g, o, c, h), strict=True):
                steps[name].append(value)
        if of.reverse:
            steps = {name: values[::-1] for name, values in steps.items()}
        found[of.prefix] = steps
        outputs.append(torch.stack(steps["h"]))
    return found


def features(config: ModelConfig, arrays: Mapping[str, npt.NDArray[np.float32]], vectors: Tensor) -> Tensor:
    """[F] what pooling makes of vectors [T, I]."""
    steps = steps_of(config, arrays, vectors)
    last_layer = [of for of in weights.directions(config) if of.layer == len(config.hidden_sizes) - 1]
    outputs = [torch.stack(steps[of.prefix]["h"]) for of in last_layer]
    pooled = {
        "last": [h[0 if of.reverse else -1] for of, h in zip(last_layer, outputs, strict=True)],
        "max": [h.amax(0) for h in outputs],
        "mean": [h.mean(0) for h in outputs],
    }
    names = ("last", "max", "mean") if config.pooling == "concat" else (config.pooling,)
    return torch.cat([part for name in names for part in pooled[name]])
