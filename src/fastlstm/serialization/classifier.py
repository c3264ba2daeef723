"""Saved classifiers: configuration, tokenizer and weights in one folder. Format: docs/saved-model.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from tokenizers import Tokenizer

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.config import ModelConfig, from_json
from fastlstm.errors import OptionError
from fastlstm.kernel.fast_tokens import compile_tokens
from fastlstm.metrics import DEFAULT_THRESHOLD
from fastlstm.serialization import atomic, weights
from fastlstm.serialization.early_exit import EarlyExit
from fastlstm.serialization.folder import (
    CARD,
    CLASSIFIER_FORMAT,
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    check_target,
    config_errors,
    corrupt_model,
    json_bytes,
    read_arrays,
    read_config,
    read_tokenizer,
    read_verified,
    sha256,
)
from fastlstm.serialization.quantization import quantize
from fastlstm.text.ngrams import NGRAM_ID_COUNT
from fastlstm.text.segmentation import cleans_text
from fastlstm.text.tokenizer import PADDING_ID, UNKNOWN_ID, TextTokenizer

GOLDEN = "golden.json"
VERSION_1_FIELDS = (
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
"""Fields of `model` in version 1. A folder without a later field gets its default."""


@dataclass(frozen=True)
class SavedModel:
    """Everything that inference needs, and the training record.

    Attributes:
        config: The shape of the model.
        labels: The class names, in the order of the probabilities.
        tokenizer: The tokenizer, with its vocabulary.
        weights: float32 arrays with the names and shapes of `fastlstm.serialization.weights.shapes`.
        temperature: The divisor of the logits.
        training: The training record.
        threshold: With two classes, the second is predicted if its probability is at least this; with more
            classes, the most probable one is predicted.
        integer_arrays: int32 arrays with the names and shapes of `fastlstm.serialization.weights.integer_shapes`.
        early_exit: When reading a text may stop, if that was fitted.
    """

    config: ModelConfig
    labels: tuple[str, ...]
    tokenizer: Tokenizer
    weights: Mapping[str, FloatArray]
    temperature: float = 1.0
    training: Mapping[str, Any] = field(default_factory=dict)
    threshold: float = DEFAULT_THRESHOLD
    integer_arrays: Mapping[str, TokenIds] = field(default_factory=dict)
    early_exit: EarlyExit | None = None

    @property
    def is_linear(self) -> bool:
        """Whether the n-grams alone decide: a linear model, whose LSTM has no weight in the output layer."""
        return self.config.ngrams > 0 and not self.weights["output.weight"].any()

    @property
    def text_cleaning(self) -> str:
        """How texts are cleaned before the tokenizer reads them: "standard" or "none"."""
        return "none" if cleans_text(self.tokenizer) else self.config.text_cleaning

    @property
    def stream_obstacle(self) -> str | None:
        """Why the model cannot read streams; None if it can."""
        return unsupported_reason(self.config, make_text_tokenizer(self.tokenizer, self.config))


def unsupported_reason(config: ModelConfig, tokenizer: TextTokenizer) -> str | None:
    """Return why a model cannot read streams, or None if it can."""
    if config.bidirectional:
        return "bidirectional models cannot read streams; train or distill one with `bidirectional=False`"
    if config.padding != "none":
        return f"models with padding cannot read streams (padding: {config.padding})"
    if not tokenizer.is_standard:
        return "models with an imported tokenizer cannot read streams: its token boundaries are unknown"
    return None


def make_text_tokenizer(
    tokenizer: Tokenizer, config: ModelConfig, *, keep_untruncated: bool = False
) -> TextTokenizer:
    """Return the text tokenizer of a classifier.

    It also returns untruncated ids if the classifier has n-grams, or if `keep_untruncated` is set.
    """
    return TextTokenizer(
        tokenizer,
        max_tokens=config.max_tokens,
        truncate=config.truncate,
        padding=config.padding,
        keep_untruncated=keep_untruncated or config.ngrams > 0,
        cleaning=config.text_cleaning,
        drop_unknown=config.unknown_words == "drop",
        empty_id=PADDING_ID if config.empty_text == "zeros" else UNKNOWN_ID,
        compile_tokens=compile_tokens,
    )


def write_classifier(
    model: SavedModel,
    folder: Path,
    *,
    card: str,
    golden: object,
    extras: Mapping[str, bytes],
    storage: str = "float32",
) -> None:
    """Write the model to `folder` atomically, replacing an older classifier.

    Args:
        model: The model. Its weights should already be rounded to `storage`; otherwise the loaded model gives
            slightly different probabilities.
        folder: The target, created with its parents.
        card: The model card, Markdown.
        golden: Texts with their probabilities, as JSON values.
        extras: Further files, name -> content.
        storage: The stored type of the weights, see `fastlstm.serialization.quantization`.

    Raises:
        InputError: `folder` contains something other than a classifier.
        WriteError: Writing failed; existing files are unchanged.
    """
    check_target(folder, CLASSIFIER_FORMAT, overwrite=True)
    tokenizer = model.tokenizer.to_str(pretty=False).encode()
    arrays = {**quantize(model.weights, storage), **model.integer_arrays}
    tensors = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    config = {
        **CLASSIFIER_FORMAT.header(_required_version(model)),
        "labels": list(model.labels),
        "model": _model_fields(model.config),
        "calibration": {
            "temperature": model.temperature,
            "threshold": model.threshold,
            **({} if model.early_exit is None else {"early_exit": model.early_exit.to_json()}),
        },
        "sha256": {TOKENIZER: sha256(tokenizer), WEIGHTS: sha256(tensors)},
        "training": dict(model.training),
    }
    files = {
        CONFIG: json_bytes(config),
        TOKENIZER: tokenizer,
        WEIGHTS: tensors,
        CARD: card.encode(),
        GOLDEN: json_bytes(golden),
    }
    atomic.write_folder(folder, {**files, **extras})


def _required_version(model: SavedModel) -> int:
    """Return the first version that has all that the model uses, see docs/saved-model.md."""
    if model.config.tokens != "words":
        return 5
    if model.config.import_fields or model.config.pooling == "last-step" or cleans_text(model.tokenizer):
        return 4
    return 3 if model.config.padding != "none" or model.tokenizer.post_processor is not None else 2


def _model_fields(config: ModelConfig) -> dict[str, Any]:
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.repr}
    for name in ("padding", "tokens"):
        if fields[name] == getattr(ModelConfig, name):
            del fields[name]
    return {**fields, **config.import_fields}


def read_classifier(folder: Path) -> SavedModel:
    """Read and check the classifier in `folder`.

    Raises:
        ModelNotFoundError: The folder does not exist.
        NotAModelError: It is not a classifier.
        ModelTooNewError: A later version of fastlstm wrote it.
        CorruptModelError: A file is missing, damaged, or inconsistent with the others.
    """
    config = read_config(folder, CLASSIFIER_FORMAT)
    with config_errors(folder):
        labels = _parse_labels(config["labels"])
        version_1 = config["format_version"] == 1
        known = VERSION_1_FIELDS if version_1 else None
        model = from_json(ModelConfig, config["model"], required=VERSION_1_FIELDS, known=known)
        temperature = _parse_number(config["calibration"], "temperature")
        threshold = DEFAULT_THRESHOLD if version_1 else _parse_number(config["calibration"], "threshold")
        exit_fields = config["calibration"].get("early_exit")
        early_exit = None if exit_fields is None else EarlyExit.from_json(exit_fields)
        checksums, training = dict(config["sha256"]), dict(config["training"])
    _check_calibration(folder, temperature, threshold, len(labels))
    if early_exit is not None and model.bidirectional:
        raise corrupt_model(folder, CONFIG, "has early_exit for a bidirectional model", field="early_exit")
    contents = {name: read_verified(folder, name, checksums.get(name)) for name in (TOKENIZER, WEIGHTS)}
    tokenizer = read_tokenizer(folder, contents[TOKENIZER], model.vocabulary_size)
    arrays, integer_arrays = read_arrays(
        folder, contents[WEIGHTS], weights.shapes(model, len(labels)), weights.integer_shapes(model)
    )
    for name, ids in integer_arrays.items():
        if ids[0] < 0 or ids[-1] >= NGRAM_ID_COUNT or (np.diff(ids) <= 0).any():
            problem = f"{name} is not strictly increasing within 0 to {NGRAM_ID_COUNT - 1}"
            raise corrupt_model(folder, WEIGHTS, problem, array=name)
    return SavedModel(
        config=model,
        labels=labels,
        tokenizer=tokenizer,
        weights=arrays,
        temperature=temperature,
        training=training,
        threshold=threshold,
        integer_arrays=integer_arrays,
        early_exit=early_exit,
    )


def _check_calibration(folder: Path, temperature: float, threshold: float, classes: int) -> None:
    limits = np.finfo(np.float32)
    if not float(limits.tiny) <= temperature <= float(limits.max):
        problem = f"has temperature {temperature}; expected a positive float32"
        raise corrupt_model(folder, CONFIG, problem, field="temperature")
    if not 0 <= threshold <= 1 or (classes != 2 and threshold != DEFAULT_THRESHOLD):
        expected = "a value from 0 to 1" if classes == 2 else f"{DEFAULT_THRESHOLD} for {classes} classes"
        raise corrupt_model(folder, CONFIG, f"has threshold {threshold}; expected {expected}", field="threshold")


def _parse_labels(value: object) -> tuple[str, ...]:
    labels = value if isinstance(value, list) else []
    if not all(isinstance(label, str) for label in labels) or len(labels) < 2 or len(set(labels)) != len(labels):
        raise OptionError("labels: expected two or more distinct strings", code="bad-option-value", option="labels")
    "".join(labels).encode()  # raises ValueError for an unpaired surrogate, which JSON allows
    return tuple(labels)


def _parse_number(fields: Mapping[str, object], name: str) -> float:
    value = fields[name]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise OptionError(f"{name}: expected a number", code="bad-option-value", option=name)
    return float(value)
