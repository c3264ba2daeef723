"""`fastlstm tune`, from the command line to a saved model."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Command

import fastlstm
from fastlstm.cli.tune import trial_changes, trial_line
from fastlstm.tuning.events import Trial, TrialState

SMALL = ["--preset", "tutorial", "--hidden-sizes", "5", "--embedding-size", "4", "--no-baseline"]


def trial(number: int, state: TrialState, loss: float | None, why_not: str = "") -> Trial:
    """A trial that changed two options."""
    return Trial(
        number=number,
        state=state,
        options={},
        changes={"learning_rate": 0.003, "hidden_sizes": (64, 32)},
        epochs=1,
        seconds=2.04,
        loss=loss,
        accuracy=None if loss is None else 0.9,
        why_not=why_not,
    )


def test_tune_prints_a_line_a_trial_and_the_command_that_makes_the_best_model_again(
    command: Command, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "the model"
    options = [*SMALL, "--no-bidirectional", "--seed", "3", "--text-column", "text"]
    done = command("tune", data, "--out", out, "--trials", "3", "--test", "0.2", *options)
    assert done.status == 0, done.err
    lines = [line for line in done.err.splitlines() if line.startswith("trial ")]
    assert [line.split(":")[0] for line in lines] == ["trial 1", "trial 2", "trial 3"]
    assert "the preset as it stands; loss 0." in lines[0]
    assert lines[0].endswith("; the best so far")
    assert f"saved: {out}" in done.out
    again = shlex.split(done.out.splitlines()[-1].removeprefix("make it again: "))
    assert again[:3] == ["fastlstm", "train", str(data)]
    assert {"--no-bidirectional", "--seed", "--test"} <= set(again)
    assert "--text-column" not in again

    repeated = command(*again[1:], "--no-baseline")
    assert repeated.status == 0, repeated.err
    same = Path(f"{out}-again")
    assert (same / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_as_json_standard_output_is_one_object_and_resume_takes_more_trials(
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
    ("arguments", "said"),
    [
        (["--budget", "soon"], "budget is 'soon'; expected a duration"),
        (["--trials", "0"], "trials is 0; expected a whole number, at least 1"),
        (["--metric", "f1"], "unknown metric 'f1'"),
        (["--hidden-sizes", "many"], "hidden-sizes is 'many'; expected whole numbers"),
        (["--resume"], "nothing to resume: no search at"),
        (["--learning-rate", "7"], "learning-rate is 7.0; expected from"),
    ],
)
def test_wrong_use_is_one_line_with_status_2_and_writes_nothing(
    command: Command, data: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = command("tune", data, "--out", tmp_path / "model", *arguments)
    assert done.status == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [data]


def test_without_optuna_the_error_is_the_pip_command(
    command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = command("tune", data)
    assert done.status == 2
    assert done.err == (
        "fastlstm: error[missing-dependency]: searching options needs optuna, which is not installed; run: pip install 'fastlstm[tune]'\n"
    )


def test_ctrl_c_keeps_the_best_so_far_and_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = ["tune", str(data), "--out", str(out), *SMALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastlstm", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not out.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 130, said
    last = said.splitlines()[-1]
    assert f"stopped, the best model so far is in {out}; go on with: fastlstm tune" in last
    assert last.endswith("--resume")
    assert fastlstm.load(out).model.training["tuning"]["trial"] >= 1
    assert not (tmp_path / "model.study.lock").exists()


@pytest.mark.parametrize(
    ("of", "best", "said"),
    [
        (
            trial(2, "complete", 0.25),
            trial(2, "complete", 0.25),
            "; loss 0.2500, accuracy 90.00% on validation; 2.0 s; the best so far",
        ),
        (
            trial(2, "pruned", None),
            trial(1, "complete", 0.25),
            "; given up after 1 epoch; 2.0 s; best so far: 0.2500 of trial 1",
        ),
        (trial(2, "failed", None, "the loss is nan"), None, "; failed (the loss is nan) after 1 epoch; 2.0 s"),
        (
            trial(2, "stopped", 0.5),
            trial(2, "stopped", 0.5),
            "; stopped after 1 epoch; loss 0.5000, accuracy 90.00% on validation; 2.0 s; the best so far",
        ),
    ],
    ids=["complete", "pruned", "failed", "stopped"],
)
def test_a_trial_s_line_says_what_differs_how_it_ended_and_the_best_so_far(
    of: Trial, best: Trial | None, said: str
) -> None:
    assert trial_line(of, best, "loss") == f"trial 2: learning-rate 0.003, hidden-sizes 64,32{said}"


def test_the_best_so_far_is_told_in_the_metric_that_chooses() -> None:
    assert trial_line(trial(2, "pruned", None), trial(1, "complete", 0.25), "accuracy").endswith(
        "90.00% of trial 1"
    )
    assert trial_changes({}) == "the preset as it stands"
