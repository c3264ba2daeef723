"""`fastlstm tune`, from the command line to a saved model."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.helpers.command_line import Command, error_code

import fastlstm
from fastlstm.cli.tuning_progress import describe_changes, trial_line
from fastlstm.tuning.events import Trial, TrialState

SMALL = ["--preset", "tutorial", "--set", "hidden_sizes=5", "--set", "embedding_size=4", "--no-baseline"]


def make_trial(number: int, state: TrialState, loss: float | None, failure: str = "") -> Trial:
    """Return a trial that changed two fields."""
    return Trial(
        number=number,
        state=state,
        options={},
        changes={"learning_rate": 0.003, "hidden_sizes": (64, 32)},
        epochs=1,
        seconds=2.04,
        loss=loss,
        accuracy=None if loss is None else 0.9,
        failure=failure,
    )


def test_each_trial_is_one_line_and_the_last_line_trains_the_best_model_again(
    command: Command, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "the model"
    options = [*SMALL, "--set", "bidirectional=false", "--seed", "3", "--text-column", "text"]
    result = command("tune", data, "--out", out, "--trials", "3", "--test", "0.2", *options)
    assert result.status == 0, result.err
    lines = [line for line in result.err.splitlines() if line.startswith("trial ")]
    assert [line.split(":")[0] for line in lines] == ["trial 1", "trial 2", "trial 3"]
    assert describe_changes({}) in lines[0]
    assert str(out) in result.out
    again = shlex.split(result.out.splitlines()[-1].partition(": ")[2])
    assert again[:3] == ["fastlstm", "train", str(data)]
    assert {"bidirectional=false", "seed=3", "--test"} <= set(again)
    assert "--text-column" not in again

    repeated = command(*again[1:], "--no-baseline")
    assert repeated.status == 0, repeated.err
    same = Path(f"{out}-again")
    assert (same / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_json_is_one_object_and_resumed_search_has_more_trials(
    command: Command, data: Path, tmp_path: Path
) -> None:
    arguments = ["tune", data, "--out", tmp_path / "model", *SMALL, "--metric", "accuracy", "--json"]
    first = command(*arguments, "--trials", "1").json
    assert len(first["trials"]) == 1
    assert first["command"].startswith("fastlstm train ")
    more = command(*arguments, "--trials", "2", "--resume").json
    assert more["trials"][0] == first["trials"][0]
    assert len(more["trials"]) == 2
    assert more["metric"] == "accuracy"
    assert more["model"] == str(tmp_path / "model")


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--budget", "soon"], "bad-option-value", "soon"),
        (["--trials", "0"], "bad-option-value", "trials"),
        (["--metric", "f1"], "usage", "f1"),
        (["--set", "hidden_sizes=many"], "bad-option-value", "hidden_sizes"),
        (["--resume"], "no-study", "--resume"),
        (["--learning-rate", "7"], "bad-option-value", "learning_rate"),
    ],
)
def test_wrong_use_is_one_line_with_status_2_and_writes_nothing(
    command: Command, data: Path, tmp_path: Path, arguments: list[str], code: str, named: str
) -> None:
    result = command("tune", data, "--out", tmp_path / "model", *arguments)
    assert (result.status, result.code) == (2, code)
    assert named in result.err
    assert len(result.err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [data]


def test_without_optuna_the_error_contains_the_pip_command(
    command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = command("tune", data)
    assert (result.status, result.code) == (2, "missing-dependency")
    assert "pip install 'fastlstm[tune]'" in result.err
    assert len(result.err.splitlines()) == 1


def test_ctrl_c_keeps_the_best_model_and_prints_the_command_to_resume(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = ["tune", str(data), "--out", str(out), *SMALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastlstm", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not out.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=240)
    assert (process.returncode, error_code(err)) == (130, ""), err
    last = err.splitlines()[-1]
    assert last.startswith("fastlstm: ")
    assert str(out) in last
    assert last.endswith(shlex.join(["fastlstm", *arguments, "--resume"]))
    assert fastlstm.load(out).saved.training["tuning"]["trial"] >= 1
    assert not (tmp_path / "model.study.lock").exists()


@pytest.mark.parametrize(
    ("trial", "best", "expected"),
    [
        (make_trial(2, "complete", 0.25), make_trial(2, "complete", 0.25), ["0.2500", "90.00%"]),
        (
            make_trial(2, "pruned", None),
            make_trial(1, "complete", 0.25),
            ["pruned", "1 epoch", "0.2500", "trial 1"],
        ),
        (make_trial(2, "failed", None, "the loss is nan"), None, ["failed (the loss is nan)", "1 epoch"]),
        (make_trial(2, "stopped", 0.5), make_trial(2, "stopped", 0.5), ["stopped", "1 epoch", "0.5000", "90.00%"]),
    ],
    ids=["complete", "pruned", "failed", "stopped"],
)
def test_line_of_a_trial_contains_changes_state_result_and_best(
    trial: Trial, best: Trial | None, expected: list[str]
) -> None:
    line = trial_line(trial, best, "loss")
    for value in ("trial 2: learning_rate=0.003, hidden_sizes=64,32;", *expected, "2.0 s"):
        assert value in line
    is_best = best is not None and best.number == trial.number
    assert line.endswith("best so far") == is_best
    assert ("best" in line) == (best is not None)


def test_best_result_is_that_of_the_metric() -> None:
    pruned, best = make_trial(2, "pruned", None), make_trial(1, "complete", 0.25)
    assert "0.2500" in trial_line(pruned, best, "loss")
    line = trial_line(pruned, best, "accuracy")
    assert "90.00%" in line
    assert "0.2500" not in line
