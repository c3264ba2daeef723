"""Shared parts of a run: output checks, and when checkpoints are saved."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fastlstm.errors import InputError, ResumeError
from fastlstm.nn.checkpoint import write_checkpoint
from fastlstm.nn.runs import (
    check_output,
    check_same_run,
    checkpoint_path,
    fingerprint,
    run_precision,
    with_checkpoints,
)


def test_a_free_folder_passes(tmp_path: Path) -> None:
    check_output(tmp_path / "model", overwrite=False, resume=False, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_name_raises_input_error() -> None:
    with pytest.raises(InputError) as raised:
        check_output(Path("/"), overwrite=False, resume=False, device="cpu")
    assert raised.value.code == "bad-output"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_in_place_of_the_checkpoint_is_never_overwritten(tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "model"
    checkpoint_path(out).write_text("a diary")
    with pytest.raises(InputError) as raised:
        check_output(out, overwrite=overwrite, resume=False, device="cpu")
    assert (raised.value.code, raised.value.path) == ("not-a-checkpoint", checkpoint_path(out))


def test_an_unfinished_run_needs_resume_or_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "model"
    write_checkpoint(checkpoint_path(out), {"w": torch.zeros(1)}, {}, {})
    with pytest.raises(InputError) as raised:
        check_output(out, overwrite=False, resume=False, device="cpu")
    assert raised.value.code == "unfinished-run"
    check_output(out, overwrite=True, resume=False, device="cpu")
    check_output(out, overwrite=False, resume=True, device="cpu")


def test_resuming_without_a_checkpoint_raises_resume_error(tmp_path: Path) -> None:
    with pytest.raises(ResumeError) as raised:
        check_output(tmp_path / "model", overwrite=False, resume=True, device="cpu")
    assert raised.value.code == "no-checkpoint"


def test_a_model_of_another_run_raises_input_error(tmp_path: Path) -> None:
    check_same_run(tmp_path, {"seed": 1}, {"seed": 1})
    with pytest.raises(InputError) as raised:
        check_same_run(tmp_path, {"seed": 1}, {"seed": 2})
    assert raised.value.code == "model-of-other-run"


@pytest.mark.parametrize(("seconds", "saved_before"), [(1e9, ["c"]), (-1.0, [1, 2, "c", 3])])
def test_checkpoints_are_saved_after_events_of_a_type_or_some_time(
    seconds: float, saved_before: list[object]
) -> None:
    events: list[object] = [1, 2, "c", 3]
    log: list[object] = []
    save = functools.partial(log.append, "saved")
    for event in with_checkpoints(events, save, save_after=str, seconds=seconds):
        log += [event]
    assert [event for event in log if event != "saved"] == events
    assert [after for before, after in itertools.pairwise(log) if before == "saved"] == saved_before


def test_closing_the_run_saves_a_checkpoint() -> None:
    def events() -> Iterator[int]:
        yield from range(9)

    saves: list[bool] = []
    run = with_checkpoints(events(), lambda: saves.append(True), save_after=str, seconds=1e9)
    next(run)
    assert saves == []
    run.close()
    assert saves == [True]


def test_fingerprints_differ_between_arrays() -> None:
    first, second = (fingerprint([np.arange(n), np.ones(2)]) for n in (3, 4))
    assert len(first) == len(second) == 16
    assert first != second
    assert fingerprint([np.arange(3), np.ones(2)]) == first


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_a_checkpoint_without_an_identity_determines_no_precision(tmp_path: Path, content: bytes | None) -> None:
    checkpoint = tmp_path / "checkpoint"
    if content is not None:
        checkpoint.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastlstm.nn.kernel_lstm.fastest_precision", lambda *_, **__: "bfloat16")
        assert run_precision("auto", (5,), 3, torch.device("cpu"), checkpoint) == "bfloat16"


def test_auto_has_no_effect_on_a_gpu(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    write_checkpoint(checkpoint, {"w": torch.zeros(1)}, {}, {"precision": "auto"})
    for path in (None, checkpoint):
        assert run_precision("auto", (5,), 3, torch.device("cuda"), path) == "auto"
