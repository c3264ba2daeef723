"""`fastlstm doctor`: its report, its exit status, and the comparison of runtimes on a model."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import shutil
from pathlib import Path

import pytest
from tests.helpers.command_line import Command, Finished

import fastlstm
from fastlstm.cli.doctor import INSTRUCTION_SET_NAMES
from fastlstm.diagnostics import EXTRAS, PyTorchStatus, diagnose
from fastlstm.errors import CPU_PYTORCH
from fastlstm.kernel.loader import ISAS, find_kernel, usable_cores
from fastlstm.precision import PrecisionChoice, Task

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def kernel(clean_environment: None) -> None:
    """Skip the test without a compiled kernel."""
    del clean_environment
    info = find_kernel.__wrapped__()
    if info.kernel is None:
        pytest.skip(f"no compiled kernel: {info.reason}")


def fact(result: Finished, name: str) -> str:
    """Return the value of the line `name` of the report."""
    (line,) = [line for line in result.out.splitlines() if line.startswith(f"{name} ")]
    return line.removeprefix(name).strip()


@pytest.mark.usefixtures("kernel")
def test_report_describes_the_kernel_and_the_extras(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_THREADS", "2")
    result = command("doctor")
    assert (result.status, result.err) == (0, "")
    assert fact(result, "fastlstm") == fastlstm.__version__
    assert fact(result, "kernel").removeprefix("compiled, for ") in fact(result, "supported")
    assert fact(result, "threads") == "2 (FASTLSTM_THREADS)"
    assert fact(result, "self-check").startswith("passed: ")
    assert fact(result, "environment") == "FASTLSTM_THREADS=2"
    assert fact(result, "extra plot") == f"matplotlib {importlib.metadata.version('matplotlib')}"


@pytest.mark.usefixtures("kernel")
def test_json_has_all_fields(command: Command) -> None:
    result = command("doctor", "--json")
    assert (result.status, result.err) == (0, "")
    assert list(result.json) == [
        "fastlstm", "python", "system", "processor", "kernel", "self_check", "auto_precision", "environment",
        "extras", "pytorch", "runtimes",
    ]  # fmt: skip
    assert result.json["kernel"]["instruction_set"] in result.json["kernel"]["supported"]
    assert result.json["kernel"]["threads"] == usable_cores()
    assert result.json["self_check"]["passed"] is True
    precisions = {choice["precision"] for choice in result.json["auto_precision"]}
    assert precisions <= set(result.json["kernel"]["precisions"])
    assert [extra["name"] for extra in result.json["extras"]] == list(EXTRAS)
    assert result.json["pytorch"]["version"] == importlib.metadata.version("torch")
    assert result.json["runtimes"] is None


def test_report_has_the_choices_of_auto_and_their_speeds(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def choice(task: Task, units: int, precision: str, **speeds: float) -> PrecisionChoice:
        return PrecisionChoice(task, (units,), precision, {"float32": 1.0, **speeds})

    choices = (
        choice("inference", 64, "int8", int8=1.75),
        choice("inference", 1024, "float32", int8=0.5),
        choice("training", 64, "float32"),
    )
    diagnostics = dataclasses.replace(diagnose(), auto_precision=choices)
    monkeypatch.setattr("fastlstm.cli.doctor.diagnose", lambda: diagnostics)
    result = command("doctor")
    inference = fact(result, "auto, inference")
    assert inference.index("64 units: int8") < inference.index("1024 units: float32")
    assert "1.75" in inference
    assert "0.50" in inference
    assert fact(result, "auto, training").startswith("float32")
    as_json = command("doctor", "--json").json["auto_precision"]
    assert as_json[0] == {
        "task": "inference",
        "units": [64],
        "precision": "int8",
        "speeds": {"float32": 1.0, "int8": 1.75},
    }


def test_missing_kernel_has_a_reason_and_a_remedy(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_ISA", "reference")
    result = command("doctor")
    assert result.status == 0
    assert "FASTLSTM_ISA=reference" in fact(result, "kernel")
    assert "NumPy" in fact(result, "fallback")
    assert fact(result, "remedy") == "unset FASTLSTM_ISA"
    assert "self-check" not in result.out
    assert fact(result, "auto, inference").startswith("float32")
    as_json = command("doctor", "--json")
    assert as_json.status == 0
    assert as_json.json["self_check"] is None
    assert as_json.json["kernel"]["instruction_set"] is None


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("difference", "figure"), [(3e-5, "3.0e-05"), (float("nan"), "NaN")])
def test_failed_self_check_exits_with_status_1(
    command: Command, difference: float, figure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.diagnostics.largest_difference", lambda _: difference)
    result = command("doctor")
    assert result.status == 1
    assert fact(result, "self-check").startswith("FAILED: ")
    assert figure in fact(result, "self-check")
    assert "FASTLSTM_ISA=reference" in fact(result, "self-check")
    as_json = command("doctor", "--json")
    assert (as_json.status, as_json.json["self_check"]["passed"]) == (1, False)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    ("name", "value"), [("FASTLSTM_ISA", "v9"), ("FASTLSTM_THREADS", "none"), ("FASTLSTM_LIBRARY", "gone.so")]
)
def test_invalid_environment_variables_are_one_line_and_status_2(
    command: Command, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    result = command("doctor")
    assert (result.status, result.out) == (2, "")
    assert result.code
    assert name in result.err
    assert len(result.err.splitlines()) == 1


def test_missing_packages_have_a_pip_command(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"scikit-learn": "1.6", "threadpoolctl": "3.6", "ruff": "0.8"}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    result = command("doctor")
    assert result.status == 0
    assert "PyTorch " not in result.out
    assert fact(result, "extra train") == (
        f"scikit-learn 1.6, threadpoolctl 3.6; torch missing: {CPU_PYTORCH} && pip install 'fastlstm[train]' "
        f"({EXTRAS['train'][0]})"
    )
    assert fact(result, "extra plot") == f"missing: pip install 'fastlstm[plot]' ({EXTRAS['plot'][0]})"


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        (PyTorchStatus("2.9", "A GPU", None, None), ("2.9", "A GPU", "--device cpu")),
        (PyTorchStatus("2.9", None, "no device", None), ("2.9", "no device")),
        (PyTorchStatus("2.9", None, None, "no libgomp"), ("2.9", "no libgomp")),
    ],
)
def test_pytorch_line_has_the_gpu_or_the_reason(
    command: Command, status: PyTorchStatus, parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnostics = dataclasses.replace(diagnose(), pytorch=status)
    monkeypatch.setattr("fastlstm.cli.doctor.diagnose", lambda: diagnostics)
    line = fact(command("doctor"), "PyTorch")
    assert all(part in line for part in parts)


def test_every_instruction_set_has_a_name() -> None:
    assert set(INSTRUCTION_SET_NAMES) == set(ISAS)


def test_model_is_compared_in_every_runtime(command: Command, trained: Path) -> None:
    result = command("doctor", "--model", trained)
    assert result.status == 0
    assert fact(result, "fastlstm") == fastlstm.__version__
    for text in ("golden texts", "PyTorch", "1e-05"):
        assert text in result.out
    assert "FAILED" not in result.out


def test_json_of_a_model_has_one_entry_per_runtime(command: Command, trained: Path) -> None:
    runtimes = command("doctor", "-m", trained, "--json").json["runtimes"]
    assert {"golden texts", "PyTorch", "ONNX"} <= {runtime["runtime"] for runtime in runtimes}
    assert all(runtime["passes"] for runtime in runtimes)


def test_model_with_other_probabilities_than_saved_exits_with_status_1(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "model")
    path = tmp_path / "model" / "golden.json"
    golden = json.loads(path.read_bytes())
    golden[2]["probabilities"] = [1, 0]
    path.write_text(json.dumps(golden))
    result = command("doctor", "--model", tmp_path / "model")
    assert result.status == 1
    assert "FAILED" in result.out
    as_json = command("doctor", "-m", tmp_path / "model", "--json")
    failed = [runtime["runtime"] for runtime in as_json.json["runtimes"] if not runtime["passes"]]
    assert (as_json.status, failed) == (1, ["golden texts"])


def test_language_model_is_rejected(command: Command) -> None:
    result = command("doctor", "--model", "english")
    assert (result.status, result.out, result.code) == (2, "", "wrong-model-kind")


def test_data_argument_is_rejected(command: Command, data: Path) -> None:
    assert command("doctor", data).status == 2
