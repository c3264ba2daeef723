from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers.damaged_models import Files

from fastlstm.serialization.classifier import SavedModel, write_classifier


@pytest.fixture(scope="module")
def files(tiny_model: SavedModel, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a good model, to be damaged."""
    folder = tmp_path_factory.mktemp("good") / "model"
    write_classifier(tiny_model, folder, card="# A model\n", golden=[], extras={})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Files], Path]:
    """Makes a folder of the given files, always the same one."""
    folder = tmp_path_factory.mktemp("damaged") / "model"
    folder.mkdir()

    def put(files: Files) -> Path:
        for path in folder.iterdir():
            path.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    return put
