"""A good model's files, damaged, and what reading them comes to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fastlstm.errors import CorruptModelError, ModelNotFoundError, ModelTooNewError, NotAModelError
from fastlstm.serialization.classifier import SavedModel, read_classifier
from fastlstm.serialization.folder import CONFIG

MakeModel = Callable[..., SavedModel]
Files = dict[str, bytes]
DOCUMENTED = (ModelNotFoundError, NotAModelError, CorruptModelError, ModelTooNewError)

Place = Callable[[Files], Path]


def changed(files: Files, *path: str, value: object) -> Files:
    """The files with another value somewhere in config.json."""
    config = json.loads(files[CONFIG])
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return {**files, CONFIG: json.dumps(config).encode()}


def replaced(files: Files, name: str, content: bytes) -> Files:
    """The files with another one in place of `name`, and its checksum put right."""
    return changed({**files, name: content}, "sha256", name, value=hashlib.sha256(content).hexdigest())


def complaint(folder: Path, kind: type[Exception], *named: str) -> str:
    """The message of `read_classifier`, which is one line and names the folder and what else is asked for."""
    with pytest.raises(kind) as caught:
        read_classifier(folder)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in message
    for name in (str(folder), *named):
        assert name in message
    return message


def outcome(folder: Path) -> str:
    """What reading a folder comes to: nothing to say, or one of the documented errors."""
    try:
        read_classifier(folder)
    except DOCUMENTED as error:
        return str(error)
    return ""
