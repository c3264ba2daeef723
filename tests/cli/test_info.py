"""`fastlstm info`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.helpers.command_line import Command


def test_model_and_its_training_are_described(command: Command, trained: Path) -> None:
    description = command("info", "--model", trained, "--json").json
    assert description["labels"] == ["bad", "good"]
    assert description["model"]["hidden_sizes"] == [7]
    assert description["training"]["data"]["train_texts"] == 160
    assert description["training"]["config"]["learning_rate"] == 0.03
    out = command("info", "--model", trained).out
    accuracy = description["training"]["results"]["accuracy"]
    for value in (
        f"{description['weights']:,}",
        "bad, good",
        "160",
        "tutorial",
        "hidden_sizes=7",
        f"{accuracy:.2%}",
    ):
        assert value in out


def test_model_with_another_training_record_is_described(command: Command, trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    config = json.loads((other / "config.json").read_bytes())
    config["training"] = {"preset": "own", "data": {}, "results": {}}
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = command("info", "--model", other)
    assert (result.status, result.err) == (0, "")
    assert "bad, good" in result.out
