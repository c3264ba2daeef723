"""`fastlstm verify`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.conftest import Command


def test_runtimes_are_listed_with_what_they_differ(command: Command, trained: Path) -> None:
    result = command("verify", "--model", trained)
    assert result.status == 0
    for words in ("runtime", "golden texts", "PyTorch", "1e-05"):
        assert words in result.out
    assert "too far off" not in result.out
    assert command("verify", "-m", trained, "--json").json["passes"]


def test_a_model_that_answers_otherwise_than_it_did_ends_with_status_1(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "model")
    path = tmp_path / "model" / "golden.json"
    golden = json.loads(path.read_bytes())
    golden[2]["probabilities"] = [1, 0]
    path.write_text(json.dumps(golden))
    result = command("verify", "--model", tmp_path / "model")
    assert result.status == 1
    assert "too far off" in result.out
    found = command("verify", "-m", tmp_path / "model", "--json")
    assert (found.status, found.json["passes"]) == (1, False)


def test_a_language_model_is_no_classifier(command: Command) -> None:
    refused = command("verify", "--model", "english")
    assert (refused.status, "holds a language model" in refused.err) == (2, True)
