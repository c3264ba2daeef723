"""Models that earlier versions wrote, which are never changed, are read and answer as they did then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastlstm

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(GOLDEN.iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_older_model_answers_as_it_did_when_it_was_saved(folder: Path) -> None:
    model = fastlstm.load(folder)
    expected = json.loads((folder / "golden.json").read_bytes())
    came = model.predict_proba([entry["text"] for entry in expected])
    probabilities = np.array([entry["probabilities"] for entry in expected], np.float32)
    np.testing.assert_allclose(came, probabilities, rtol=0, atol=1e-5)
    assert probabilities.std(axis=0).min() > 0.05


def test_version_1_is_read_without_a_threshold_and_saved_again_as_the_version_of_today(tmp_path: Path) -> None:
    model = fastlstm.load(GOLDEN / "version-1")
    assert (model.model.temperature, model.model.threshold) == (1.25, 0.5)
    model.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_bytes())
    assert config["format_version"] == 2
    assert "padding" not in config["model"]
    assert config["calibration"] == {"temperature": 1.25, "threshold": 0.5}
    texts = ["a great film", "an awful plot"]
    assert np.array_equal(fastlstm.load(tmp_path / "model").predict_proba(texts), model.predict_proba(texts))
