"""Runs with the precision "auto": what they record, and that a resumed run keeps its precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.training import make_settings, make_splits

import fastlstm
from fastlstm.config import PRESETS, TrainingConfig
from fastlstm.errors import ResumeError
from fastlstm.nn.kernel_lstm import effective_precision
from fastlstm.notes import Note
from fastlstm.training.events import EpochResult, TrainingResult
from fastlstm.training.prepare import prepare
from fastlstm.training.run import run

SMALL: dict[str, Any] = {
    "preset": "tutorial",
    "epochs": 3,
    "hidden_sizes": (5,),
    "embedding_size": 4,
    "baseline": False,
    "device": "cpu",
}


def set_fastest(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """Let "auto" choose `precision` in training."""
    monkeypatch.setattr("fastlstm.nn.kernel_lstm.fastest_precision", lambda *_, **__: precision)


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stop a run after an epoch, for which "auto" chose bfloat16; now it would choose float32. Return its folder."""
    set_fastest(monkeypatch, "bfloat16")
    start(tmp_path / "model")
    set_fastest(monkeypatch, "float32")
    return tmp_path / "model"


@pytest.fixture
def _supports_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checks of a resumed run find bfloat16 supported. Without it, its passes multiply in float32."""
    monkeypatch.setattr("fastlstm.nn.runs.effective_precision", lambda precision, _: precision)


def start(out: Path, **options: Any) -> None:
    """Start a run, and stop it after the first epoch."""
    events = run(make_settings(make_splits(), out, **SMALL, **options))
    next(event for event in events if isinstance(event, EpochResult))
    events.close()


def resume(out: Path, **options: Any) -> tuple[list[str], dict[str, Any]]:
    """Resume the run; return the codes of its notes, and the record of the saved model."""
    events = list(run(make_settings(make_splits(), out, **SMALL, **options, resume=True)))
    assert isinstance(events[-1], TrainingResult)
    record = json.loads((out / "config.json").read_bytes())["training"]
    return [event.code for event in events if isinstance(event, Note)], record


def test_auto_is_the_default_of_all_presets() -> None:
    assert {preset.training.precision for preset in PRESETS.values()} == {TrainingConfig().precision} == {"auto"}


def test_the_record_has_the_requested_and_the_actual_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_fastest(monkeypatch, "bfloat16")
    result = fastlstm.train(make_splits(), tmp_path / "model", **SMALL)
    assert "precision-unavailable" not in {note.code for note in result.notes}
    record = json.loads((tmp_path / "model" / "config.json").read_bytes())["training"]
    assert (record["config"]["precision"], record["identity"]["precision"]) == ("auto", "bfloat16")


@pytest.mark.usefixtures("_supports_bfloat16")
def test_a_resumed_run_keeps_its_precision(stopped: Path) -> None:
    codes, record = resume(stopped)
    assert "resumed" in codes
    assert (record["config"]["precision"], record["identity"]["precision"]) == ("auto", "bfloat16")


def test_a_precision_that_is_no_longer_supported_raises_resume_error(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.nn.runs.effective_precision", lambda *_: "float32")
    with pytest.raises(ResumeError) as raised:
        resume(stopped)
    error = raised.value
    assert (error.code, error.setting) == ("checkpoint-mismatch", "precision")
    assert (error.saved, error.expected) == ("bfloat16", "float32")


@pytest.mark.usefixtures("_supports_bfloat16")
def test_another_precision_raises_resume_error(stopped: Path) -> None:
    with pytest.raises(ResumeError) as raised:
        resume(stopped, precision="float32")
    assert (raised.value.code, raised.value.setting) == ("checkpoint-mismatch", "precision")


def test_the_precision_that_auto_chose_may_be_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_fastest(monkeypatch, "float32")
    start(tmp_path / "model")
    codes, record = resume(tmp_path / "model", precision="float32")
    assert "resumed" in codes
    assert record["config"]["precision"] == record["identity"]["precision"] == "float32"


@pytest.mark.usefixtures("_supports_bfloat16")
def test_a_resumed_distillation_gets_the_same_soft_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fastlstm.train(make_splits(), tmp_path / "teacher", **SMALL)
    set_fastest(monkeypatch, "bfloat16")
    start(tmp_path / "student", teacher=tmp_path / "teacher")
    set_fastest(monkeypatch, "float32")
    codes, record = resume(tmp_path / "student", teacher=tmp_path / "teacher")
    assert "resumed" in codes
    assert record["identity"]["precision"] == "bfloat16"


def test_pretraining_has_the_precision_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    set_fastest(monkeypatch, "bfloat16")
    data, base = make_splits(), PRESETS["small"]
    settings = make_settings(data, Path("model"), preset="small", hidden_sizes=(5,), pretraining_epochs=1)
    prepared = prepare(
        data.training, data.validation, settings.model, settings.training, device="cpu", cap_vocabulary=True
    )
    assert prepared.pretraining is not None
    assert prepared.pretraining.config.precision == prepared.identity["precision"] == "bfloat16"
    assert prepared.training_config.precision == base.training.precision == "auto"


def test_an_explicit_precision_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.nn.kernel_lstm.fastest_precision", None)
    result = fastlstm.train(make_splits(), tmp_path / "model", **SMALL, precision="bfloat16")
    actual = effective_precision("bfloat16")
    assert result.classifier.saved.training["identity"]["precision"] == actual
    assert ("precision-unavailable" in {note.code for note in result.notes}) == (actual != "bfloat16")
