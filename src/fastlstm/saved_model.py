"""Configuration, tokenizer and weights <-> one folder. The format is specified in docs/saved-model.md."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from tokenizers import Tokenizer

from fastlstm import atomic, weights
from fastlstm.config import ModelConfig, from_json
from fastlstm.errors import (
    CorruptModelError,
    InputError,
    ModelNotFoundError,
    ModelTooNewError,
    NotAModelError,
    OptionError,
)

FORMAT, FORMAT_VERSION = "fastlstm", 2
CONFIG, TOKENIZER, WEIGHTS, CARD, GOLDEN = (
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "README.md",
    "golden.json",
)
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

    `labels` are the class names in the order of the probabilities; `weights` are float32 arrays with the
    names and shapes of `fastlstm.weights.shapes`; logits are divided by `temperature`. Of two classes,
    the second is predicted where its probability is at least `threshold`; of more, the most likely one.
    """

    config: ModelConfig
    labels: tuple[str, ...]
    tokenizer: Tokenizer
    weights: Mapping[str, npt.NDArray[np.float32]]
    temperature: float = 1.0
    training: Mapping[str, Any] = field(default_factory=dict)
    threshold: float = THRESHOLD


def write(model: SavedModel, folder: Path, *, card: str, golden: object, extras: Mapping[str, bytes]) -> None:
    """Writes the model as `folder`, whole or not at all, in place of an older model there.

    Args:
        model: what to write.
        folder: where; made with its parents. Must be free, or an older fastlstm model.
        card: the model card, Markdown.
        golden: texts and expected probabilities, as JSON takes them.
        extras: further files, name -> content.

    Raises:
        InputError: `folder` holds something other than a fastlstm model.
        WriteError: the disk is full or can't be written; what stood there is untouched.
    """
    check_target(folder, overwrite=True)
    tokenizer = model.tokenizer.to_str(pretty=False).encode()
    tensors = safetensors.numpy.save({name: np.ascontiguousarray(w) for name, w in model.weights.items()})
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "labels": list(model.labels),
        "model": dataclasses.asdict(model.config),
        "calibration": {"temperature": model.temperature, "threshold": model.threshold},
        "sha256": {TOKENIZER: _sha256(tokenizer), WEIGHTS: _sha256(tensors)},
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


def read(folder: Path) -> SavedModel:
    """The model in `folder`, checked in every part.

    Raises:
        ModelNotFoundError: no such folder.
        NotAModelError: a folder or file that is something else.
        ModelTooNewError: written by a later format.
        CorruptModelError: a file is missing, damaged, or does not fit the others.
    """
    if not folder.exists():
        raise ModelNotFoundError(f"no model at {folder}: no such folder; pass the folder that fastlstm train wrote")
    config = _read_config(folder)
    try:
        labels = _labels(config["labels"])
        first = config["format_version"] == 1
        model = from_json(
            ModelConfig, config["model"], required=FIRST_FIELDS, known=FIRST_FIELDS if first else None
        )
        temperature = _number(config["calibration"], "temperature")
        threshold = THRESHOLD if first else _number(config["calibration"], "threshold")
        sums, training = dict(config["sha256"]), dict(config["training"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _corrupt(folder, f"{CONFIG} lacks or misstates {error}") from error
    single = np.finfo(np.float32)
    if not float(single.tiny) <= temperature <= float(single.max):
        raise _corrupt(folder, f"{CONFIG} has the temperature {temperature}")
    if not 0 <= threshold <= 1 or (len(labels) != 2 and threshold != THRESHOLD):
        raise _corrupt(folder, f"{CONFIG} has the threshold {threshold} for {len(labels)} classes")
    contents = {name: _read_checked(folder, name, sums.get(name)) for name in (TOKENIZER, WEIGHTS)}
    return SavedModel(
        config=model,
        labels=labels,
        tokenizer=_tokenizer(folder, contents[TOKENIZER], model.vocabulary_size),
        weights=_weights(folder, contents[WEIGHTS], weights.shapes(model, len(labels))),
        temperature=temperature,
        training=training,
        threshold=threshold,
    )


def check_target(folder: Path, *, overwrite: bool) -> None:
    """Raises `InputError` unless a model may be written as `folder`: it is free, or a model to overwrite."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        _read_config(folder)
    except ModelTooNewError:
        pass
    except (NotAModelError, CorruptModelError):
        raise InputError(
            f"{folder} is there and is not a fastlstm model, so it is never written over; choose another --out"
        ) from None
    if not overwrite:
        raise InputError(f"{folder} holds a model already; pass --overwrite to replace it, or choose another --out")


def json_bytes(value: object) -> bytes:
    """JSON as people read it, in UTF-8, ending with a newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _read_config(folder: Path) -> dict[str, Any]:
    expected = f"a folder with {CONFIG}, {TOKENIZER} and {WEIGHTS}, as fastlstm train writes it"
    if not (folder / CONFIG).is_file():
        raise NotAModelError(f"{folder} is not a fastlstm model: no {CONFIG} in it; expected {expected}")
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except OSError as error:
        raise _corrupt(folder, f"{CONFIG} can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _corrupt(folder, f"{CONFIG} is not JSON ({error})") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise NotAModelError(f"{folder} is not a fastlstm model: its {CONFIG} does not say so; expected {expected}")
    version = config.get("format_version")
    if type(version) is not int or version < 1:
        raise _corrupt(folder, f"{CONFIG} has the format version {version!r}")
    if version > FORMAT_VERSION:
        raise ModelTooNewError(
            f"{folder} has format version {version}, and this fastlstm reads up to {FORMAT_VERSION}; "
            "run: pip install --upgrade fastlstm"
        )
    return config


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


def _read_checked(folder: Path, name: str, sum_expected: object) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise _corrupt(folder, f"{name} can't be read ({error.strerror})") from error
    if _sha256(content) != sum_expected:
        raise _corrupt(folder, f"{name} is not the file that {CONFIG} was written with (sha256 differs)")
    return content


def _tokenizer(folder: Path, content: bytes, vocabulary_size: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(content.decode())
        tokenizer.encode("\ufffd: a word nobody has seen", add_special_tokens=False)
    except BaseException as error:
        # What panics inside `tokenizers` arrives as a BaseException, of a type that can't be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _corrupt(folder, f"{TOKENIZER} is not a tokenizer ({error})") from error
    if tokenizer.get_vocab_size() != vocabulary_size:
        raise _corrupt(
            folder, f"{TOKENIZER} has {tokenizer.get_vocab_size()} words, {CONFIG} says {vocabulary_size}"
        )
    if sorted(tokenizer.get_vocab().values()) != list(range(vocabulary_size)):
        raise _corrupt(folder, f"{TOKENIZER} does not number its words from 0 to {vocabulary_size - 1}")
    if tokenizer.padding or tokenizer.truncation:
        raise _corrupt(folder, f"{TOKENIZER} pads or truncates, which only {CONFIG} may say")
    return tokenizer


def _weights(
    folder: Path, content: bytes, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, npt.NDArray[np.float32]]:
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise _corrupt(folder, f"{WEIGHTS} is not a safetensors file ({error})") from error
    came = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
    for name, shape in shapes.items():
        if came.get(name) != ("float32", shape):
            what = f"{came[name][0]} {list(came[name][1])}" if name in came else "missing"
            raise _corrupt(folder, f"{WEIGHTS}: {name} is {what}; expected float32 {list(shape)}")
        if not np.isfinite(arrays[name]).all():
            raise _corrupt(folder, f"{WEIGHTS}: {name} holds values that are no finite numbers")
    if len(came) > len(shapes):
        raise _corrupt(folder, f"{WEIGHTS} has more than the model needs: {sorted(set(came) - set(shapes))}")
    return arrays


def _corrupt(folder: Path, what: str) -> CorruptModelError:
    return CorruptModelError(f"the model in {folder} is corrupt: {what}; copy or train it again")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
