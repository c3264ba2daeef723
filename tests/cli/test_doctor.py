"""`fastlstm doctor`: what it prints, and its exit status."""

from __future__ import annotations

import importlib.metadata

import pytest
from tests.cli.conftest import Command, Finished

import fastlstm
from fastlstm.cli.doctor import INSTRUCTIONS
from fastlstm.diagnostics import EXTRAS, PyTorchInfo
from fastlstm.kernel.loader import ISAS, find_kernel, usable_cores

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def built(fresh: None) -> None:
    """There is a compiled kernel."""
    del fresh
    there = find_kernel.__wrapped__()
    if there.kernel is None:
        pytest.skip(f"no compiled kernel: {there.why_not}")


def line(result: Finished, name: str) -> str:
    """What the report says of `name`."""
    (said,) = [line for line in result.out.splitlines() if line.startswith(f"{name} ")]
    return said.removeprefix(name).strip()


@pytest.mark.usefixtures("built")
def test_it_tells_what_runs(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLSTM_THREADS", "2")
    result = command("doctor")
    assert (result.status, result.err) == (0, "")
    assert line(result, "fastlstm") == fastlstm.__version__
    assert line(result, "kernel").startswith("compiled, for ")
    assert line(result, "kernel").removeprefix("compiled, for ") in line(result, "could run")
    assert line(result, "threads") == "2 (FASTLSTM_THREADS)"
    assert line(result, "self-check").startswith("passed: ")
    assert line(result, "environment") == "FASTLSTM_THREADS=2"
    assert line(result, "extra plot") == f"matplotlib {importlib.metadata.version('matplotlib')}"


@pytest.mark.usefixtures("built")
def test_json_holds_the_same(command: Command) -> None:
    result = command("doctor", "--json")
    assert (result.status, result.err) == (0, "")
    assert list(result.json) == [
        "fastlstm", "python", "system", "processor", "kernel", "self_check", "environment", "extras", "pytorch",
    ]  # fmt: skip
    assert result.json["kernel"]["instruction_set"] in result.json["kernel"]["could_run"]
    assert result.json["kernel"]["threads"] == usable_cores()
    assert result.json["self_check"]["passed"] is True
    assert [extra["name"] for extra in result.json["extras"]] == list(EXTRAS)
    assert result.json["pytorch"]["version"] == importlib.metadata.version("torch")


def test_without_a_kernel_it_tells_what_runs_instead_and_what_helps(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTLSTM_ISA", "reference")
    result = command("doctor")
    assert result.status == 0
    assert line(result, "kernel") == "none: FASTLSTM_ISA=reference asks for NumPy"
    assert line(result, "instead") == "training runs PyTorch's nn.LSTM; inference runs NumPy, which is slower"
    assert line(result, "what to do") == "unset FASTLSTM_ISA"
    assert "self-check" not in result.out
    as_json = command("doctor", "--json")
    assert as_json.status == 0
    assert as_json.json["self_check"] is None
    assert as_json.json["kernel"]["instruction_set"] is None


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("difference", "words"),
    [(3e-5, "FAILED: largest relative difference 3.0e-05, allowed 1e-05"), (float("nan"), "FAILED: the kernel")],
)
def test_a_kernel_that_computes_wrongly_is_status_1(
    command: Command, difference: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.diagnostics.largest_difference", lambda _: difference)
    result = command("doctor")
    assert result.status == 1
    assert line(result, "self-check").startswith(words)
    assert "set FASTLSTM_ISA=reference" in line(result, "self-check")
    as_json = command("doctor", "--json")
    assert (as_json.status, as_json.json["self_check"]["passed"]) == (1, False)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("name", "value"), [("FASTLSTM_ISA", "v9"), ("FASTLSTM_THREADS", "none"), ("FASTLSTM_LIBRARY", "gone.so")]
)
def test_an_impossible_wish_is_one_line_and_status_2(
    command: Command, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    result = command("doctor")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"fastlstm: error[bad-option]: {name} is ")
    assert len(result.err.splitlines()) == 1


def test_missing_extras_come_with_the_pip_command(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.diagnostics._version", {"scikit-learn": "1.6", "ruff": "0.8"}.get)
    result = command("doctor")
    assert result.status == 0
    assert "PyTorch" not in result.out
    gives = EXTRAS["train"][0]
    assert line(result, "extra train") == (
        f"scikit-learn 1.6; torch missing: pip install 'fastlstm[train]' ({gives})"
    )
    assert line(result, "extra plot") == f"missing: pip install 'fastlstm[plot]' ({EXTRAS['plot'][0]})"


@pytest.mark.parametrize(
    ("pytorch", "words"),
    [
        (
            PyTorchInfo("2.9", "A GPU", None, None),
            "2.9, GPU: A GPU, on which fastlstm train runs unless --device cpu",
        ),
        (PyTorchInfo("2.9", None, "no device", None), "2.9, no GPU: no device"),
        (PyTorchInfo("2.9", None, None, "no libgomp"), "2.9, which can't be imported: no libgomp"),
    ],
)
def test_pytorch_s_line(
    command: Command, pytorch: PyTorchInfo, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.diagnostics._pytorch", lambda: pytorch)
    assert line(command("doctor"), "PyTorch") == words


def test_every_instruction_set_has_a_name_that_people_know() -> None:
    assert set(INSTRUCTIONS) == set(ISAS)
