"""Models that earlier versions wrote still load and give the same probabilities. The files never change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastlstm

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(GOLDEN.iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_older_model_gives_the_probabilities_saved_with_it(folder: Path) -> None:
    model = fastlstm.load(folder)
    golden = json.loads((folder / "golden.json").read_bytes())
    probabilities = model.predict_proba([entry["text"] for entry in golden])
    expected = np.array([entry["probabilities"] for entry in golden], np.float32)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    assert expected.std(axis=0).min() > 0.05


def test_version_1_gets_the_default_threshold_and_is_saved_as_version_2(tmp_path: Path) -> None:
    model = fastlstm.load(GOLDEN / "version-1")
    assert (model.saved.temperature, model.saved.threshold) == (1.25, 0.5)
    model.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_bytes())
    assert config["format_version"] == 2
    assert "padding" not in config["model"]
    assert config["calibration"] == {"temperature": 1.25, "threshold": 0.5}
    texts = ["a great film", "an awful plot"]
    assert np.array_equal(fastlstm.load(tmp_path / "model").predict_proba(texts), model.predict_proba(texts))
