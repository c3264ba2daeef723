"""Damage the files of a good model, and check the error that reading them raises."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from fastlstm.errors import (
    CorruptModelError,
    FastLSTMError,
    ModelNotFoundError,
    ModelTooNewError,
    NotAModelError,
)
from fastlstm.serialization.classifier import read_classifier
from fastlstm.serialization.folder import CONFIG

ModelFiles = dict[str, bytes]
MakeFolder = Callable[[ModelFiles], Path]
Error = TypeVar("Error", bound=FastLSTMError)
DOCUMENTED_ERRORS = (ModelNotFoundError, NotAModelError, CorruptModelError, ModelTooNewError)


def with_config_value(files: ModelFiles, *keys: str, value: object) -> ModelFiles:
    """Return the files with another value in config.json, at the place that `keys` lead to."""
    config = json.loads(files[CONFIG])
    parent = config
    for key in keys[:-1]:
        parent = parent[key]
    parent[keys[-1]] = value
    return {**files, CONFIG: json.dumps(config).encode()}


def with_file(files: ModelFiles, name: str, content: bytes) -> ModelFiles:
    """Return the files with other content of `name`, and with its checksum in config.json."""
    checksum = hashlib.sha256(content).hexdigest()
    return with_config_value({**files, name: content}, "sha256", name, value=checksum)


def read_error(folder: Path, kind: type[Error]) -> Error:
    """Return the error that reading `folder` raises, after checking its class, its folder and that it is one line."""
    with pytest.raises(kind) as raised:
        read_classifier(folder)
    error = raised.value
    assert type(error) is kind
    assert error.folder == folder
    assert str(folder) in str(error)
    assert "\n" not in str(error)
    return error


def corrupt_error(folder: Path, name: str) -> CorruptModelError:
    """Return the error that reading `folder` raises, after checking that it names the damaged file `name`."""
    error = read_error(folder, CorruptModelError)
    assert error.code == "corrupt-model"
    assert error.path == folder / name
    assert name in str(error)
    return error


def check_error_is_documented(folder: Path) -> None:
    """Read `folder`, which may succeed or raise a documented error with a message of one line."""
    message = ""
    try:
        read_classifier(folder)
    except DOCUMENTED_ERRORS as error:
        message = str(error)
    assert "\n" not in message
