"""Export a classifier as a folder of plain PyTorch: weights, and a module that does not import fastlstm."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm._typing import AnyArray
from fastlstm.convert.export import golden_entries, without_ngrams
from fastlstm.errors import MissingDependencyError
from fastlstm.inference.features import EMPTY_TEXT_ID, reads_empty_texts_as_zeros
from fastlstm.serialization import atomic, weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.serialization.folder import json_bytes
from fastlstm.text.ngrams import NGRAM_ID_COUNT, NGRAM_KINDS

MODULE_FILE = Path(__file__).parent / "pytorch_module.py"
FILE_NAMES = ("weights.pt", "model.py", "tokenizer.json", "golden.json")


def write_pytorch(model: SavedModel, folder: Path, *, ngrams: bool = True) -> None:
    """Write the files `FILE_NAMES`; if anything fails, an existing folder stays as it is.

    `ngrams` false leaves the n-grams of the model out.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        OptionError: `ngrams` is false for a linear model.
        WriteError: The folder cannot be written.
    """
    if not ngrams and model.config.ngrams:
        model = without_ngrams(model)
    contents = (
        _weights_file(model),
        MODULE_FILE.read_bytes(),
        model.tokenizer.to_str().encode(),
        json_bytes(golden_entries(model)),
    )
    atomic.write_folder(folder, dict(zip(FILE_NAMES, contents, strict=True)))


def state_dict(model: SavedModel) -> dict[str, AnyArray]:
    """Return the arrays by their names in the module; the second bias of each LSTM is zero."""
    state: dict[str, AnyArray] = {"embedding.weight": model.weights["embedding.weight"]}
    for direction in weights.directions(model.config):
        suffix = "_reverse" if direction.reverse else ""
        prefix = f"layers.{direction.layer}"
        state[f"{prefix}.weight_ih_l0{suffix}"] = model.weights[f"{direction.prefix}.weight_ih"]
        state[f"{prefix}.weight_hh_l0{suffix}"] = model.weights[f"{direction.prefix}.weight_hh"]
        state[f"{prefix}.bias_ih_l0{suffix}"] = model.weights[f"{direction.prefix}.bias"]
        state[f"{prefix}.bias_hh_l0{suffix}"] = np.zeros(4 * direction.hidden_size, np.float32)
    for number, (prefix, _, _) in enumerate(weights.dense_layers(model.config)):
        for name in ("weight", "bias"):
            state[f"dense.{number}.{name}"] = model.weights[f"{prefix}.{name}"]
    bias = model.weights["output.bias"]
    return {
        **state,
        "output.weight": model.weights["output.weight"],
        "output.bias": bias,
        "ngram_ids": model.integer_arrays.get("wide.ngrams", np.zeros(0)).astype(np.int64),
        "ngram_weight": model.weights.get("wide.weight", np.zeros((0, len(bias)), np.float32)),
    }


def module_options(model: SavedModel) -> dict[str, Any]:
    """Return the argument `shape` of the module."""
    config = model.config
    return {
        "vocabulary_size": config.vocabulary_size,
        "embedding_size": config.embedding_size,
        "hidden_sizes": list(config.hidden_sizes),
        "bidirectional": config.bidirectional,
        "pooling": config.pooling,
        "dense_sizes": list(config.dense_sizes),
        "dense_activations": list(config.dense_activations),
        "empty_text_id": EMPTY_TEXT_ID if reads_empty_texts_as_zeros(config) else None,
        "logits": len(model.weights["output.bias"]),
        "activation": "sigmoid" if weights.uses_sigmoid(config, len(model.labels)) else "softmax",
        "temperature": float(model.temperature),
        "labels": list(model.labels),
        "max_tokens": config.max_tokens,
        "truncate": config.truncate,
        "padding": config.padding,
        "text_cleaning": model.text_cleaning,
        "unknown_words": config.unknown_words,
        "threshold": float(model.threshold),
        "ngrams": config.ngrams,
        "ngram_id_count": NGRAM_ID_COUNT,
        "ngram_kinds": [
            (kind.tag, list(kind.offsets), kind.beginning, kind.end) for kind in NGRAM_KINDS[config.ngram_kinds]
        ],
    }


def _weights_file(model: SavedModel) -> bytes:
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("exporting to PyTorch", "PyTorch", "train") from None
    content = io.BytesIO()
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in state_dict(model).items()}
    torch.save({"shape": module_options(model), "weights": tensors}, content)
    return content.getvalue()
