from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.tuning import MakeSettings, make_settings, make_splits, run_search

from fastlstm.data.splits import DataSplits
from fastlstm.tuning.events import TuningResult
from fastlstm.tuning.settings import TuningSettings


@pytest.fixture(scope="session")
def data() -> DataSplits:
    return make_splits()


@pytest.fixture
def settings_of(data: DataSplits, tmp_path: Path) -> MakeSettings:
    """Return a function that makes the settings of a small search in `tmp_path`/model."""

    def make(**changes: object) -> TuningSettings:
        return make_settings(**{"data": data, "out": tmp_path / "model", **changes})

    return make


@pytest.fixture(scope="session")
def complete(data: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> TuningResult:
    """The small search, run without interruption. Must not be changed."""
    return run_search(make_settings(data=data, out=tmp_path_factory.mktemp("complete") / "model"))[1]
