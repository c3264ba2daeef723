"""The model folder: configuration, tokenizer, arrays and model card, each checked when it is read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from tokenizers import Tokenizer

from fastlstm._typing import AnyArray, FloatArray, TokenIds
from fastlstm.errors import CorruptModelError, InputError, ModelNotFoundError, ModelTooNewError, NotAModelError
from fastlstm.pretrained import bundled_names, find_model
from fastlstm.serialization.quantization import SCALE_SUFFIX, dequantize

CONFIG, TOKENIZER, WEIGHTS, CARD = "config.json", "tokenizer.json", "model.safetensors", "README.md"
HISTORY = "history.json"
FLOAT_DTYPES = ("float32", "float16")
"""Stored types of weights, in addition to int8 with scales. Loaded weights are float32."""


@dataclass(frozen=True)
class ModelFormat:
    """One kind of model folder.

    Attributes:
        name: The value of `format` in config.json.
        version: The latest `format_version`.
        model_kind: What the folder contains, such as "text classifier".
        writer: The command that writes such folders.
        readers: The commands that read them.
    """

    name: str
    version: int
    model_kind: str
    writer: str
    readers: str

    def header(self, version: int | None = None) -> dict[str, Any]:
        """Return the first two fields of a configuration; `version` defaults to the latest."""
        return {"format": self.name, "format_version": self.version if version is None else version}


CLASSIFIER_FORMAT = ModelFormat(
    "fastlstm",
    5,
    "text classifier",
    writer="fastlstm train",
    readers="fastlstm predict, evaluate and info",
)
LANGUAGE_MODEL_FORMAT = ModelFormat(
    "fastlstm-language-model",
    3,
    "language model",
    writer="fastlstm lm train",
    readers="fastlstm lm and fastlstm train --encoder",
)
FORMATS = (CLASSIFIER_FORMAT, LANGUAGE_MODEL_FORMAT)


def check_target(folder: Path, model_format: ModelFormat, *, overwrite: bool) -> None:
    """Raise `InputError` unless `folder` is free, or contains a model of this format and `overwrite` is true."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        read_config(folder, model_format)
    except ModelTooNewError:
        pass
    except (NotAModelError, CorruptModelError):
        raise InputError(
            f"{folder} exists and is not a fastlstm {model_format.model_kind}, so it is never overwritten; "
            "choose another `out`",
            code="output-not-a-model",
            folder=folder,
        ) from None
    if not overwrite:
        raise InputError(
            f"{folder} already contains a model; pass `overwrite=True` to replace it, or choose another `out`",
            code="output-exists",
            folder=folder,
        )


def has_format(folder: Path, model_format: ModelFormat) -> bool:
    """Return whether the folder's configuration names this format; nothing else is checked."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("format") == model_format.name


def resolve_model_folder(name: str | os.PathLike[str] | None, model_format: ModelFormat) -> Path | None:
    """Return the folder of a model, given as a folder or bundled name; None for None.

    Raise the errors of `read_config`.
    """
    if name is None:
        return None
    folder = find_model(name)
    read_config(folder, model_format)
    return folder


def read_config(folder: Path, model_format: ModelFormat) -> dict[str, Any]:
    """Return the folder's configuration after checking its format and version.

    Raises:
        ModelNotFoundError: The folder does not exist.
        NotAModelError: There is no config.json, or it names no format or another one.
        ModelTooNewError: The format version is later than this fastlstm supports.
        CorruptModelError: config.json cannot be read, is not JSON, or has no valid version.
    """
    kind = model_format.model_kind
    if not folder.exists():
        names = [name for name in bundled_names() if has_format(find_model(name), model_format)]
        bundled = f", or the name of a bundled model: {', '.join(names)}" if names else ""
        raise ModelNotFoundError(
            f"{folder} does not exist; pass a folder written by {model_format.writer}{bundled}",
            folder=folder,
            bundled=names,
        )
    files = f"a folder with {CONFIG}, {TOKENIZER} and {WEIGHTS}, written by {model_format.writer}"
    if not (folder / CONFIG).is_file():
        raise NotAModelError(f"{folder} is not a fastlstm {kind}: no {CONFIG}; expected {files}", folder=folder)
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except OSError as error:
        raise corrupt_model(folder, CONFIG, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise corrupt_model(folder, CONFIG, f"is not JSON ({error})") from error
    name = config.get("format") if isinstance(config, dict) else None
    if not isinstance(config, dict) or name != model_format.name:
        for other in FORMATS:
            if name == other.name:
                raise NotAModelError(
                    f"{folder} is a {other.model_kind}; expected a {kind}, written by {model_format.writer}; "
                    f"use it with {other.readers}",
                    code="wrong-model-kind",
                    folder=folder,
                    expected=model_format.name,
                    actual=other.name,
                )
        raise NotAModelError(
            f"{folder} is not a fastlstm {kind}: {CONFIG} does not name its format; expected {files}",
            folder=folder,
        )
    version = config.get("format_version")
    if type(version) is not int or version < 1:
        raise corrupt_model(
            folder,
            CONFIG,
            f"has format version {version!r}; expected 1 to {model_format.version}",
            field="format_version",
        )
    if version > model_format.version:
        raise ModelTooNewError(
            f"{folder} has format version {version}; this fastlstm reads versions up to {model_format.version}; "
            "run: pip install --upgrade fastlstm",
            folder=folder,
            version=version,
            supported=model_format.version,
        )
    return config


@contextlib.contextmanager
def config_errors(folder: Path) -> Iterator[None]:
    """Turn the errors of code that parses config.json into `CorruptModelError`."""
    try:
        yield
    except KeyError as error:
        raise corrupt_model(folder, CONFIG, f"lacks the field {error}", field=error.args[0]) from error
    except (TypeError, ValueError, OverflowError) as error:
        field = getattr(error, "option", None)
        raise corrupt_model(folder, CONFIG, f"has an invalid field: {error}", field=field) from error


def read_verified(folder: Path, name: str, checksum: object) -> bytes:
    """Return the content of a file. Raise `CorruptModelError` unless its SHA-256 is `checksum`."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise corrupt_model(folder, name, f"cannot be read ({error.strerror})") from error
    if (actual := sha256(content)) != checksum:
        raise corrupt_model(
            folder,
            name,
            f"differs from the file that {CONFIG} describes (SHA-256)",
            expected=checksum,
            actual=actual,
        )
    return content


def read_tokenizer(folder: Path, content: bytes, vocabulary_size: int) -> Tokenizer:
    """Return the tokenizer, whose vocabulary must have the ids from 0 to `vocabulary_size` - 1.

    Raises:
        CorruptModelError: The content is not a tokenizer, has another vocabulary, or pads or truncates.
    """
    try:
        tokenizer = Tokenizer.from_str(content.decode())
        tokenizer.encode("\ufffd: an unknown word", add_special_tokens=False)
    except BaseException as error:
        # Panics inside `tokenizers` arrive as a BaseException of a type that cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise corrupt_model(folder, TOKENIZER, f"is not a tokenizer ({error})") from error
    size = tokenizer.get_vocab_size()
    if size != vocabulary_size:
        raise corrupt_model(
            folder,
            TOKENIZER,
            f"has {size} tokens; {CONFIG} expects {vocabulary_size}",
            expected=vocabulary_size,
            actual=size,
        )
    if sorted(tokenizer.get_vocab().values()) != list(range(vocabulary_size)):
        raise corrupt_model(
            folder,
            TOKENIZER,
            f"has token ids outside 0 to {vocabulary_size - 1}, or repeated ones",
            field="vocab",
        )
    if tokenizer.padding or tokenizer.truncation:
        field = "padding" if tokenizer.padding else "truncation"
        raise corrupt_model(folder, TOKENIZER, f"sets {field}; only {CONFIG} may", field=field)
    return tokenizer


def read_arrays(
    folder: Path,
    content: bytes,
    shapes: Mapping[str, tuple[int, ...]],
    integer_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[dict[str, FloatArray], dict[str, TokenIds]]:
    """Return the float32 weights and the int32 arrays, in the order of `shapes` and `integer_shapes`.

    The file must contain exactly these arrays. Weights may be rounded as in `fastlstm.serialization.quantization`.
    safetensors returns arrays in a different order each time, hence the fixed order.

    Raises:
        CorruptModelError: The content is not a safetensors file, or an array is missing, unexpected, of another
            type or shape, or not finite.
    """
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise corrupt_model(folder, WEIGHTS, f"is not a safetensors file ({error})") from error
    expected: dict[str, tuple[tuple[str, ...], tuple[int, ...]]]
    expected = {name: (FLOAT_DTYPES, shape) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        if len(shape) == 2 and name + SCALE_SUFFIX in arrays:
            expected[name], expected[name + SCALE_SUFFIX] = (("int8",), shape), (("float16",), shape[:1])
    expected |= {name: (("int32",), shape) for name, shape in (integer_shapes or {}).items()}
    for name, (dtypes, shape) in expected.items():
        _check_array(folder, name, arrays.get(name), dtypes, shape)
    if unexpected := sorted(set(arrays) - set(expected)):
        raise corrupt_model(folder, WEIGHTS, f"has unexpected arrays: {unexpected}", arrays=unexpected)
    integers = {name: arrays.pop(name) for name in integer_shapes or {}}
    weights = dequantize(arrays)
    return {name: weights[name] for name in shapes}, integers


def _check_array(
    folder: Path, name: str, array: AnyArray | None, dtypes: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    """Raise `CorruptModelError` unless the array has one of these types, this shape and finite values."""
    if array is None or str(array.dtype) not in dtypes or array.shape != shape:
        expected = f"{dtypes[0]} {list(shape)}"
        actual = "missing" if array is None else f"{array.dtype} {list(array.shape)}"
        problem = f"{name} is {actual}; expected {expected}"
        raise corrupt_model(folder, WEIGHTS, problem, array=name, expected=expected, actual=actual)
    if not np.isfinite(array).all():
        raise corrupt_model(folder, WEIGHTS, f"{name} contains non-finite values", array=name, actual="non-finite")


def corrupt_model(folder: Path, name: str, problem: str, **values: Any) -> CorruptModelError:
    """Return the error for a damaged file `name` of a model folder; `values` become attributes."""
    return CorruptModelError(
        f"the model in {folder} is corrupt: {name}: {problem}; copy the folder again or train the model again",
        code="corrupt-model",
        folder=folder,
        path=folder / name,
        **values,
    )


def json_bytes(value: object) -> bytes:
    """Return indented JSON in UTF-8 that ends with a newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of the content in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
