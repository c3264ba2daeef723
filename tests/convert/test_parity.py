"""Comparison of runtimes with NumPy, including runtimes that differ, are missing, or return NaN."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.convert import pytorch_module
from fastlstm.convert.parity import RuntimeComparison, compare_runtimes
from fastlstm.errors import CorruptModelError
from fastlstm.inference import Classifier


@pytest.fixture
def classifier(make_model: MakeModel) -> Classifier:
    config = ModelConfig(embedding_size=5, hidden_sizes=(7, 5), pooling="concat", bidirectional=True)
    return Classifier(with_ngrams(make_model(config)))


def test_all_installed_runtimes_pass(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    comparisons = list(compare_runtimes(classifier, tmp_path / "model"))
    assert [comparison for comparison in comparisons if not comparison.passes] == []
    compared = {comparison.runtime for comparison in comparisons if not comparison.skipped}
    assert {"golden texts", "PyTorch"} <= compared
    assert any(0 < comparison.difference < 1e-5 for comparison in comparisons)


def test_a_runtime_with_other_probabilities_fails(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    original = pytorch_module.Classifier.forward

    def forward(self: pytorch_module.Classifier, *inputs: torch.Tensor) -> torch.Tensor:
        return original(self, *inputs) + 1e-4

    monkeypatch.setattr(pytorch_module.Classifier, "forward", forward)
    (pytorch,) = [comparison for comparison in compare_runtimes(classifier) if comparison.runtime == "PyTorch"]
    assert not pytorch.passes
    assert pytorch.difference == pytest.approx(1e-4, rel=0.2)


def test_missing_runtimes_are_skipped(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    comparisons = {comparison.runtime: comparison for comparison in compare_runtimes(classifier)}
    for runtime in ("PyTorch", "ONNX", "ONNX, int8"):
        assert comparisons[runtime].skipped
        assert comparisons[runtime].passes


def test_nan_does_not_pass() -> None:
    assert not RuntimeComparison("runtime", float("nan")).passes


def test_json_contains_all_fields_and_the_result() -> None:
    comparison = RuntimeComparison("ONNX", 2e-5)
    assert comparison.to_json() == {
        "runtime": "ONNX", "difference": 2e-5, "tolerance": 1e-5, "skipped": "", "passes": False,
    }  # fmt: skip


def test_golden_texts_with_other_probabilities_fail(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    path = tmp_path / "model" / "golden.json"
    golden = json.loads(path.read_bytes())
    golden[0]["probabilities"] = [0.5, 0.5]
    path.write_text(json.dumps(golden))
    comparison = next(compare_runtimes(classifier, tmp_path / "model"))
    assert (comparison.runtime, comparison.passes) == ("golden texts", False)


@pytest.mark.parametrize("content", ["{", "5", '[{"text": "x"}]'])
def test_damaged_golden_texts_raise_corrupt_model_error(
    classifier: Classifier, tmp_path: Path, content: str
) -> None:
    classifier.save(tmp_path / "model")
    path = tmp_path / "model" / "golden.json"
    path.write_text(content)
    with pytest.raises(CorruptModelError) as raised:
        next(compare_runtimes(classifier, tmp_path / "model"))
    assert (raised.value.code, raised.value.path) == ("corrupt-model", path)


def test_a_folder_without_golden_texts_is_compared_on_random_texts(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    assert next(compare_runtimes(classifier, tmp_path / "model")).runtime != "golden texts"
