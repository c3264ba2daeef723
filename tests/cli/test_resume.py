"""A run that is killed or interrupted goes on, and ends with the same bits as one that never was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import reviews, write_csv

OPTIONS = [
    "--preset",
    "tutorial",
    "--hidden-sizes",
    "7",
    "--embedding-size",
    "5",
    "--dropout",
    "0.2",
    "--batch-size",
    "4",
]
OPTIONS += ["--epochs", "20", "--patience", "20"]


def start(data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """A training run in a process of its own."""
    arguments = [sys.executable, "-m", "fastlstm", "train", str(data), "--out", str(out), "--no-baseline"]
    return subprocess.Popen(
        [*arguments, *OPTIONS, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for the end; returns the exit status and what was said on standard error."""
    _, said = process.communicate(timeout=240)
    return process.returncode, said


def wait_for(path: Path, process: subprocess.Popen[str], changed_from: bytes | None = None) -> bytes:
    """What `path` holds once it is there and is no longer `changed_from`."""
    while process.poll() is None:
        if path.exists() and (content := path.read_bytes()) != changed_from:
            return content
        time.sleep(0.005)
    _, said = process.communicate()
    pytest.fail(f"the run ended before it could be stopped: {said}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "reviews.csv", reviews(400, seed=0))


def test_a_run_killed_several_times_ends_with_the_same_bits(data: Path, tmp_path: Path) -> None:
    assert finish(start(data, tmp_path / "whole"))[0] == 0

    checkpoint, content = tmp_path / "killed.checkpoint", None
    for kill in range(3):
        process = start(data, tmp_path / "killed", *(["--resume"] if kill else []))
        for _ in range(3):  # the one at the start, and two finished epochs
            content = wait_for(checkpoint, process, content)
        process.send_signal(signal.SIGKILL)
        assert finish(process)[0] == -signal.SIGKILL
        assert not (tmp_path / "killed").exists()

    status, said = finish(start(data, tmp_path / "killed", "--resume"))
    assert status == 0, said
    assert "going on after" in said
    names = ("model.safetensors", "tokenizer.json", "golden.json")
    assert [(tmp_path / "killed" / name).read_bytes() for name in names] == [
        (tmp_path / "whole" / name).read_bytes() for name in names
    ]
    assert not checkpoint.exists()


def test_ctrl_c_saves_and_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.checkpoint"
    (tmp_path / "model").mkdir()  # an empty folder is as good as none
    process = start(data, tmp_path / "model")
    wait_for(checkpoint, process, wait_for(checkpoint, process))
    process.send_signal(signal.SIGINT)
    status, said = finish(process)
    assert status == 130
    assert "stopped and saved; go on with: fastlstm train" in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith("--resume")
    assert checkpoint.exists()

    again, said = finish(start(data, tmp_path / "model"))
    assert again == 2
    assert "holds an unfinished run; pass --resume to go on with it" in said

    other, said = finish(start(data, tmp_path / "model", "--resume", "--batch-size", "8"))
    assert other == 2
    assert "belongs to another run: its batch-size is 4, this one's is 8" in said

    assert finish(start(data, tmp_path / "model", "--resume"))[0] == 0
    assert not checkpoint.exists()


def test_other_data_is_another_run(data: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.checkpoint"
    process = start(data, tmp_path / "model")
    wait_for(checkpoint, process)
    process.kill()
    finish(process)
    write_csv(data, [*reviews(400, seed=0)[:-1], ("a superb ending", "good")])
    status, said = finish(start(data, tmp_path / "model", "--resume"))
    assert status == 2
    assert "data" in said.splitlines()[-1]
    assert "belongs to another run" in said
