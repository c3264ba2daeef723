"""Comparison of runtimes with NumPy, including runtimes that differ, are missing, or return NaN."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import MakeModel

from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.convert import onnx, parity, pytorch_module
from fastlstm.convert.onnx import to_onnx
from fastlstm.convert.parity import RuntimeComparison, compare_runtimes
from fastlstm.errors import CorruptModelError
from fastlstm.inference import Classifier
from fastlstm.inference.features import KernelFeatures
from fastlstm.kernel.bindings import Kernel
from fastlstm.serialization.classifier import SavedModel


@pytest.fixture
def classifier(make_model: MakeModel) -> Classifier:
    config = ModelConfig(embedding_size=5, hidden_sizes=(7, 5), pooling="concat", bidirectional=True)
    return Classifier(with_ngrams(make_model(config)))


@pytest.fixture
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare on fewer and shorter random texts than usual, to save time."""
    monkeypatch.setattr(parity, "MAX_LENGTHS", (1, 2, 7, 16, 40, 64))
    monkeypatch.setattr(parity, "BATCH_SIZES", (2, 7, 16, 33))


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
    assert not RuntimeComparison("runtime", 0.0, agreement=float("nan")).passes


def test_lost_clear_labels_do_not_pass() -> None:
    assert RuntimeComparison("runtime", 0.001, tolerance=0.01, agreement=1.0).passes
    assert not RuntimeComparison("runtime", 0.001, tolerance=0.01, agreement=0.98).passes


SHAPES: tuple[dict[str, Any], ...] = (
    {"bidirectional": True, "pooling": "concat", "hidden_sizes": (24,)},
    {"pooling": "last", "hidden_sizes": (24, 17)},
    {"pooling": "mean", "hidden_sizes": (33,)},
)
INT8 = "ONNX, int8"


def sensitive_model(make_model: MakeModel, seed: int) -> SavedModel:
    """Return a model with random weights, some with n-grams, whose threshold is a probability of a golden text."""
    config = ModelConfig(embedding_size=20, **SHAPES[seed % len(SHAPES)])
    labels = ("a", "b", "c") if seed % 4 == 3 else ("a", "b")
    model = make_model(config, labels, seed=seed)
    model = with_ngrams(model) if seed % 2 else model
    if len(labels) == 2:
        threshold = float(Classifier(model).predict_proba("Not bad at all.")[1])
        model = dataclasses.replace(model, threshold=threshold)
    return model


def rounded_comparisons(model: SavedModel) -> list[RuntimeComparison]:
    """Return the comparisons of the runtimes that round."""
    return [
        comparison
        for comparison in compare_runtimes(Classifier(model))
        if "int8" in comparison.runtime or "bfloat16" in comparison.runtime
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.usefixtures("short_texts")
def test_rounded_runtimes_of_fresh_models_raise_no_false_alarm(make_model: MakeModel, seed: int) -> None:
    comparisons = rounded_comparisons(sensitive_model(make_model, seed))
    assert [comparison for comparison in comparisons if not comparison.passes] == []


def swap_gates(name: str, value: FloatArray) -> FloatArray:
    return np.roll(value, len(value) // 4, axis=0) if name.startswith("lstm.") else value


def scale_recurrence(name: str, value: FloatArray) -> FloatArray:
    scaled: FloatArray = value * np.float32(2 if name.endswith("weight_hh") else 1)
    return scaled


def scale_output(name: str, value: FloatArray) -> FloatArray:
    factor = np.float32(1.5 if name == "output.weight" else 1)
    scaled: FloatArray = value * factor
    return scaled


def change_one_weight(name: str, value: FloatArray) -> FloatArray:
    changed: FloatArray = value.copy()
    if name == "lstm.0.forward.weight_hh":
        changed[3, 5] += 0.5
    return changed


Damage = Callable[[str, FloatArray], FloatArray]


def damaged(model: SavedModel, damage: Damage) -> SavedModel:
    arrays = {name: damage(name, value) for name, value in model.weights.items()}
    return dataclasses.replace(model, weights=arrays)


@pytest.mark.parametrize("damage", [swap_gates, scale_recurrence, scale_output, change_one_weight])
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.usefixtures("short_texts")
def test_damage_in_int8_weights_of_onnx_is_found(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, damage: Damage, seed: int
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(
        onnx, "to_onnx",
        lambda model, storage: to_onnx(damaged(model, damage) if storage == "int8" else model, storage),
    )  # fmt: skip
    failed = [
        comparison.runtime
        for comparison in compare_runtimes(Classifier(sensitive_model(make_model, seed)))
        if not comparison.passes
    ]
    assert len(failed) == 1
    assert failed[0].startswith(INT8)


@pytest.mark.parametrize("damage", [swap_gates, scale_recurrence])
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.usefixtures("short_texts")
def test_damage_in_a_rounded_kernel_is_found(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, damage: Damage, seed: int
) -> None:
    def features(config: ModelConfig, arrays: Mapping[str, FloatArray], kernel: Kernel, precision: str) -> Any:
        if precision != "float32":
            arrays = {name: damage(name, value) for name, value in arrays.items()}
        return KernelFeatures(config, arrays, kernel, precision)

    model = sensitive_model(make_model, seed)
    monkeypatch.setattr(parity, "KernelFeatures", features)
    comparisons = [comparison for comparison in rounded_comparisons(model) if comparison.runtime != INT8]
    if not comparisons:
        pytest.skip("this processor has no rounded precision")
    assert not any(comparison.passes for comparison in comparisons)


def test_json_contains_all_fields_and_the_result() -> None:
    comparison = RuntimeComparison("ONNX", 2e-5)
    assert comparison.to_json() == {
        "runtime": "ONNX", "difference": 2e-5, "tolerance": 1e-5, "agreement": None, "skipped": "", "passes": False,
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
