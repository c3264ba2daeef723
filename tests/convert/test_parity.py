"""Every runtime against NumPy, and one that is off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.inference.explain.test_attribution import with_ngrams

from fastlstm.config import ModelConfig
from fastlstm.convert import parity as verification
from fastlstm.convert.parity import RuntimeComparison, compare_runtimes
from fastlstm.errors import CorruptModelError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel

MakeModel = Callable[..., SavedModel]


@pytest.fixture
def classifier(make_model: MakeModel) -> Classifier:
    config = ModelConfig(embedding_size=5, hidden_sizes=(7, 5), pooling="concat", bidirectional=True)
    return Classifier(with_ngrams(make_model(config)))


def test_every_runtime_agrees_on_every_length_and_batch(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    compared = list(compare_runtimes(classifier, tmp_path / "model"))
    assert [one for one in compared if not one.passes] == []
    tried = {one.runtime for one in compared if not one.why_not}
    assert {"golden texts", "PyTorch"} <= tried
    assert any(0 < one.difference < 1e-5 for one in compared)


def test_a_runtime_that_is_off_is_told(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    original = verification._pytorch

    def off(model: SavedModel) -> verification.RuntimeRun:
        run = original(model)
        return lambda batch: run(batch) + np.float32(1e-4)

    monkeypatch.setattr(verification, "_pytorch", off)
    (pytorch,) = [one for one in compare_runtimes(classifier) if one.runtime == "PyTorch"]
    assert not pytorch.passes
    assert pytorch.difference == pytest.approx(1e-4, rel=0.2)


def test_one_that_is_not_there_is_named_and_a_nan_does_not_pass(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    missing = {one.runtime: one.why_not for one in compare_runtimes(classifier)}
    assert missing["PyTorch"] == "PyTorch is not installed"
    assert missing["ONNX"] == "onnxruntime is not installed"
    assert not RuntimeComparison("x", float("nan")).passes


def test_golden_texts_that_do_not_agree_or_are_spoiled_are_told(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    path = tmp_path / "model" / "golden.json"
    golden = json.loads(path.read_bytes())
    golden[0]["probabilities"] = [0.5, 0.5]
    path.write_text(json.dumps(golden))
    assert not next(compare_runtimes(classifier, tmp_path / "model")).passes
    for spoiled in ("{", "5", '[{"text": "x"}]'):
        path.write_text(spoiled)
        with pytest.raises(CorruptModelError, match="write the model anew"):
            next(compare_runtimes(classifier, tmp_path / "model"))
    shutil.rmtree(tmp_path / "model")
    assert next(compare_runtimes(classifier, tmp_path / "model")).runtime != "golden texts"
