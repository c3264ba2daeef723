"""`fastlstm export`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.command_line import Command, write_csv

from fastlstm.inference.golden import GOLDEN_TEXTS

pytest.importorskip("onnx")


@pytest.mark.parametrize("output_format", ["onnx", "int8"])
def test_onnx_file_is_written(command: Command, trained: Path, tmp_path: Path, output_format: str) -> None:
    out = tmp_path / "model.onnx"
    result = command("export", "--model", trained, "--format", output_format, "--out", out, "--json")
    fields = dict(result.json)
    golden = fields.pop("golden")
    assert fields == {
        "out": str(out), "format": output_format, "bytes": out.stat().st_size, "ngrams": 0, "evaluation": None,
    }  # fmt: skip
    assert (golden["texts"], golden["difference"] > 0) == (len(GOLDEN_TEXTS), output_format == "int8")


def test_pytorch_folder_is_written(command: Command, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    result = command("export", "--model", trained, "--format", "torch", "--out", out)
    assert result.status == 0
    assert {file.name for file in out.iterdir()} == {"weights.pt", "model.py", "tokenizer.json", "golden.json"}
    assert result.out.startswith(f"{out}: ")


def test_existing_file_is_replaced_only_with_overwrite(command: Command, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    out.write_text("mine")
    result = command("export", "-m", trained, "-o", out)
    assert (result.status, result.code) == (2, "output-exists")
    assert out.read_text() == "mine"
    assert command("export", "-m", trained, "-o", out, "--overwrite").status == 0
    assert out.read_bytes() != b"mine"


def test_existing_pytorch_folder_is_replaced_with_overwrite(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        arguments = ("-m", trained, "-o", tmp_path / "exported", "--format", "torch", "--overwrite")
        assert command("export", *arguments).status == 0


@pytest.mark.parametrize("output_format", ["torch", "onnx"])
def test_other_folders_are_never_overwritten(
    command: Command, trained: Path, tmp_path: Path, output_format: str
) -> None:
    (tmp_path / "file").write_text("mine")
    result = command("export", "-m", trained, "-o", tmp_path, "--format", output_format, "--overwrite")
    assert (result.status, result.code) == (2, "output-not-an-export")
    assert (tmp_path / "file").read_text() == "mine"


def test_saved_model_is_never_overwritten(command: Command, trained: Path) -> None:
    result = command("export", "-m", trained, "-o", trained, "--format", "torch", "--overwrite")
    assert (result.status, result.code) == (2, "output-not-an-export")
    assert (trained / "model.safetensors").exists()


def test_states_of_a_pytorch_export_are_rejected(command: Command, trained: Path, tmp_path: Path) -> None:
    result = command("export", "-m", trained, "-o", tmp_path / "x", "--format", "torch", "--states")
    assert (result.status, result.code) == (2, "conflicting-options")


def test_states_of_an_unsupported_model_are_rejected(command: Command, tmp_path: Path) -> None:
    result = command("export", "-m", "english-sentiment", "-o", tmp_path / "x", "--states")
    assert (result.status, result.code) == (2, "unsupported-states")


@pytest.mark.parametrize("output_format", ["onnx", "torch"])
def test_export_without_ngrams_reports_agreement_and_accuracy(
    command: Command, tmp_path: Path, output_format: str
) -> None:
    texts = [("A wonderful film.", "positive"), ("Dull from start to finish.", "negative")]
    data = write_csv(tmp_path / "data.csv", texts * 10)
    arguments = ("export", "-m", "english-sentiment", "--format", output_format, "--data", data, "--json")
    whole = command(*arguments, "-o", tmp_path / "whole").json
    lstm = command(*arguments, "-o", tmp_path / "lstm", "--no-ngrams").json
    assert (whole["ngrams"], lstm["ngrams"]) == (100_000, 0)
    assert lstm["bytes"] < whole["bytes"]
    assert whole["golden"] == {"texts": len(GOLDEN_TEXTS), "agreement": 1.0, "difference": 0.0}
    assert lstm["golden"]["difference"] > 0
    assert whole["evaluation"]["accuracy"] == whole["evaluation"]["model_accuracy"]
    assert lstm["evaluation"]["model_accuracy"] == whole["evaluation"]["accuracy"]
    printed = command("export", "-m", "english-sentiment", "--no-ngrams", "-o", tmp_path / "printed.onnx")
    assert f"{lstm['golden']['agreement']:.0%}" in printed.err


def test_data_without_the_column_is_rejected_before_writing(
    command: Command, trained: Path, data: Path, tmp_path: Path
) -> None:
    result = command("export", "-m", trained, "--data", data, "--text-column", "none", "-o", tmp_path / "x.onnx")
    assert (result.status, result.code) == (2, "missing-column")
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize("output_format", ["onnx", "torch"])
def test_export_through_a_link_keeps_the_link(
    command: Command, trained: Path, tmp_path: Path, output_format: str
) -> None:
    (tmp_path / "current").symlink_to("version-1")
    for overwrite in ((), ("--overwrite",)):
        arguments = ("export", "-m", trained, "-o", tmp_path / "current", "--format", output_format, *overwrite)
        assert command(*arguments).status == 0
        assert (tmp_path / "current").readlink() == Path("version-1")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "version-1"]


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="needs /dev/null")
def test_device_is_never_replaced(command: Command, trained: Path) -> None:
    result = command("export", "-m", trained, "-o", "/dev/null", "--overwrite")
    assert (result.status, result.code) == (2, "output-not-an-export")
    assert Path("/dev/null").is_char_device()
