"""A classifier as a folder of plain PyTorch: weights, and a module that needs nothing of fastlstm."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm.errors import MissingDependencyError
from fastlstm.serialization import atomic, weights
from fastlstm.serialization.classifier import SavedModel

MODULE = Path(__file__).parent / "pytorch_module.py"


def write_pytorch(model: SavedModel, folder: Path) -> None:
    """Writes `weights.pt`, `model.py` and `tokenizer.json`, whole or not at all.

    Raises `MissingDependencyError` without PyTorch, `WriteError`.
    """
    atomic.write_folder(
        folder,
        {
            "weights.pt": _weights(model),
            "model.py": MODULE.read_bytes(),
            "tokenizer.json": model.tokenizer.to_str().encode(),
        },
    )


def state_of(model: SavedModel) -> dict[str, Any]:
    """Name -> array, as the module's `state_dict` has them: each LSTM has the one bias, and zeros for the other."""
    state: dict[str, Any] = {"embedding.weight": model.weights["embedding.weight"]}
    for of in weights.directions(model.config):
        end = "_reverse" if of.reverse else ""
        for own, name in (("weight_ih", "weight_ih_l0"), ("weight_hh", "weight_hh_l0"), ("bias", "bias_ih_l0")):
            state[f"layers.{of.layer}.{name}{end}"] = model.weights[f"{of.prefix}.{own}"]
        state[f"layers.{of.layer}.bias_hh_l0{end}"] = np.zeros(4 * of.hidden_size, np.float32)
    return {**state, "output.weight": model.weights["output.weight"], "output.bias": model.weights["output.bias"]}


def shape_of(model: SavedModel) -> Mapping[str, Any]:
    """What the module is made from."""
    config = model.config
    return {
        "vocabulary_size": config.vocabulary_size,
        "embedding_size": config.embedding_size,
        "hidden_sizes": list(config.hidden_sizes),
        "bidirectional": config.bidirectional,
        "pooling": config.pooling,
        "logits": len(model.weights["output.bias"]),
        "activation": "sigmoid" if weights.uses_sigmoid(config, len(model.labels)) else "softmax",
        "temperature": float(model.temperature),
        "labels": list(model.labels),
        "max_tokens": config.max_tokens,
        "truncate": config.truncate,
        "padding": config.padding,
        "threshold": float(model.threshold),
    }


def _weights(model: SavedModel) -> bytes:
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("exporting to PyTorch", "PyTorch", "train") from None
    content = io.BytesIO()
    tensors = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in state_of(model).items()}
    torch.save({"shape": dict(shape_of(model)), "weights": tensors}, content)
    return content.getvalue()
