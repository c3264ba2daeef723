"""What every saved model is: a folder with configuration, tokenizer, arrays and a card, checked in every part."""

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
import numpy.typing as npt
import safetensors
import safetensors.numpy
from tokenizers import Tokenizer

from fastlstm.errors import CorruptModelError, InputError, ModelNotFoundError, ModelTooNewError, NotAModelError
from fastlstm.pretrained import bundled_names, find_model
from fastlstm.serialization.quantization import SCALE, dequantize

CONFIG, TOKENIZER, WEIGHTS, CARD = "config.json", "tokenizer.json", "model.safetensors", "README.md"
FLOATS = ("float32", "float16")
"""What weights may be stored as, besides int8 with scales. They are float32 once read."""


@dataclass(frozen=True)
class ModelFormat:
    """A kind of model folder: the `name` and the latest `version` that its configuration states.

    `kind` is what people call it, `holds` what is in it, `maker` the command that writes it, `takers` those that
    read it.
    """

    name: str
    version: int
    kind: str
    holds: str
    maker: str
    takers: str

    def header(self, version: int | None = None) -> dict[str, Any]:
        """What a configuration begins with; `version`: the one that it needs, the latest where None."""
        return {"format": self.name, "format_version": self.version if version is None else version}


CLASSIFIER = ModelFormat(
    "fastlstm",
    3,
    "fastlstm model",
    holds="a text classifier",
    maker="fastlstm train",
    takers="fastlstm predict, evaluate and info",
)
LANGUAGE_MODEL = ModelFormat(
    "fastlstm-language-model",
    1,
    "fastlstm language model",
    holds="a language model",
    maker="fastlstm pretrain",
    takers="fastlstm generate, evaluate, info and train --encoder",
)
FORMATS = (CLASSIFIER, LANGUAGE_MODEL)


def check_target(folder: Path, of: ModelFormat, *, overwrite: bool) -> None:
    """Raises `InputError` unless a model may be written there: free, or one of that format to overwrite."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        read_config(folder, of)
    except ModelTooNewError:
        pass
    except (NotAModelError, CorruptModelError):
        raise InputError(
            f"{folder} is there and is not a {of.kind}, so it is never written over; choose another --out"
        ) from None
    if not overwrite:
        raise InputError(f"{folder} holds a model already; pass --overwrite to replace it, or choose another --out")


def has_format(folder: Path, of: ModelFormat) -> bool:
    """Whether the folder's configuration says that it is of that format, whatever else it says."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("format") == of.name


def read_config(folder: Path, of: ModelFormat) -> dict[str, Any]:
    """The folder's configuration, its format and version checked.

    Raises `ModelNotFoundError`, `NotAModelError`, `CorruptModelError` or `ModelTooNewError`.
    """
    if not folder.exists():
        there = [name for name in bundled_names() if has_format(find_model(name), of)]
        bundled = f", or the name of a bundled model: {', '.join(there)}" if there else ""
        raise ModelNotFoundError(
            f"no model at {folder}: no such folder; pass the folder that {of.maker} wrote{bundled}"
        )
    expected = f"a folder with {CONFIG}, {TOKENIZER} and {WEIGHTS}, as {of.maker} writes it"
    if not (folder / CONFIG).is_file():
        raise NotAModelError(f"{folder} is not a {of.kind}: no {CONFIG} in it; expected {expected}")
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except OSError as error:
        raise corrupt_model(folder, f"{CONFIG} can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise corrupt_model(folder, f"{CONFIG} is not JSON ({error})") from error
    if not isinstance(config, dict) or config.get("format") != of.name:
        for other in FORMATS:
            if isinstance(config, dict) and config.get("format") == other.name:
                raise NotAModelError(
                    f"{folder} is not a {of.kind}: it holds {other.holds}, which {other.takers} take; "
                    f"expected {of.holds}, as {of.maker} writes it"
                )
        raise NotAModelError(f"{folder} is not a {of.kind}: its {CONFIG} does not say so; expected {expected}")
    version = config.get("format_version")
    if type(version) is not int or version < 1:
        raise corrupt_model(folder, f"{CONFIG} has the format version {version!r}")
    if version > of.version:
        raise ModelTooNewError(
            f"{folder} has format version {version}, and this fastlstm reads up to {of.version}; "
            "run: pip install --upgrade fastlstm"
        )
    return config


@contextlib.contextmanager
def config_errors(folder: Path) -> Iterator[None]:
    """Around what takes a configuration apart: what is missing or ill there makes the model corrupt."""
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise corrupt_model(folder, f"{CONFIG} lacks or misstates {error}") from error


def read_checked(folder: Path, name: str, sum_expected: object) -> bytes:
    """A file's content, which must have that SHA-256. Raises `CorruptModelError`."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise corrupt_model(folder, f"{name} can't be read ({error.strerror})") from error
    if sha256(content) != sum_expected:
        raise corrupt_model(folder, f"{name} is not the file that {CONFIG} was written with (sha256 differs)")
    return content


def read_tokenizer(folder: Path, content: bytes, vocabulary_size: int) -> Tokenizer:
    """The tokenizer, of just so many words numbered from 0. Raises `CorruptModelError`."""
    try:
        result = Tokenizer.from_str(content.decode())
        result.encode("\ufffd: a word nobody has seen", add_special_tokens=False)
    except BaseException as error:
        # What panics inside `tokenizers` arrives as a BaseException, of a type that can't be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise corrupt_model(folder, f"{TOKENIZER} is not a tokenizer ({error})") from error
    if result.get_vocab_size() != vocabulary_size:
        raise corrupt_model(
            folder, f"{TOKENIZER} has {result.get_vocab_size()} words, {CONFIG} says {vocabulary_size}"
        )
    if sorted(result.get_vocab().values()) != list(range(vocabulary_size)):
        raise corrupt_model(folder, f"{TOKENIZER} does not number its words from 0 to {vocabulary_size - 1}")
    if result.padding or result.truncation:
        raise corrupt_model(folder, f"{TOKENIZER} pads or truncates, which only {CONFIG} may say")
    return result


def read_arrays(
    folder: Path,
    content: bytes,
    shapes: Mapping[str, tuple[int, ...]],
    numbers: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, npt.NDArray[np.int32]]]:
    """The float32 weights of these `shapes`, and the int32 arrays of those of `numbers`; no others may be there.

    In the order of these: safetensors gives them in another one each time.

    Weights may be stored as `fastlstm.serialization.quantization` says.
    Raises `CorruptModelError`.
    """
    try:
        came = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise corrupt_model(folder, f"{WEIGHTS} is not a safetensors file ({error})") from error
    wanted: dict[str, tuple[tuple[str, ...], tuple[int, ...]]]
    wanted = {name: (FLOATS, shape) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        if len(shape) == 2 and name + SCALE in came:
            wanted[name], wanted[name + SCALE] = (("int8",), shape), (("float16",), shape[:1])
    wanted |= {name: (("int32",), shape) for name, shape in (numbers or {}).items()}
    for name, (dtypes, shape) in wanted.items():
        array = came.get(name)
        if array is None or str(array.dtype) not in dtypes or array.shape != shape:
            what = "missing" if array is None else f"{array.dtype} {list(array.shape)}"
            raise corrupt_model(folder, f"{WEIGHTS}: {name} is {what}; expected {dtypes[0]} {list(shape)}")
        if not np.isfinite(array).all():
            raise corrupt_model(folder, f"{WEIGHTS}: {name} holds values that are no finite numbers")
    if len(came) > len(wanted):
        raise corrupt_model(folder, f"{WEIGHTS} has more than the model needs: {sorted(set(came) - set(wanted))}")
    whole = {name: came.pop(name) for name in numbers or {}}
    read = dequantize(came)
    return {name: read[name] for name in shapes}, whole


def corrupt_model(folder: Path, what: str) -> CorruptModelError:
    """The error that says what is wrong with a folder that is a model."""
    return CorruptModelError(f"the model in {folder} is corrupt: {what}; copy or train it again")


def json_bytes(value: object) -> bytes:
    """JSON as people read it, in UTF-8, ending with a newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def sha256(content: bytes) -> str:
    """The checksum that configurations hold, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def resolve_model_folder(name: str | os.PathLike[str] | None, of: ModelFormat) -> Path | None:
    """The folder of that name, or the bundled model's; None for None.

    Raises the errors of `model_folder.read_config` for what is no such model.
    """
    if name is None:
        return None
    folder = find_model(name)
    read_config(folder, of)
    return folder
