"""Saved language models: configuration, tokenizer and weights in one folder. Format: docs/language-models.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from tokenizers import Tokenizer

from fastlstm._typing import FloatArray
from fastlstm.config import LanguageModelConfig, from_json
from fastlstm.errors import OptionError
from fastlstm.serialization import atomic, weights
from fastlstm.serialization.folder import (
    CARD,
    CONFIG,
    LANGUAGE_MODEL_FORMAT,
    TOKENIZER,
    WEIGHTS,
    check_target,
    config_errors,
    json_bytes,
    read_arrays,
    read_config,
    read_tokenizer,
    read_verified,
    sha256,
)
from fastlstm.serialization.quantization import quantize
from fastlstm.text.segmentation import cleans_text


@dataclass(frozen=True)
class SavedLanguageModel:
    """Everything needed to use, fine-tune or keep training a language model, and the training record.

    `weights` are float32 arrays with the names and shapes of
    `fastlstm.serialization.weights.language_model_shapes`.
    """

    config: LanguageModelConfig
    tokenizer: Tokenizer
    weights: Mapping[str, FloatArray]
    training: Mapping[str, Any] = field(default_factory=dict)


def check_encoder_direction(direction: str) -> None:
    """Raise `OptionError` if no classifier can start from a language model of this direction."""
    if direction == "backward":
        raise OptionError(
            "the encoder reads texts backward only; expected a language model with direction forward or both",
            code="backward-encoder",
            direction=direction,
        )


def write_language_model(
    model: SavedLanguageModel, folder: Path, *, card: str, extras: Mapping[str, bytes], storage: str = "float32"
) -> None:
    """Write the model to `folder` atomically, replacing an older language model.

    Args:
        model: The model.
        folder: The target, created with its parents.
        card: The model card, Markdown.
        extras: Further files, name -> content.
        storage: The stored type of the weights, see `fastlstm.serialization.quantization`.

    Raises:
        InputError: `folder` contains something other than a language model.
        WriteError: Writing failed; existing files are unchanged.
    """
    check_target(folder, LANGUAGE_MODEL_FORMAT, overwrite=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in quantize(model.weights, storage).items()}
    files = {
        TOKENIZER: model.tokenizer.to_str(pretty=False).encode(),
        WEIGHTS: safetensors.numpy.save(arrays),
    }
    config = {
        **LANGUAGE_MODEL_FORMAT.header(_required_version(model)),
        "model": _model_fields(model.config),
        "sha256": {name: sha256(content) for name, content in files.items()},
        "training": dict(model.training),
    }
    atomic.write_folder(folder, {CONFIG: json_bytes(config), **files, CARD: card.encode(), **extras})


def parse_language_model_config(fields: Mapping[str, Any]) -> LanguageModelConfig:
    """Return the shape in config.json, which has no `tokens` up to version 2. Errors are those of `from_json`."""
    required = [f.name for f in dataclasses.fields(LanguageModelConfig) if f.name != "tokens"]
    return from_json(LanguageModelConfig, fields, required=required)


def _required_version(model: SavedLanguageModel) -> int:
    """Return the first version that has all that the model uses, see docs/language-models.md."""
    if model.config.tokens != "words":
        return 3
    return 2 if cleans_text(model.tokenizer) else 1


def _model_fields(config: LanguageModelConfig) -> dict[str, Any]:
    fields = dataclasses.asdict(config)
    if config.tokens == "words":
        del fields["tokens"]
    return fields


def read_language_model(folder: Path) -> SavedLanguageModel:
    """Read and check the language model in `folder`.

    Raises:
        ModelNotFoundError: The folder does not exist.
        NotAModelError: It is not a language model.
        ModelTooNewError: A later version of fastlstm wrote it.
        CorruptModelError: A file is missing, damaged, or inconsistent with the others.
    """
    config = read_config(folder, LANGUAGE_MODEL_FORMAT)
    with config_errors(folder):
        model = parse_language_model_config(config["model"])
        checksums, training = dict(config["sha256"]), dict(config["training"])
    contents = {name: read_verified(folder, name, checksums.get(name)) for name in (TOKENIZER, WEIGHTS)}
    tokenizer = read_tokenizer(folder, contents[TOKENIZER], model.vocabulary_size)
    arrays, _ = read_arrays(folder, contents[WEIGHTS], weights.language_model_shapes(model))
    return SavedLanguageModel(config=model, tokenizer=tokenizer, weights=arrays, training=training)
