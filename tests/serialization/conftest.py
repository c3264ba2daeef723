from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.damaged_models import MakeFolder, ModelFiles

from fastlstm.serialization.classifier import SavedModel, write_classifier


@pytest.fixture(scope="module")
def model_files(tiny_model: SavedModel, tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """The files of a good model, for tests to damage."""
    folder = tmp_path_factory.mktemp("good") / "model"
    write_classifier(tiny_model, folder, card="# A model\n", golden=[], extras={})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> MakeFolder:
    """A function that writes files to a folder, the same one each time, and returns it."""
    folder = tmp_path_factory.mktemp("damaged") / "model"
    folder.mkdir()

    def make(files: ModelFiles) -> Path:
        for path in folder.iterdir():
            path.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    return make
