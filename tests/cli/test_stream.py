"""`fastlstm stream`: one text on standard input, answered as it comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Command

import fastlstm


def test_changes_are_told_and_the_answer_at_the_end(command: Command, trained: Path) -> None:
    text = "a great and superb film. but dull, awful, boring and weak in the end"
    result = command("stream", "--model", trained, stdin=text.encode())
    assert (result.status, result.err) == (0, "")
    *_, last = result.out.splitlines()
    tokens, label, probability, end = last.split("\t")
    model = fastlstm.load(trained)
    assert (int(tokens), label, end) == (len(model.encode([text]).ids[0]), model.predict(text), "end")
    assert probability == f"{model.predict_proba(text).max():.4f}"


def test_json_is_one_object(command: Command, trained: Path) -> None:
    found = command("stream", "-m", trained, "--json", stdin="\ufeffgreat film".encode()).json["changes"]
    assert found[-1]["over"]
    assert found[-1]["tokens"] == 2
    assert sum(found[-1]["probabilities"].values()) > 0.999
    (nothing,) = command("stream", "-m", trained, "--json", stdin=b"").json["changes"]
    assert (nothing["tokens"], nothing["over"]) == (0, True)


def test_words_are_answered_before_the_text_is_over(trained: Path) -> None:
    arguments = [sys.executable, "-m", "fastlstm", "stream", "--model", str(trained), "--change", "0"]
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


def test_what_is_wrong_is_said(command: Command, trained: Path) -> None:
    refused = command("stream", "-m", trained, stdin=b"great \xff film")
    assert refused.status == 2
    assert "standard input is not UTF-8 (near byte 6)" in refused.err
    cut = command("stream", "-m", trained, stdin="great ñ".encode()[:-1])
    assert cut.status == 2
    assert "not UTF-8" in cut.err
    for change in ("1.5", "-1", "nan"):
        refused = command("stream", "-m", trained, "--change", change)
        assert refused.status == 2
        assert "expected a number from 0 to 1" in refused.err
