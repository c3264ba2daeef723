"""Killed and interrupted runs are resumed, and end with the same bits as uninterrupted ones."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.helpers.command_line import error_code, reviews, write_csv

OPTIONS = [
    *("--preset", "tutorial", "--epochs", "20", "--no-baseline"),
    *("--set", "hidden_sizes=7", "--set", "embedding_size=5", "--set", "dropout=0.2", "--set", "batch_size=4"),
    *("--set", "patience=20", "--validation", "0.2"),
]


def start(data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """Start a training run in a process of its own."""
    arguments = [sys.executable, "-m", "fastlstm", "train", str(data), "--out", str(out), *OPTIONS, *options]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of a run and return its exit status and standard error."""
    _, err = process.communicate(timeout=240)
    return process.returncode, err


def wait_for(path: Path, process: subprocess.Popen[str], previous: bytes | None = None) -> bytes:
    """Wait until the file exists and its content differs from `previous`, and return the content."""
    while process.poll() is None:
        if path.exists() and (content := path.read_bytes()) != previous:
            return content
        time.sleep(0.005)
    _, err = process.communicate()
    pytest.fail(f"the run ended before it was stopped: {err}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "reviews.csv", reviews(400, seed=0))


def test_run_killed_several_times_ends_with_the_same_bits(data: Path, tmp_path: Path) -> None:
    assert finish(start(data, tmp_path / "whole"))[0] == 0

    checkpoint, content = tmp_path / "killed.checkpoint", None
    for kill in range(3):
        process = start(data, tmp_path / "killed", *(["--resume"] if kill else []))
        for _ in range(3):  # the first checkpoint, and those of two epochs
            content = wait_for(checkpoint, process, content)
        process.send_signal(signal.SIGKILL)
        assert finish(process)[0] == -signal.SIGKILL
        assert not (tmp_path / "killed").exists()

    status, err = finish(start(data, tmp_path / "killed", "--resume"))
    assert status == 0, err
    epochs = [int(epoch) for epoch in re.findall(r"^epoch (\d+)/20 ", err, re.MULTILINE)]
    assert epochs == list(range(epochs[0], 21))
    assert epochs[0] > 1
    names = ("model.safetensors", "tokenizer.json", "golden.json")
    assert [(tmp_path / "killed" / name).read_bytes() for name in names] == [
        (tmp_path / "whole" / name).read_bytes() for name in names
    ]
    assert not checkpoint.exists()


def test_ctrl_c_saves_and_prints_the_command_to_resume(data: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.checkpoint"
    (tmp_path / "model").mkdir()  # an empty folder may be replaced
    process = start(data, tmp_path / "model")
    wait_for(checkpoint, process, wait_for(checkpoint, process))
    process.send_signal(signal.SIGINT)
    status, err = finish(process)
    assert status == 130
    expected = shlex.join(["fastlstm", "train", str(data), "--out", str(tmp_path / "model"), *OPTIONS, "--resume"])
    assert err.splitlines()[-1].endswith(expected)
    assert checkpoint.exists()

    status, err = finish(start(data, tmp_path / "model"))
    assert (status, error_code(err)) == (2, "unfinished-run")

    status, err = finish(start(data, tmp_path / "model", "--resume", "--set", "batch_size=8"))
    assert (status, error_code(err)) == (2, "checkpoint-mismatch")
    assert "batch_size" in err

    assert finish(start(data, tmp_path / "model", "--resume"))[0] == 0
    assert not checkpoint.exists()


def test_other_data_is_another_run(data: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.checkpoint"
    process = start(data, tmp_path / "model")
    wait_for(checkpoint, process)
    process.kill()
    finish(process)
    write_csv(data, [*reviews(400, seed=0)[:-1], ("a superb story", "good")])
    status, err = finish(start(data, tmp_path / "model", "--resume"))
    assert (status, error_code(err)) == (2, "checkpoint-mismatch")
    assert "training data is" in err.splitlines()[-1]
