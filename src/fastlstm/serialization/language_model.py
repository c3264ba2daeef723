"""A language model <-> one folder. The format is specified in docs/language-models.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from tokenizers import Tokenizer

from fastlstm.config import LanguageModelConfig, from_json
from fastlstm.serialization import atomic, weights
from fastlstm.serialization.folder import (
    CARD,
    CONFIG,
    LANGUAGE_MODEL,
    TOKENIZER,
    WEIGHTS,
    check_target,
    config_errors,
    json_bytes,
    read_arrays,
    read_checked,
    read_config,
    read_tokenizer,
    sha256,
)
from fastlstm.serialization.quantization import quantize

LANGUAGE_MODEL_FORMAT = LANGUAGE_MODEL
BACKWARD = "the encoder reads texts backward only; a classifier begins from one that reads forward, or both ways"


@dataclass(frozen=True)
class SavedLanguageModel:
    """Everything a language model needs to be used, fine-tuned or trained on, and the record of how it was trained.

    `weights` are float32 arrays with the names and shapes of `fastlstm.serialization.weights.language_model_shapes`.
    """

    config: LanguageModelConfig
    tokenizer: Tokenizer
    weights: Mapping[str, npt.NDArray[np.float32]]
    training: Mapping[str, Any] = field(default_factory=dict)


def write_language_model(
    model: SavedLanguageModel, folder: Path, *, card: str, extras: Mapping[str, bytes], storage: str = "float32"
) -> None:
    """Writes the model as `folder`, whole or not at all, in place of an older language model there.

    Args:
        model: what to write.
        folder: where; made with its parents. Must be free, or an older language model.
        card: the model card, Markdown.
        extras: further files, name -> content.
        storage: what weights are kept as, see `fastlstm.serialization.quantization`.

    Raises:
        InputError: `folder` holds something else.
        WriteError: the disk is full or can't be written; what stood there is untouched.
    """
    check_target(folder, LANGUAGE_MODEL_FORMAT, overwrite=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in quantize(model.weights, storage).items()}
    files = {
        TOKENIZER: model.tokenizer.to_str(pretty=False).encode(),
        WEIGHTS: safetensors.numpy.save(arrays),
    }
    config = {
        **LANGUAGE_MODEL_FORMAT.header(),
        "model": dataclasses.asdict(model.config),
        "sha256": {name: sha256(content) for name, content in files.items()},
        "training": dict(model.training),
    }
    atomic.write_folder(folder, {CONFIG: json_bytes(config), **files, CARD: card.encode(), **extras})


def read_language_model(folder: Path) -> SavedLanguageModel:
    """The language model in `folder`, checked in every part.

    Raises:
        ModelNotFoundError: no such folder.
        NotAModelError: a folder or file that is something else.
        ModelTooNewError: written by a later format.
        CorruptModelError: a file is missing, damaged, or does not fit the others.
    """
    config = read_config(folder, LANGUAGE_MODEL_FORMAT)
    with config_errors(folder):
        model = from_json(LanguageModelConfig, config["model"])
        sums, training = dict(config["sha256"]), dict(config["training"])
    contents = {name: read_checked(folder, name, sums.get(name)) for name in (TOKENIZER, WEIGHTS)}
    tokenizer = read_tokenizer(folder, contents[TOKENIZER], model.vocabulary_size)
    floats, _ = read_arrays(folder, contents[WEIGHTS], weights.language_model_shapes(model))
    return SavedLanguageModel(
        config=model,
        tokenizer=tokenizer,
        weights=floats,
        training=training,
    )
