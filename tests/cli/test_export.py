"""`fastlstm export`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Command

pytest.importorskip("onnx")


def test_every_format_is_written(command: Command, trained: Path, tmp_path: Path) -> None:
    sizes = {}
    for kind in ("onnx", "int8"):
        out = tmp_path / f"{kind}.onnx"
        found = command("export", "--model", trained, "--format", kind, "--out", out, "--json").json
        assert found == {"out": str(out), "format": kind, "bytes": out.stat().st_size, "ngrams": 0}
        sizes[kind] = found["bytes"]
    result = command("export", "--model", trained, "--format", "torch", "--out", tmp_path / "plain")
    assert result.status == 0
    assert {file.name for file in (tmp_path / "plain").iterdir()} == {"weights.pt", "model.py", "tokenizer.json"}
    assert result.out.startswith(f"{tmp_path / 'plain'}: ")


def test_what_is_there_is_replaced_only_when_asked(command: Command, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    out.write_text("mine")
    refused = command("export", "-m", trained, "-o", out)
    assert (refused.status, "is there already; pass --overwrite" in refused.err) == (2, True)
    assert out.read_text() == "mine"
    assert command("export", "-m", trained, "-o", out, "--overwrite").status == 0
    assert out.read_bytes() != b"mine"


def test_what_can_t_be_exported_is_said(command: Command, trained: Path, tmp_path: Path) -> None:
    refused = command("export", "-m", trained, "-o", tmp_path / "x", "--format", "torch", "--states")
    assert (refused.status, "--states is for ONNX" in refused.err) == (2, True)
    refused = command("export", "-m", "english-sentiment", "-o", tmp_path / "x", "--states")
    assert (refused.status, "states were asked for" in refused.err) == (2, True)
    noted = command("export", "-m", "english-sentiment", "-o", tmp_path / "x", "--format", "int8")
    assert "the model has n-grams, whose evidence the exported one takes as an input" in noted.err


def test_no_other_folder_is_ever_written_over(command: Command, trained: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "work").write_text("mine")
    for kind, out in (("torch", project), ("onnx", project), ("torch", trained)):
        refused = command("export", "-m", trained, "-o", out, "--format", kind, "--overwrite")
        assert (refused.status, "is never written over" in refused.err) == (2, True)
    assert (project / "work").read_text() == "mine"
    for _ in range(2):
        assert (
            command("export", "-m", trained, "-o", tmp_path / "p", "--format", "torch", "--overwrite").status == 0
        )
