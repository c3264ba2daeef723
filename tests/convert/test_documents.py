"""The examples of docs/export.md and docs/importing.md run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.documents import code_blocks

import fastlstm
from fastlstm.cli import main

for package in ("torch", "keras", "h5py", "onnx", "onnxruntime"):
    pytest.importorskip(package)


def run_examples(document: str) -> dict[str, Any]:
    """Run all commands and Python code of the document in order, and return the variables."""
    variables: dict[str, Any] = {"__name__": "example"}
    for language, code in code_blocks(document):
        if language == "python":
            exec(compile(code, document, "exec"), variables)
            continue
        for line in code.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "fastlstm"
            with pytest.raises(SystemExit) as exited:
                main(arguments)
            assert exited.value.code == 0, line
    return variables


def test_export_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "model", raising=False)
    variables = run_examples("docs/export.md")
    sys.modules.pop("model", None)
    expected = fastlstm.load("english-sentiment").predict_proba(variables["texts"])
    np.testing.assert_allclose(variables["probabilities"], expected, atol=1e-5)
    np.testing.assert_allclose(variables["same"].numpy(), expected, atol=1e-5)
    int8_size, float32_size = ((tmp_path / name).stat().st_size for name in ("model-int8.onnx", "model.onnx"))
    assert int8_size < float32_size / 3


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_import_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_examples("docs/importing.md")
    for folder in ("from-pytorch", "from-keras"):
        assert fastlstm.load(folder).labels == ("negative", "positive")
