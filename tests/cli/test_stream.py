"""`fastlstm stream`: one text on standard input, predicted while it arrives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.command_line import Command

import fastlstm


def test_changes_are_printed_and_the_prediction_at_the_end(command: Command, trained: Path) -> None:
    text = "a great and superb film. but dull, awful, boring and weak in the end"
    result = command("stream", "--model", trained, stdin=text.encode())
    assert (result.status, result.err) == (0, "")
    *_, last = result.out.splitlines()
    tokens, label, probability, end = last.split("\t")
    model = fastlstm.load(trained)
    assert (int(tokens), label, end) == (len(model.tokenize([text]).ids[0]), model.predict(text), "end")
    assert probability == f"{model.predict_proba(text).max():.4f}"


def test_json_is_one_object(command: Command, trained: Path) -> None:
    changes = command("stream", "-m", trained, "--json", stdin="\ufeffgreat film".encode()).json["changes"]
    assert changes[-1]["end"]
    assert changes[-1]["tokens"] == 2
    assert sum(changes[-1]["probabilities"].values()) > 0.999
    (empty,) = command("stream", "-m", trained, "--json", stdin=b"").json["changes"]
    assert (empty["tokens"], empty["end"]) == (0, True)


def test_predictions_are_printed_before_the_text_ends(trained: Path) -> None:
    arguments = [sys.executable, "-m", "fastlstm", "stream", "--model", str(trained), "--min-change", "0"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, word in enumerate((b"great ", b"awful "), 1):
            process.stdin.write(word)
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"%d\t" % number)
        process.stdin.write(b"unfini")
        process.stdin.close()
        assert process.stdout.read().startswith(b"3\t")


@pytest.mark.parametrize(
    ("stdin", "byte"), [(b"great \xff film", 6), ("great ñ".encode()[:-1], 7)], ids=["invalid", "incomplete"]
)
def test_standard_input_that_is_not_utf8_is_an_error(
    command: Command, trained: Path, stdin: bytes, byte: int
) -> None:
    result = command("stream", "-m", trained, stdin=stdin)
    assert (result.status, result.code) == (2, "not-utf8")
    assert f"byte {byte}" in result.err


@pytest.mark.parametrize("min_change", ["1.5", "-1", "nan"])
def test_invalid_min_change_is_rejected(command: Command, trained: Path, min_change: str) -> None:
    result = command("stream", "-m", trained, "--min-change", min_change)
    assert (result.status, result.code) == (2, "bad-option-value")
