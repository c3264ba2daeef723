"""Exported folders of plain PyTorch, compared with the classifier."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.helpers.exported_models import (
    OUTPUTS,
    SHAPES,
    expected_probabilities,
    exported_inputs,
    random_token_ids,
)
from tests.helpers.ngram_models import with_many_ngrams, with_ngrams
from tests.helpers.random_models import MakeModel

from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.config.classifier import NGramKinds
from fastlstm.convert.to_pytorch import write_pytorch
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize(("count", "max_length"), [(1, 1), (7, 23), (64, 11)])
def test_pytorch_module_matches_the_classifier(
    make_model: MakeModel, tmp_path: Path, shape: str, outputs: str, count: int, max_length: int
) -> None:
    labels, activation = OUTPUTS[outputs]
    options: dict[str, Any] = {"hidden_sizes": (4, 3), **SHAPES[shape]}
    config = ModelConfig(embedding_size=5, activation=activation, **options)  # type: ignore[arg-type]
    model = with_ngrams(make_model(config, labels, seed=2, temperature=1.7))
    module = exported_module(model, tmp_path)
    texts = random_token_ids(model, count, max_length)
    np.testing.assert_allclose(
        run(module, exported_inputs(texts, padding_id=3)), expected_probabilities(model, texts), atol=1e-5
    )


@pytest.mark.parametrize("kinds", ["pairs", "places"])
def test_ngrams_of_the_module_match_the_classifier(
    make_model: MakeModel, tmp_path: Path, kinds: NGramKinds
) -> None:
    model = with_many_ngrams(make_model(ModelConfig(embedding_size=5, max_tokens=40), seed=4), kinds)
    module = exported_module(model, tmp_path)
    for count, max_length in ((1, 1), (1, 2), (5, 40), (9, 350)):
        texts = random_token_ids(model, count, max_length)
        expected = expected_probabilities(model, texts)
        np.testing.assert_allclose(
            run(module, exported_inputs(texts, extra_padding=max_length % 3)), expected, atol=1e-5
        )


@pytest.mark.parametrize("truncate", ["end", "beginning", "both"])
@pytest.mark.parametrize("padding", ["none", "front", "back"])
def test_module_truncates_and_pads_as_the_classifier_does(
    make_model: MakeModel, tmp_path: Path, truncate: str, padding: str
) -> None:
    options: dict[str, Any] = {"truncate": truncate, "padding": padding}
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=7, **options), seed=1)
    module = exported_module(model, tmp_path)
    for max_length in (1, 7, 30):
        texts = random_token_ids(model, 4, max_length)
        np.testing.assert_allclose(
            run(module, exported_inputs(texts, padding_id=5)), expected_probabilities(model, texts), atol=1e-5
        )
    empty = run(module, {"ids": np.full((2, 3), 4), "lengths": np.array([0, 3])})
    np.testing.assert_allclose(empty[0], Classifier(model).predict_proba(""), atol=1e-5)


@pytest.mark.parametrize("ngrams", [True, False])
def test_golden_texts_of_the_folder_have_their_probabilities(
    make_model: MakeModel, tmp_path: Path, ngrams: bool
) -> None:
    model = with_ngrams(make_model(seed=3))
    module = exported_module(model, tmp_path, ngrams=ngrams)
    golden = json.loads((tmp_path / "exported" / "golden.json").read_bytes())
    for entry in golden:
        probabilities = run(module, exported_inputs([np.array(entry["ids"], np.int32)]))
        np.testing.assert_allclose(probabilities[0], entry["probabilities"], atol=1e-5)
    expected = Classifier(model).predict_proba([entry["text"] for entry in golden])
    assert np.allclose([entry["probabilities"] for entry in golden], expected, atol=1e-6) == ngrams


def exported_module(model: SavedModel, folder: Path, **options: Any) -> Any:
    """Export the model, run model.py of the export, and return its module."""
    write_pytorch(model, folder / "exported", **options)
    path = folder / "exported" / "model.py"
    namespace: dict[str, Any] = {"__file__": str(path), "__name__": "exported"}
    exec(compile(path.read_text(), "model.py", "exec"), namespace)
    return namespace["load"]()


def run(module: Any, inputs: dict[str, npt.NDArray[Any]]) -> FloatArray:
    with torch.no_grad():
        probabilities: FloatArray = module(**{k: torch.from_numpy(v) for k, v in inputs.items()}).numpy()
    return probabilities


def test_exported_folder_works_without_fastlstm(make_model: MakeModel, tmp_path: Path) -> None:
    write_pytorch(make_model(), tmp_path / "exported")
    code = (
        "import sys; sys.modules['fastlstm'] = None\n"
        "import torch, model\n"
        "print(model.load()(torch.tensor([[3, 4, 0]]), torch.tensor([2])).sum().item())"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path / "exported"
    )
    assert float(process.stdout) == pytest.approx(1)
