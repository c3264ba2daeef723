"""Configuration, tokenizer and weights <-> one folder. The format is specified in docs/saved-model.md."""

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

from fastlstm.config import ModelConfig, from_json
from fastlstm.errors import OptionError
from fastlstm.serialization import atomic, weights
from fastlstm.serialization import folder as model_folder
from fastlstm.serialization.early_exit import EarlyExit
from fastlstm.serialization.folder import CARD, CONFIG, TOKENIZER, WEIGHTS
from fastlstm.serialization.quantization import quantize
from fastlstm.text.ngrams import NUMBERS

CLASSIFIER_FORMAT = model_folder.CLASSIFIER
GOLDEN = "golden.json"
FIRST_FIELDS = (
    "vocabulary_size",
    "max_tokens",
    "truncate",
    "embedding_size",
    "hidden_sizes",
    "bidirectional",
    "pooling",
    "dropout",
    "activation",
)
"""What version 1 says of a model. A later field that a folder does not have is at its default."""
THRESHOLD = 0.5
"""The decision threshold where none was chosen."""


@dataclass(frozen=True)
class SavedModel:
    """Everything inference needs, and the record of how it was trained.

    `labels` are the class names in the order of the probabilities; `weights` are float32 arrays with the names and
    shapes of `fastlstm.serialization.weights.shapes`, `numbers` int32 ones with those of `number_shapes`; logits are divided by
    `temperature`. Of two classes, the second is predicted where its probability is at least `threshold`; of more,
    the most likely one. `early_exit` says when a text need not be read on, if that was learned.
    """

    config: ModelConfig
    labels: tuple[str, ...]
    tokenizer: Tokenizer
    weights: Mapping[str, npt.NDArray[np.float32]]
    temperature: float = 1.0
    training: Mapping[str, Any] = field(default_factory=dict)
    threshold: float = THRESHOLD
    numbers: Mapping[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    early_exit: EarlyExit | None = None


def write_classifier(
    model: SavedModel,
    folder: Path,
    *,
    card: str,
    golden: object,
    extras: Mapping[str, bytes],
    storage: str = "float32",
) -> None:
    """Writes the model as `folder`, whole or not at all, in place of an older model there.

    Args:
        model: what to write.
        folder: where; made with its parents. Must be free, or an older fastlstm model.
        card: the model card, Markdown.
        golden: texts and expected probabilities, as JSON takes them.
        extras: further files, name -> content.
        storage: what weights are kept as, see `fastlstm.serialization.quantization`. Those of `model` should be rounded to it
            already, or what is read answers a little otherwise.

    Raises:
        InputError: `folder` holds something other than a fastlstm model.
        WriteError: the disk is full or can't be written; what stood there is untouched.
    """
    check_classifier_target(folder, overwrite=True)
    tokenizer = model.tokenizer.to_str(pretty=False).encode()
    arrays = {**quantize(model.weights, storage), **model.numbers}
    tensors = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    config = {
        **CLASSIFIER_FORMAT.header(_version(model)),
        "labels": list(model.labels),
        "model": _fields(model.config),
        "calibration": {
            "temperature": model.temperature,
            "threshold": model.threshold,
            **({} if model.early_exit is None else {"early_exit": model.early_exit.to_json()}),
        },
        "sha256": {TOKENIZER: model_folder.sha256(tokenizer), WEIGHTS: model_folder.sha256(tensors)},
        "training": dict(model.training),
    }
    files = {
        CONFIG: model_folder.json_bytes(config),
        TOKENIZER: tokenizer,
        WEIGHTS: tensors,
        CARD: card.encode(),
        GOLDEN: model_folder.json_bytes(golden),
    }
    atomic.write_folder(folder, {**files, **extras})


def _version(model: SavedModel) -> int:
    """3 where padding is read, or the tokenizer adds tokens, which readers of version 2 don't know; else 2."""
    return 3 if model.config.padding != "none" or model.tokenizer.post_processor is not None else 2


def _fields(config: ModelConfig) -> dict[str, Any]:
    fields = dataclasses.asdict(config)
    if config.padding == "none":
        del fields["padding"]
    return fields


def read_classifier(folder: Path) -> SavedModel:
    """The model in `folder`, checked in every part.

    Raises:
        ModelNotFoundError: no such folder.
        NotAModelError: a folder or file that is something else.
        ModelTooNewError: written by a later format.
        CorruptModelError: a file is missing, damaged, or does not fit the others.
    """
    config = model_folder.read_config(folder, CLASSIFIER_FORMAT)
    with model_folder.config_errors(folder):
        labels = _labels(config["labels"])
        first = config["format_version"] == 1
        model = from_json(
            ModelConfig, config["model"], required=FIRST_FIELDS, known=FIRST_FIELDS if first else None
        )
        temperature = _number(config["calibration"], "temperature")
        threshold = THRESHOLD if first else _number(config["calibration"], "threshold")
        learned = config["calibration"].get("early_exit")
        early_exit = None if learned is None else EarlyExit.from_json(learned)
        sums, training = dict(config["sha256"]), dict(config["training"])
    single = np.finfo(np.float32)
    if not float(single.tiny) <= temperature <= float(single.max):
        raise model_folder.corrupt_model(folder, f"{CONFIG} has the temperature {temperature}")
    if early_exit is not None and model.bidirectional:
        raise model_folder.corrupt_model(
            folder, f"{CONFIG} has early_exit for a model that reads in both directions"
        )
    if not 0 <= threshold <= 1 or (len(labels) != 2 and threshold != THRESHOLD):
        raise model_folder.corrupt_model(
            folder, f"{CONFIG} has the threshold {threshold} for {len(labels)} classes"
        )
    contents = {name: model_folder.read_checked(folder, name, sums.get(name)) for name in (TOKENIZER, WEIGHTS)}
    tokenizer = model_folder.read_tokenizer(folder, contents[TOKENIZER], model.vocabulary_size)
    floats, numbers = model_folder.read_arrays(
        folder, contents[WEIGHTS], weights.shapes(model, len(labels)), weights.number_shapes(model)
    )
    for name, of in numbers.items():
        if of[0] < 0 or of[-1] >= NUMBERS or (np.diff(of) <= 0).any():
            raise model_folder.corrupt_model(folder, f"{WEIGHTS}: {name} does not rise within 0 to {NUMBERS - 1}")
    return SavedModel(
        config=model,
        labels=labels,
        tokenizer=tokenizer,
        weights=floats,
        temperature=temperature,
        training=training,
        threshold=threshold,
        numbers=numbers,
        early_exit=early_exit,
    )


def check_classifier_target(folder: Path, *, overwrite: bool) -> None:
    """Raises `InputError` unless a model may be written as `folder`: it is free, or a model to overwrite."""
    model_folder.check_target(folder, CLASSIFIER_FORMAT, overwrite=overwrite)


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise OptionError("labels")
    if len(set(value)) != len(value) or len(value) < 2:
        raise OptionError("labels")
    "".join(value).encode()  # half a surrogate pair is JSON, and no text
    return tuple(value)


def _number(values: Mapping[str, object], name: str) -> float:
    value = values[name]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise OptionError(name)
    return float(value)
