"""Exported folders of plain PyTorch, compared with the classifier."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.exported_models import OUTPUTS, SHAPES, exported_inputs, random_token_ids
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.convert.to_pytorch import write_pytorch
from fastlstm.inference import Classifier

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
    write_pytorch(model, tmp_path / "exported")
    path = tmp_path / "exported" / "model.py"
    namespace: dict[str, Any] = {"__file__": str(path), "__name__": "exported"}
    exec(compile(path.read_text(), "model.py", "exec"), namespace)
    module = namespace["load"]()
    texts = random_token_ids(model, count, max_length)
    inputs = exported_inputs(model, texts, padding_id=3)
    with torch.no_grad():
        probabilities = module(**{name: torch.from_numpy(value) for name, value in inputs.items()}).numpy()
    np.testing.assert_allclose(probabilities, Classifier(model).network.probabilities(texts), atol=1e-5)


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
