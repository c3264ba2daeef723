"""An exported folder of plain PyTorch, against the classifier."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.convert.test_onnx import OUTPUTS, SHAPES, inputs_of, texts
from tests.inference.explain.test_attribution import with_ngrams

from fastlstm.config import ModelConfig
from fastlstm.convert.to_pytorch import write_pytorch
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel

MakeModel = Callable[..., SavedModel]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_it_answers_as_the_classifier(make_model: MakeModel, tmp_path: Path, shape: str, outputs: str) -> None:
    import torch

    labels, activation = OUTPUTS[outputs]
    options: dict[str, Any] = {"hidden_sizes": (4, 3), **SHAPES[shape]}
    config = ModelConfig(embedding_size=5, activation=activation, **options)  # type: ignore[arg-type]
    model = with_ngrams(make_model(config, labels, seed=2, temperature=1.7))
    write_pytorch(model, tmp_path / "plain")
    names: dict[str, Any] = {"__file__": str(tmp_path / "plain" / "model.py"), "__name__": "plain"}
    exec(compile((tmp_path / "plain" / "model.py").read_text(), "model.py", "exec"), names)
    run = names["load"]()
    for count, longest in ((1, 1), (7, 23), (64, 11)):
        read = texts(model, count, longest)
        fed = {name: torch.from_numpy(value) for name, value in inputs_of(model, read, padding=3).items()}
        with torch.no_grad():
            came = run(**fed).numpy()
        np.testing.assert_allclose(came, Classifier(model).network.probabilities(read), atol=1e-5)


def test_the_folder_needs_nothing_of_fastlstm(make_model: MakeModel, tmp_path: Path) -> None:
    write_pytorch(make_model(), tmp_path / "plain")
    code = (
        "import sys; sys.modules['fastlstm'] = None\n"
        "import torch, model\n"
        "print(model.load()(torch.tensor([[3, 4, 0]]), torch.tensor([2])).sum().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path / "plain"
    )
    assert float(done.stdout) == pytest.approx(1)
