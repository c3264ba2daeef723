"""Checkpoints: what is written is read, and missing, damaged or foreign files raise errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from fastlstm.errors import ResumeError
from fastlstm.nn.checkpoint import checkpoint_phase, is_checkpoint, read_checkpoint, write_checkpoint

IDENTITY = {"seed": 1, "texts": "abc"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "c", {"w": torch.arange(3.0)}, {"epoch": 2, "phase": "warm-up"}, IDENTITY)
    return tmp_path / "c"


def read(path: Path, identity: dict[str, object]) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    with read_checkpoint(path, identity) as content:
        return content


def test_a_checkpoint_is_read_as_written(path: Path) -> None:
    run, tensors = read(path, IDENTITY)
    assert run == {"epoch": 2, "phase": "warm-up"}
    assert tensors["w"].tolist() == [0, 1, 2]
    assert is_checkpoint(path)
    assert checkpoint_phase(path) == "warm-up"


def test_a_missing_checkpoint_raises_resume_error(tmp_path: Path) -> None:
    with pytest.raises(ResumeError) as raised:
        read(tmp_path / "none", IDENTITY)
    assert (raised.value.code, raised.value.path) == ("no-checkpoint", tmp_path / "none")
    assert not is_checkpoint(tmp_path / "none")


def test_another_identity_raises_resume_error(path: Path) -> None:
    with pytest.raises(ResumeError) as raised:
        read(path, {**IDENTITY, "texts": "xyz"})
    error = raised.value
    assert (error.code, error.setting, error.saved, error.expected) == (
        "checkpoint-mismatch",
        "texts",
        "abc",
        "xyz",
    )


@pytest.mark.parametrize("size", [0, 5, 60, -3])
def test_a_truncated_checkpoint_raises_resume_error(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ResumeError) as raised:
        read(path, IDENTITY)
    assert raised.value.code == "corrupt-checkpoint"
    assert checkpoint_phase(path) == "training"


def test_an_error_of_the_caller_counts_as_damage(path: Path) -> None:
    with pytest.raises(ResumeError) as raised, read_checkpoint(path, IDENTITY) as (_, tensors):
        tensors["missing"].sum()
    assert raised.value.code == "corrupt-checkpoint"


def test_another_version_raises_resume_error(path: Path) -> None:
    metadata = {"checkpoint_version": "99", "run": "{}", "identity": "{}"}
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(1)}, metadata))
    with pytest.raises(ResumeError) as raised:
        read(path, IDENTITY)
    assert (raised.value.code, raised.value.version) == ("checkpoint-version", "99")


def test_other_safetensors_files_are_not_checkpoints(path: Path) -> None:
    path.write_bytes(safetensors.torch.save({"w": torch.zeros(1)}))
    assert not is_checkpoint(path)
